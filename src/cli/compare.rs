//! `compare`: files under every compressor.
//!
//! Each compressor runs on each file in its own process, because only then can its memory be
//! measured separately. The processes of one file take turns, so that each is warm.

use llmzip::report::compare::{self, Comparison, Run};
use llmzip::report::{Candidate, Sample};

use super::compare_process::{self, OneCompressor, peak_memory};
use super::failure::Failure;
use super::level::NO_MODEL;
use super::meant::{CompareJob, CompareOneJob};
use super::models::Models;
use super::provenance::provenance;
use super::report_file::Destination;
use super::workload::{self, MeasureLine};

pub(super) fn run(job: CompareJob) -> Result<bool, Failure> {
    let CompareJob {
        measurement,
        result,
    } = job;
    let options = &measurement.options;
    let destination = Destination::open(&result, &measurement.inputs, options.force)?;
    let Some(workload) = workload::prepare(&measurement)? else {
        return Ok(false);
    };
    let candidates = &workload.candidates;
    destination.spare_models(candidates)?;
    let made = provenance(candidates, &options.resources)?;
    let compressors = compare::compressors(candidates);
    // The classical codecs come first and need no model.
    let classical = compressors.len() - candidates.len();
    let names: Vec<String> = compressors.iter().map(|one| one.name.clone()).collect();
    let start = |sample, i: usize| {
        let model = i.checked_sub(classical).map(|i| candidates[i].name());
        OneCompressor::start(sample, &names[i], model.unwrap_or(NO_MODEL), options)
    };
    let comparison = Comparison::new(&workload.samples, compressors, |sample| {
        let mut processes: Vec<Option<OneCompressor>> = Vec::new();
        processes.resize_with(names.len(), || None);
        move |i| match &mut processes[i] {
            Some(process) => process.run(),
            none => none.insert(start(sample, i)?).run(),
        }
    })?;
    destination.write(&comparison, &made)?;
    Ok(workload.complete)
}

/// Runs one compressor on standard input, as often as the process wants that started this one.
pub(super) fn run_one(job: CompareOneJob) -> Result<bool, Failure> {
    let mut runs = match Runs::prepare(job) {
        Ok(runs) => runs,
        Err(failure) => {
            compare_process::print_answer(Err(failure))?;
            return Ok(true);
        }
    };
    while compare_process::is_wanted() {
        compare_process::print_answer(runs.next())?;
    }
    Ok(true)
}

/// A compressor and a file, ready to run.
struct Runs {
    sample: Sample,
    candidates: Vec<Candidate>,
    /// Index of the compressor.
    compressor: usize,
    line: MeasureLine,
}

impl Runs {
    fn prepare(job: CompareOneJob) -> Result<Runs, Failure> {
        let models = Models::new(&job.options.resources).for_originals(|| Some(job.bytes));
        let candidates = models.candidates(&job.models, &mut |_| {})?;
        let known = compare::compressors(&candidates);
        let compressor = known.iter().position(|one| one.name == job.compressor);
        let compressor = compressor
            .ok_or_else(|| Failure::Message(format!("no compressor {}", job.compressor)))?;
        Ok(Runs {
            sample: Sample {
                name: job.file,
                bytes: compare_process::read_file(job.bytes)?,
            },
            candidates,
            compressor,
            line: MeasureLine::new(job.options.progress),
        })
    }

    fn next(&mut self) -> Result<Run, Failure> {
        let line = &mut self.line;
        let run = compare::measure(
            &self.sample,
            &self.candidates,
            self.compressor,
            &mut |progress| line.update(progress),
        )?;
        line.clear();
        Ok(Run {
            peak_memory: peak_memory(),
            ..run
        })
    }
}
