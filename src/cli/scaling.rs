//! `scaling`: shows how file sizes depend on model size.

use llmzip::report::{Candidate, scaling};

use super::failure::Failure;
use super::meant::ScalingJob;
use super::provenance::provenance;
use super::report_file::Destination;
use super::workload::{self, MeasureLine};

pub(super) fn run(job: ScalingJob) -> Result<bool, Failure> {
    let ScalingJob {
        measurement,
        experts,
        result,
    } = job;
    let options = &measurement.options;
    let destination = Destination::open(&result, &measurement.inputs, options.force)?;
    let Some(workload) = workload::prepare(&measurement)? else {
        return Ok(false);
    };
    let mut candidates = workload.candidates;
    if !experts {
        let alone = candidates.into_iter().map(Candidate::without_experts);
        candidates = alone.collect();
    }
    destination.spare_models(&candidates)?;
    let made = provenance(&candidates, &options.resources)?;
    let mut line = MeasureLine::new(options.progress);
    let scaling = scaling::measure(&workload.samples, &candidates, &mut |progress| {
        line.update(progress)
    })?;
    drop(line);
    destination.write(&scaling, &made)?;
    Ok(workload.complete)
}
