//! `explain`: shows how the bits of a file are spent.

use std::slice;

use llmzip::report::explain;

use super::failure::Failure;
use super::meant::ExplainJob;
use super::models::Models;
use super::print;
use super::report_file;
use super::workload::{self, MeasureLine};

pub(super) fn run(job: ExplainJob) -> Result<bool, Failure> {
    let ExplainJob {
        input,
        model,
        options,
        render,
        page,
    } = job;
    if let Some(path) = &page {
        report_file::check(path, slice::from_ref(&input), options.force)?;
    }
    let sample = workload::read(&input, options.force)?;
    let candidate = Models::new(options.resources).candidate(&model)?;
    let mut line = MeasureLine::new(options.progress);
    let explanation = explain::measure(&sample, &candidate, &mut |progress| {
        line.update(progress);
    })?;
    drop(line);
    if let Some(path) = &page {
        report_file::write(path, &explain::render::html(&explanation), options.force)?;
    }
    print::result(&render(&explanation))?;
    Ok(true)
}
