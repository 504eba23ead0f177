//! `compare`: files under every compressor.
//!
//! Each compressor runs on each file in its own process, because only then can its memory be
//! measured separately. The process is this program, run as `compare-one`.

use llmzip::report::Sample;
use llmzip::report::compare::{self, Comparison, Outcome};

use super::compare_process::{self, peak_memory};
use super::failure::Failure;
use super::level::NO_MODEL;
use super::meant::{CompareJob, CompareOneJob, Input};
use super::models::Models;
use super::provenance::provenance;
use super::report_file::Destination;
use super::workload::{self, MeasureLine};

pub(super) fn run(job: CompareJob) -> Result<bool, Failure> {
    let CompareJob {
        measurement,
        result,
    } = job;
    let options = measurement.options;
    let destination = Destination::open(&result, &measurement.inputs, options.force)?;
    let Some(workload) = workload::prepare(&measurement)? else {
        return Ok(false);
    };
    let candidates = &workload.candidates;
    let made = provenance(candidates, options.resources)?;
    let compressors = compare::compressors(candidates);
    // The classical codecs come first and need no model.
    let classical = compressors.len() - candidates.len();
    let names: Vec<String> = compressors.iter().map(|one| one.name.clone()).collect();
    let comparison = Comparison::new(&workload.samples, compressors, |sample, i| {
        let model = i.checked_sub(classical).map(|i| candidates[i].name());
        let model = model.unwrap_or(NO_MODEL);
        compare_process::measure(sample, &names[i], model, options)
    })?;
    destination.write(&comparison, &made)?;
    Ok(workload.complete)
}

/// Measures standard input under one compressor and prints the outcome for the process that started
/// this one.
pub(super) fn run_one(job: CompareOneJob) -> Result<bool, Failure> {
    compare_process::print_outcome(measure_one(job))?;
    Ok(true)
}

fn measure_one(job: CompareOneJob) -> Result<Outcome, Failure> {
    let sample = Sample {
        name: job.file,
        ..workload::read(&Input::Stdin)?
    };
    let models = Models::new(job.options.resources);
    let candidates = models.candidates(&job.models, &mut |_| {})?;
    let known = compare::compressors(&candidates);
    let i = known.iter().position(|one| one.name == job.compressor);
    let i = i.ok_or_else(|| Failure::Message(format!("no compressor {}", job.compressor)))?;
    let mut line = MeasureLine::new(job.options.progress);
    let outcome = compare::measure(&sample, &candidates, i, &mut |progress| {
        line.update(progress);
    })?;
    Ok(Outcome {
        peak_memory: peak_memory(),
        ..outcome
    })
}
