//! What reports measure: inputs read whole, and how far the measurement has come.

use std::io::Read;

use llmzip::Progress;
use llmzip::report::{Candidate, MeasureProgress, Phase, Sample};

use super::failure::Failure;
use super::input;
use super::meant::{Input, Measure};
use super::models::Models;
use super::progress::Bar;
use super::text;

/// What a report measures, and with what.
pub(super) struct Material {
    pub(super) samples: Vec<Sample>,
    pub(super) candidates: Vec<Candidate>,
    /// Whether nothing is missing. What is has been reported.
    pub(super) complete: bool,
}

/// Reads all inputs and makes all models ready; `None` if no input could be read.
pub(super) fn gather(measure: &Measure) -> Result<Option<Material>, Failure> {
    let (samples, mut complete) = read(measure);
    if samples.is_empty() {
        return Ok(None);
    }
    let candidates =
        Models::new(measure.watching.means).ladder(&measure.models, &mut |failure| {
            text::complain(&failure.to_string());
            complete = false;
        })?;
    Ok(Some(Material {
        samples,
        candidates,
        complete,
    }))
}

/// Reads all inputs; whether all could be read. Those that could not have been reported.
fn read(measure: &Measure) -> (Vec<Sample>, bool) {
    let mut samples = Vec::new();
    for input in &measure.inputs {
        match read_one(input, measure.watching.force) {
            Ok(sample) => samples.push(sample),
            Err(failure) => text::complain(&failure.to_string()),
        }
    }
    let all_well = samples.len() == measure.inputs.len();
    (samples, all_well)
}

/// Reads an input whole.
pub(super) fn read_one(input: &Input, force: bool) -> Result<Sample, Failure> {
    let name = input::name(input);
    let mut bytes = Vec::new();
    input::open(input, force)
        .and_then(|mut opened| {
            let read = opened.reader.read_to_end(&mut bytes);
            read.map_err(|error| Failure::Said(format!("cannot read: {error}")))
        })
        .map_err(|failure| Failure::Said(format!("{name}: {failure}")))?;
    Ok(Sample { name, bytes })
}

/// A bar that says which compressor works on which file.
pub(super) struct Steps {
    show: bool,
    current: Option<(String, Bar)>,
}

impl Steps {
    pub(super) fn new(show: bool) -> Steps {
        Steps {
            show,
            current: None,
        }
    }

    pub(super) fn update(&mut self, progress: MeasureProgress<'_>) {
        if !self.show {
            return;
        }
        let phase = match progress.phase {
            Phase::Compress => "compressing",
            Phase::Decompress => "decompressing",
            Phase::Predict => "measuring",
        };
        let name = format!("{}, {}, {phase}", progress.file, progress.compressor);
        if self.current.as_ref().is_none_or(|(now, _)| *now != name) {
            // The old line goes before the new one comes.
            self.current = None;
            let bar = Bar::new(&name, Some(progress.total), false, true);
            self.current = Some((name, bar));
        }
        if let Some((_, bar)) = &self.current {
            bar.update(Progress {
                original: progress.done,
                compressed: 0,
            });
        }
    }
}
