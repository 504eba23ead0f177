//! `scaling`: shows how file sizes depend on model size.

use llmzip::report::{Candidate, scaling};

use super::failure::Failure;
use super::meant::ScalingJob;
use super::print;
use super::report_file::ReportFile;
use super::workload::{self, MeasureLine};

pub(super) fn run(job: ScalingJob) -> Result<bool, Failure> {
    let ScalingJob {
        measurement,
        experts,
        render,
        files,
    } = job;
    let options = measurement.options;
    let open = |path| ReportFile::open(path, &measurement.inputs, options.force);
    let opened = files.iter().map(|(path, _)| open(path));
    let opened: Vec<ReportFile> = opened.collect::<Result<_, _>>()?;
    let Some(workload) = workload::prepare(&measurement)? else {
        return Ok(false);
    };
    let mut candidates = workload.candidates;
    if !experts {
        let alone = candidates.into_iter().map(Candidate::without_experts);
        candidates = alone.collect();
    }
    let mut line = MeasureLine::new(options.progress);
    let scaling = scaling::measure(&workload.samples, &candidates, &mut |progress| {
        line.update(progress);
    })?;
    drop(line);
    print::result(&render(&scaling))?;
    for (file, (_, render)) in opened.into_iter().zip(&files) {
        file.write(&render(&scaling))?;
    }
    Ok(workload.complete)
}
