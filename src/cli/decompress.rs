//! `decompress`, `cat` and `test`: decode frames and write the original to files, to standard
//! output or nowhere.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use llmzip::frame::{
    OnProgress, Part, decompress_part_with, decompress_seekable_part_with, decompress_with,
};
use llmzip::{DecoderOptions, Model, Summary};

use super::contents::Contents;
use super::estimate;
use super::failure::Failure;
use super::files::{self, FileCoder, Forecast};
use super::folders;
use super::input::OpenInput;
use super::lasting::Lasting;
use super::meant::{DecompressJob, FilesJob, SUFFIX, is_compressed};
use super::models::Models;
use super::output::Content;
use super::prime::PrimeFiles;

/// Original bytes of a text for each compressed one, roughly.
const TYPICAL_RATIO: u64 = 8;

pub(super) fn run(job: DecompressJob) -> Result<bool, Failure> {
    let FilesJob {
        inputs, recursive, ..
    } = &job.files;
    let (found, all_found) = folders::find(inputs, *recursive, &is_compressed);
    let original_len = || Some(folders::len(&found)?.saturating_mul(TYPICAL_RATIO));
    let mut models = Models::new(&job.resources).for_originals(original_len);
    if let Some(name) = &job.model {
        models.prefer(name)?;
    }
    let mut options = DecoderOptions::default().limit(job.max_output);
    let mut primes = PrimeFiles::default();
    for path in &job.primes {
        options.primes.push(primes.open(path)?);
    }
    models.expect_primes(options.primes.iter().map(|prime| prime.size() as u64).sum());
    let mut decompressor = Decompressor {
        options,
        estimate_time: job.files.verbosity.progress && job.part.is_none(),
        models,
        part: job.part,
        seekable: None,
    };
    Ok(files::run(&found, &job.files, &primes, &mut decompressor)? && all_found)
}

struct Decompressor {
    /// Limit and primes.
    options: DecoderOptions,
    models: Models,
    estimate_time: bool,
    /// The part of the original that is wanted, if not all.
    part: Option<Part>,
    /// The file, if a part of it is wanted and it can be read from any place.
    seekable: Option<File>,
}

impl FileCoder for Decompressor {
    const WRITES: Content = Content::Original;

    fn output_path(&self, input: &Path, _: bool) -> Result<PathBuf, Failure> {
        // Names need not be UTF-8. A name that begins with its only dot has no extension.
        let is_dots = |stem: &OsStr| stem == "." || stem == "..";
        // .llmz, ..llmz and ...llmz
        let lacks_name =
            input.file_name() == Some(OsStr::new(SUFFIX)) || input.file_stem().is_some_and(is_dots);
        let lacks = match (lacks_name, is_compressed(input)) {
            (false, true) => return Ok(input.with_extension("")),
            (true, _) => format!("has no name before {SUFFIX}"),
            (false, false) => format!("has no {SUFFIX} at the end of its name"),
        };
        Err(Failure::Message(format!(
            "{lacks}; name the output with -o"
        )))
    }

    fn models(&self) -> Vec<Arc<Model>> {
        self.models.used().to_vec()
    }

    fn needed_by_outputs(&self) -> Option<&Lasting> {
        None
    }

    /// What is decompressed has checksums.
    fn verify_with(&self) -> Option<&DecoderOptions> {
        None
    }

    fn forecast(&mut self, input: &OpenInput) -> Result<Forecast, Failure> {
        if self.part.is_some() && input.len().is_some() {
            self.seekable = input.path().and_then(|path| File::open(path).ok());
        }
        // The frames of a pipe are decompressed as they come.
        self.options.workers = match input.len() {
            Some(_) => self.models.workers_to_decompress(),
            None => 1,
        };
        self.models.check_memory_of_any_file()?;
        // More streams are refused at the block that has them.
        self.models.expect_streams(1);
        // The whole file is read once more for this, so only where somebody wants to know.
        if !self.estimate_time && !self.models.have_memory_limit() {
            return Ok(Forecast::default());
        }
        // A damaged file has no contents here; the decoder will say what is wrong with it.
        let Some(contents) = contents(input) else {
            return Ok(Forecast::default());
        };
        self.models.expect_streams(contents.most_streams);
        for settings in &contents.experts {
            self.models.check_experts(*settings)?;
        }
        let time = if self.estimate_time {
            estimate::decompression(&contents, self.options.workers, &mut self.models)
        } else {
            None
        };
        Ok(Forecast {
            original_len: (self.part.is_none()).then_some(contents.totals.original_len),
            time,
        })
    }

    fn code(
        &mut self,
        reader: &mut dyn Read,
        writer: &mut dyn Write,
        progress: OnProgress<'_>,
    ) -> Result<Summary, Failure> {
        let models = &mut self.models;
        let options = &self.options;
        let result = match (self.part, self.seekable.take()) {
            (None, _) => decompress_with(reader, writer, models, options, progress),
            (Some(part), None) => {
                decompress_part_with(reader, writer, part, models, options, progress)
            }
            (Some(part), Some(file)) => {
                decompress_seekable_part_with(file, writer, part, models, options, progress)
            }
        };
        match (result, models.take_refusal()) {
            (Err(_), Some(refusal)) => Err(Failure::Message(refusal)),
            (result, _) => Ok(result?),
        }
    }
}

/// The contents of a regular file that is sound.
fn contents(input: &OpenInput) -> Option<Contents> {
    let (path, _) = (input.path()?, input.len()?);
    let file = File::open(path).ok()?;
    Contents::read(file).ok()
}
