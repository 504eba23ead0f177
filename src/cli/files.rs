//! Opens each input, codes it and puts the output in place.
//!
//! A [`FileCoder`] does the coding: `compress` has one, and the commands that decompress have
//! another.

use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use llmzip::frame::{OnProgress, Progress};
use llmzip::machine::pages;
use llmzip::{DecoderOptions, Model, Summary, Times};

use super::failure::Failure;
use super::folders::Found;
use super::input::{self, InputFile, OpenInput};
use super::lasting::Lasting;
use super::meant::{Destination, FilesJob};
use super::needed::{self, Needed};
use super::output::{Content, Output, Stored};
use super::prime::PrimeFiles;
use super::print;
use super::progress::ProgressLine;
use super::remove::remove_input;
use super::text::{self, Ratio};
use super::verify::{self, HashingReader};

/// A file of a folder whose folder is not there any more.
const MOVED: &str = "another folder took the place of its own, skipped";

/// What is done with the contents of files.
pub(super) trait FileCoder {
    /// What it writes.
    const WRITES: Content;

    /// The path of the output that goes beside the input at this path.
    fn output_path(&self, input: &Path, force: bool) -> Result<PathBuf, Failure>;

    /// The models that are known to be needed.
    fn models(&self) -> Vec<Arc<Model>>;

    /// What outputs need to be decompressed; `None` if they are decompressed already.
    fn needed_by_outputs(&self) -> Option<&Lasting>;

    /// How each output is decompressed to be compared with the input, if that is wanted.
    fn verify_with(&self) -> Option<&DecoderOptions>;

    /// Called before a file is coded: refuses what is impossible, and tells what is known already.
    fn forecast(&mut self, input: &OpenInput) -> Result<Forecast, Failure>;

    /// Codes one file.
    fn code(
        &mut self,
        reader: &mut dyn Read,
        writer: &mut dyn Write,
        progress: OnProgress<'_>,
    ) -> Result<Summary, Failure>;
}

/// What is known of a file before it is coded.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Forecast {
    /// Original bytes.
    pub(super) original_len: Option<u64>,
    /// How long coding will take, if that is long.
    pub(super) time: Option<Duration>,
}

/// Codes all files. Returns whether all went well; failures of single files have been reported.
pub(super) fn run<C: FileCoder>(
    files: &[Found],
    job: &FilesJob,
    primes: &PrimeFiles,
    coder: &mut C,
) -> Result<bool, Failure> {
    let mut all_well = true;
    // Many small files use the same tables.
    let _tables = pages::keep();
    let start = Instant::now();
    let mut totals = Totals::default();
    for found in files {
        let coded = match found.is_where_it_was() {
            true => code_file(job, primes, found, coder, &mut totals),
            false => Err(Failure::message(MOVED)),
        };
        match coded {
            Ok(()) => {}
            Err(Failure::BrokenPipe) => return Err(Failure::BrokenPipe),
            Err(failure) => {
                print::error(&failure.about(input::name(&found.input)).to_string());
                all_well = false;
            }
        }
    }
    if job.verbosity.summary && files.len() > 1 && totals.files > 0 {
        print::note(&totals.line(C::WRITES, start.elapsed()));
    }
    Ok(all_well)
}

/// What was done with several files.
#[derive(Default)]
struct Totals {
    files: usize,
    original_len: u64,
    compressed_len: u64,
}

impl Totals {
    fn add(&mut self, summary: Summary) {
        self.files += 1;
        self.original_len += summary.original_len;
        self.compressed_len += summary.compressed_len;
    }

    fn line(&self, writes: Content, elapsed: Duration) -> String {
        let name = match self.files {
            1 => "1 file".to_owned(),
            files => format!("{files} files"),
        };
        summary_line(
            &name,
            writes,
            self.original_len,
            self.compressed_len,
            elapsed,
        )
    }
}

fn code_file<C: FileCoder>(
    job: &FilesJob,
    primes: &PrimeFiles,
    found: &Found,
    coder: &mut C,
    totals: &mut Totals,
) -> Result<(), Failure> {
    let input = &found.input;
    if C::WRITES == Content::Original {
        input::refuse_terminal(input)?;
    }
    let name = input::name(input);
    let mut opened = input::open(input, job.accept)?;
    if job.remove_inputs && opened.regular().is_some_and(needed::is_written_to) {
        return Err(Failure::message(
            "standard output or standard error goes to it, so --rm would lose what is written",
        ));
    }
    let mut output = open_output(job, primes, &opened, coder)?;
    // An input whose output is no file is not deleted, so nothing depends on that output.
    if coder.verify_with().is_some() && output.written().is_none() && !job.remove_inputs {
        return Err(Failure::message("only a regular file can be verified"));
    }
    let start = Instant::now();
    let (summary, read) = code_and_verify(job, &name, &mut opened, &mut output, coder)?;
    let needed = Needed {
        primes,
        models: coder.models(),
        by_outputs: coder.needed_by_outputs(),
    };
    let stored = place(found, &opened, output, &needed)?;
    let elapsed = start.elapsed();
    if job.verbosity.summary {
        let (original, compressed) = (summary.original_len, summary.compressed_len);
        let line = summary_line(&name, C::WRITES, original, compressed, elapsed);
        print::note(&line);
    }
    totals.add(summary);
    if job.verbosity.details {
        print_details(summary, elapsed);
    }
    match read {
        Some(_) if job.remove_inputs && !found.is_where_it_was() => Err(Failure::message(
            "done, but the input is not deleted: another folder took the place of its own",
        )),
        Some(read) if job.remove_inputs => remove_input(&opened, &needed, &stored, read),
        _ => {
            warn(&opened, &stored);
            Ok(())
        }
    }
}

/// Codes an open input into an open output, and decompresses that again if it is to be verified.
/// An output that is no regular file is not read again. Also returns the hash of what was read, if
/// it is compared with anything.
fn code_and_verify<C: FileCoder>(
    job: &FilesJob,
    name: &str,
    input: &mut OpenInput,
    output: &mut Output,
    coder: &mut C,
) -> Result<(Summary, Option<blake3::Hash>), Failure> {
    let forecast = coder.forecast(input)?;
    let line = ProgressLine::new(
        name,
        forecast.original_len,
        C::WRITES == Content::Compressed,
        job.verbosity.progress,
    );
    if let Some(time) = forecast.time {
        line.announce(&format!("{name}: about {}", text::duration(time)));
    }
    let mut show = |progress: Progress| {
        line.update(progress.original, progress.compressed);
        ControlFlow::Continue(())
    };
    if coder.verify_with().is_none() && !job.remove_inputs {
        return Ok((coder.code(&mut *input.reader, output, &mut show)?, None));
    }
    let mut reader = HashingReader::new(&mut *input.reader);
    let summary = coder.code(&mut reader, output, &mut show)?;
    let read = reader.hash();
    if let (Some(options), Some(file)) = (coder.verify_with(), output.written()) {
        verify::verify(file, read, options, &mut show)?;
    }
    Ok((summary, Some(read)))
}

/// Puts an output in place, unless that has become a wrong place meanwhile.
fn place(
    found: &Found,
    input: &OpenInput,
    output: Output,
    needed: &Needed<'_>,
) -> Result<Stored, Failure> {
    if !found.is_where_it_was() {
        return Err(Failure::message(MOVED));
    }
    // Only now it is known which models a compressed file needs.
    if let Some(path) = output.replaces() {
        needed.refuse_output(path)?;
    }
    output.commit(input)
}

/// Says what is not as it should be of an input that stays.
fn warn(input: &OpenInput, stored: &Stored) {
    let name = input.path().map(text::path).unwrap_or_default();
    if let Stored::Unsafely(error) = stored {
        print::warning(&format!(
            "{name}: the disk may not hold the output yet: {error}"
        ));
    }
    if input.regular().is_some_and(InputFile::has_new_contents) {
        print::warning(&format!("{name}: it changed while it was read"));
    }
}

fn open_output<C: FileCoder>(
    job: &FilesJob,
    primes: &PrimeFiles,
    input: &OpenInput,
    coder: &C,
) -> Result<Output, Failure> {
    let needed = Needed {
        primes,
        models: coder.models(),
        by_outputs: coder.needed_by_outputs(),
    };
    needed.refuse_streams()?;
    let path = match (&job.destination, input.path()) {
        (Destination::Nowhere, _) => return Ok(Output::Nowhere),
        (Destination::Stdout, _) | (Destination::Beside, None) => {
            return Output::stdout(C::WRITES, input, job.force);
        }
        (Destination::File(path), _) => path.clone(),
        (Destination::Beside, Some(path)) => coder.output_path(path, job.force)?,
    };
    needed.refuse_output(&path)?;
    Output::file(&path, input, job.force)
}

/// `alice29.txt: 152089 -> 19012 bytes (12.5 %, 1.000 bpb, 8.0x) in 3.1 s, 49 KB/s`
fn summary_line(
    name: &str,
    writes: Content,
    original: u64,
    compressed: u64,
    elapsed: Duration,
) -> String {
    let (from, to) = match writes {
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

fn print_details(summary: Summary, elapsed: Duration) {
    let modes = summary.modes;
    print::note(&format!(
        "  original bytes by mode: model {}, experts {}, raw {}",
        modes.model, modes.experts, modes.raw
    ));
    let Times { engine, coder, .. } = summary.times;
    let rest = elapsed.checked_sub(engine + coder);
    let [engine, coder] = [engine, coder].map(text::duration);
    let coding = format!("waiting for the model {engine}, experts and coder {coder}");
    print::note(&match rest.map(text::duration) {
        Some(rest) => format!("  time: {coding}, trials, reading and writing {rest}"),
        // Several frames were coded at the same time.
        None => format!("  time of all threads: {coding}"),
    });
}
