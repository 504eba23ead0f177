//! `explain`: shows how the bits of a file are spent.

use std::slice;

use llmzip::report::explain;

use super::failure::Failure;
use super::meant::ExplainJob;
use super::models::Models;
use super::print;
use super::report_file::ReportFile;
use super::workload::{self, MeasureLine};

pub(super) fn run(job: ExplainJob) -> Result<bool, Failure> {
    let ExplainJob {
        input,
        model,
        options,
        render,
        page,
    } = job;
    let page = page
        .map(|path| ReportFile::open(&path, slice::from_ref(&input), options.force))
        .transpose()?;
    let sample = workload::read(&input)?;
    let candidate = Models::new(options.resources).candidate(&model)?;
    let mut line = MeasureLine::new(options.progress);
    let explanation = explain::measure(&sample, &candidate, &mut |progress| {
        line.update(progress);
    })?;
    drop(line);
    if let Some(page) = page {
        page.write(&explain::render::html(&explanation))?;
    }
    print::result(&render(&explanation))?;
    Ok(true)
}
