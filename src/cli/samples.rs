//! What reports measure: inputs read whole, and how far the measurement has come.

use std::io::Read;

use llmzip::Progress;
use llmzip::report::{Direction, Sample, Step};

use super::failure::Failure;
use super::input;
use super::meant::Measure;
use super::progress::Bar;
use super::text;

/// Reads all inputs; whether all could be read. Those that could not have been reported.
pub(super) fn read(measure: &Measure) -> (Vec<Sample>, bool) {
    let mut samples = Vec::new();
    for input in &measure.inputs {
        let mut bytes = Vec::new();
        let read = input::open(input, measure.force).and_then(|mut opened| {
            let read = opened.reader.read_to_end(&mut bytes);
            read.map_err(|error| Failure::Said(format!("cannot read: {error}")))
        });
        let name = input::name(input);
        match read {
            Ok(_) => samples.push(Sample { name, bytes }),
            Err(failure) => text::complain(&format!("{name}: {failure}")),
        }
    }
    let all_well = samples.len() == measure.inputs.len();
    (samples, all_well)
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

    pub(super) fn update(&mut self, step: Step<'_>) {
        if !self.show {
            return;
        }
        let direction = match step.direction {
            Direction::Compress => "compressing",
            Direction::Decompress => "decompressing",
        };
        let name = format!("{}, {}, {direction}", step.file, step.compressor);
        if self.current.as_ref().is_none_or(|(now, _)| *now != name) {
            // The old line goes before the new one comes.
            self.current = None;
            let bar = Bar::new(&name, Some(step.total), false, true);
            self.current = Some((name, bar));
        }
        if let Some((_, bar)) = &self.current {
            bar.update(Progress {
                original: step.done,
                compressed: 0,
            });
        }
    }
}
