//! `explain`: shows how the bits of a file are spent.

use std::slice;

use llmzip::report::explain;

use super::failure::Failure;
use super::meant::ExplainJob;
use super::models::Models;
use super::provenance::provenance;
use super::report_file::Destination;
use super::workload::{self, MeasureLine};

pub(super) fn run(job: ExplainJob) -> Result<bool, Failure> {
    let ExplainJob {
        input,
        model,
        options,
        result,
    } = job;
    let destination = Destination::open(&result, slice::from_ref(&input), options.force)?;
    let sample = workload::read(&input)?;
    let models = Models::new(&options.resources).for_originals(|| Some(sample.bytes.len() as u64));
    let candidate = models.candidate(&model)?;
    destination.spare_models(slice::from_ref(&candidate))?;
    let made = provenance(slice::from_ref(&candidate), &options.resources)?;
    let mut line = MeasureLine::new(options.progress);
    let explanation = explain::measure(&sample, &candidate, &mut |progress| line.update(progress))?;
    drop(line);
    destination.write(&explanation, &made)?;
    Ok(true)
}
