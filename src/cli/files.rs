//! Takes each input through opening, coding and replacing, whatever the coding is.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use llmzip::{OnProgress, Summary, Times};

use super::failure::Failure;
use super::input::{self, Opened};
use super::meant::{Destination, Files, Input};
use super::output::{self, Content, Output};
use super::progress::Bar;
use super::text::{self, Ratio};

/// What is done with the contents of files.
pub(super) trait Work {
    /// What it produces.
    const PRODUCES: Content;

    /// The name of the output that goes beside an input of this name.
    fn output_path(&self, input: &Path) -> Result<PathBuf, Failure>;

    /// Before a file is coded: refuses what cannot be done, and gives what can be known beforehand.
    fn forecast(&mut self, input: &Opened) -> Result<Forecast, Failure>;

    /// Codes one file.
    fn code(
        &mut self,
        reader: &mut dyn Read,
        writer: &mut dyn Write,
        progress: OnProgress<'_>,
    ) -> Result<Summary, Failure>;
}

/// What is known of a run before it starts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Forecast {
    /// Original bytes.
    pub(super) original_len: Option<u64>,
    /// How long it will take, if that is worth a word.
    pub(super) time: Option<Duration>,
}

/// Works on all `files`; whether all went well. Failures have been reported.
pub(super) fn run(files: &Files, work: &mut impl Work) -> Result<bool, Failure> {
    let mut all_well = true;
    for input in &files.inputs {
        match one(files, input, work) {
            Ok(()) => {}
            Err(Failure::BrokenPipe) => return Err(Failure::BrokenPipe),
            Err(Failure::Usage(message) | Failure::Said(message)) => {
                text::complain(&format!("{}: {message}", input::name(input)));
                all_well = false;
            }
        }
    }
    Ok(all_well)
}

fn one<W: Work>(files: &Files, input: &Input, work: &mut W) -> Result<(), Failure> {
    if W::PRODUCES == Content::Original {
        input::refuse_terminal(input)?;
    }
    let name = input::name(input);
    let mut opened = input::open(input, files.force)?;
    let mut output = match (&files.destination, opened.path()) {
        (Destination::Nowhere, _) => Output::Nowhere,
        (Destination::Stdout, _) | (Destination::Beside, None) => {
            Output::stdout(W::PRODUCES, files.force)?
        }
        (Destination::File(path), _) => Output::file(path, &opened, files.force)?,
        (Destination::Beside, Some(path)) => {
            Output::file(&work.output_path(path)?, &opened, files.force)?
        }
    };
    let forecast = work.forecast(&opened)?;
    let ratio = W::PRODUCES == Content::Compressed;
    let bar = Bar::new(&name, forecast.original_len, ratio, files.talk.progress);
    if let Some(time) = forecast.time {
        bar.announce(&format!("{name}: about {}", text::duration(time)));
    }
    let start = Instant::now();
    let summary = work.code(&mut opened.reader, &mut output, &mut |progress| {
        bar.update(progress)
    })?;
    let in_a_file = output.commit(&opened)?;
    let elapsed = start.elapsed();
    drop(bar);
    if files.remove_inputs && in_a_file {
        output::remove_input(&opened)?;
    }
    if files.talk.summary {
        text::say(&line::<W>(&name, summary, elapsed));
    }
    if files.talk.verbose {
        let modes = summary.modes;
        text::say(&format!(
            "  original bytes by mode: model {}, experts {}, raw {}",
            modes.model, modes.experts, modes.raw
        ));
        let Times { engine, coder } = summary.times;
        let rest = elapsed.saturating_sub(engine + coder);
        let [engine, coder, rest] = [engine, coder, rest].map(text::duration);
        text::say(&format!(
            "  time: waiting for the model {engine}, experts and coder {coder}, trials, reading and writing {rest}"
        ));
    }
    Ok(())
}

/// `alice29.txt: 152089 -> 19012 bytes (12.5 %, 1.000 bpb, 8.0x) in 3.1 s, 49 KB/s`
fn line<W: Work>(name: &str, summary: Summary, elapsed: Duration) -> String {
    let (original, compressed) = (summary.original_len, summary.compressed_len);
    let (from, to) = match W::PRODUCES {
        Content::Compressed => (original, compressed),
        Content::Original => (compressed, original),
    };
    let time = text::duration(elapsed);
    if original == 0 {
        return format!("{name}: {from} -> {to} bytes in {time}");
    }
    let ratio = Ratio {
        original,
        compressed,
    };
    let rate = text::rate(original, elapsed);
    format!("{name}: {from} -> {to} bytes ({ratio}) in {time}, {rate}")
}
