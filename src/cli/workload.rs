//! Prepares the input of reports: reads the files, opens the models and shows the progress.

use std::io::Read;
use std::ops::ControlFlow;

use llmzip::report::{Candidate, MeasureProgress, Phase, Sample};

use super::failure::Failure;
use super::input;
use super::meant::{Accept, Input, Measurement};
use super::models::Models;
use super::print;
use super::progress::StepLine;

/// The files and models of a report, ready to be measured.
pub(super) struct Workload {
    pub(super) samples: Vec<Sample>,
    pub(super) candidates: Vec<Candidate>,
    /// Whether nothing is missing. What is missing has been reported.
    pub(super) complete: bool,
}

/// Reads all inputs and makes all models ready; `None` if no input could be read.
pub(super) fn prepare(measurement: &Measurement) -> Result<Option<Workload>, Failure> {
    let samples = read_all(measurement);
    if samples.is_empty() {
        return Ok(None);
    }
    let mut complete = samples.len() == measurement.inputs.len();
    let len = samples.iter().map(|sample| sample.bytes.len() as u64).sum();
    let models = Models::new(&measurement.options.resources).for_originals(|| Some(len));
    let candidates = models.candidates(&measurement.models, &mut |failure| {
        print::error(&failure.to_string());
        complete = false;
    })?;
    Ok(Some(Workload {
        samples,
        candidates,
        complete,
    }))
}

/// Reads the inputs that can be read. The others are reported.
fn read_all(measurement: &Measurement) -> Vec<Sample> {
    let mut samples = Vec::new();
    for input in &measurement.inputs {
        match read(input) {
            Ok(sample) => samples.push(sample),
            Err(failure) => print::error(&failure.to_string()),
        }
    }
    samples
}

/// Reads an input whole.
pub(super) fn read(input: &Input) -> Result<Sample, Failure> {
    let name = input::name(input);
    let mut bytes = Vec::new();
    input::open(input, Accept::Pipes)
        .and_then(|mut opened| {
            let read = opened.reader.read_to_end(&mut bytes);
            read.map_err(|error| Failure::Message(format!("cannot read: {error}")))
        })
        .map_err(|failure| failure.about(&name))?;
    Ok(Sample { name, bytes })
}

/// Shows on one line which file is measured under which compressor, and how far that has come.
pub(super) struct MeasureLine {
    show: bool,
    line: StepLine,
}

impl MeasureLine {
    pub(super) fn new(show: bool) -> MeasureLine {
        MeasureLine {
            show,
            line: StepLine::new(),
        }
    }

    /// Takes the line away until something is measured again.
    #[cfg(feature = "compare")]
    pub(super) fn clear(&mut self) {
        self.line.clear();
    }

    /// Shows it. Never cancels: a signal does that.
    pub(super) fn update(&mut self, progress: MeasureProgress<'_>) -> ControlFlow<()> {
        if !self.show {
            return ControlFlow::Continue(());
        }
        let phase = match progress.phase {
            Phase::Compress => "compressing",
            Phase::Decompress => "decompressing",
            Phase::Predict => "measuring",
        };
        let name = format!("{}, {}, {phase}", progress.file, progress.compressor);
        self.line.update(&name, progress.done, progress.total);
        ControlFlow::Continue(())
    }
}
