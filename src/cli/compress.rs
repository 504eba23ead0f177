//! `compress`: turns files into frames.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use llmzip::frame::{OnProgress, compress_with};
use llmzip::{DecoderOptions, EncoderOptions, Model, Summary};

use super::budget;
use super::estimate;
use super::failure::Failure;
use super::files::{self, FileCoder, Forecast};
use super::folders::{self, Found};
use super::input::OpenInput;
use super::lasting::Lasting;
use super::meant::{CompressJob, FilesJob, ModelChoice, SUFFIX, is_compressed, model_choice};
use super::memory::Use;
use super::models::{self, Models};
use super::output::Content;
use super::prime::PrimeFiles;

pub(super) fn run(job: CompressJob) -> Result<bool, Failure> {
    let FilesJob {
        inputs, recursive, ..
    } = &job.files;
    let (found, all_found) = folders::find(inputs, *recursive, &|path| !is_compressed(path));
    let models = Models::new(&job.resources).for_originals(|| folders::len(&found));
    let mut primes = PrimeFiles::new(job.files.remove_inputs);
    let prime = job.prime.as_deref().map(|path| primes.open(path));
    let rest = EncoderOptions::new()
        .experts(job.experts)
        .checksum(job.checksum)
        .independent_blocks(job.independent_blocks)
        .prime(prime.transpose()?)
        .block_len(job.block_len)
        .frame_len(job.frame_len)
        .streams(job.streams)
        .device_streams(job.device_streams);
    let mut options = match job.budget {
        None => rest
            .model(models.choose(&job.model)?)
            .preset(job.preset)
            .wanted_gain(job.wanted_gain),
        Some(budget) => within(budget, &found, &models, &rest)?,
    };
    options.workers = models.workers(&options);
    let verify_with = job.verify.then(|| reverse(&options));
    models.check_memory(&Use::compressing(&options))?;
    let needed = needed_by_outputs(&job, &primes, &options);
    if job.files.remove_inputs {
        needed.refuse_fleeting()?;
    }
    let mut compressor = Compressor {
        estimate_time: job.files.verbosity.progress,
        options,
        verify_with,
        needed,
    };
    Ok(files::run(&found, &job.files, &primes, &mut compressor)? && all_found)
}

/// The options `rest` with the highest level that compresses the files in this time.
fn within(
    budget: Duration,
    files: &[Found],
    models: &Models,
    rest: &EncoderOptions,
) -> Result<EncoderOptions, Failure> {
    budget::choose(budget, files, &|level| {
        let model = models.choose(&model_choice(Some(level.model)))?;
        let options = rest
            .clone()
            .model(model)
            .preset(level.preset)
            .wanted_gain(level.wanted_gain);
        models.check_memory(&Use::compressing(&options))?;
        Ok(options)
    })
}

/// The options to decompress what is compressed with `options`.
fn reverse(options: &EncoderOptions) -> DecoderOptions {
    let models = llmzip::Models::none();
    let mut reverse = DecoderOptions::from(match &options.model {
        Some(model) => models.with(Arc::clone(model)),
        None => models,
    });
    reverse.primes.extend(options.prime.clone());
    reverse.workers(options.workers)
}

/// What outputs that are made with `options` need.
fn needed_by_outputs(job: &CompressJob, primes: &PrimeFiles, options: &EncoderOptions) -> Lasting {
    let model = options.model.as_ref().and_then(|model| {
        // A budget chooses among models that have names.
        let named = match &job.model {
            ModelChoice::Named(name) if job.budget.is_none() => Some(name.as_str()),
            _ => None,
        };
        models::file(named, model)
    });
    let files = primes.lasting().chain(model).collect();
    Lasting::new(files).with_folders(primes.lasting_folders())
}

struct Compressor {
    options: EncoderOptions,
    estimate_time: bool,
    verify_with: Option<DecoderOptions>,
    needed: Lasting,
}

impl FileCoder for Compressor {
    const WRITES: Content = Content::Compressed;

    fn output_path(&self, input: &Path, force: bool) -> Result<PathBuf, Failure> {
        if !force && is_compressed(input) {
            return Err(Failure::message(
                "is compressed already, skipped; -f compresses it again",
            ));
        }
        let mut name = input.as_os_str().to_owned();
        name.push(SUFFIX);
        Ok(PathBuf::from(name))
    }

    fn models(&self) -> Vec<Arc<Model>> {
        self.options.model.iter().cloned().collect()
    }

    fn needed_by_outputs(&self) -> Option<&Lasting> {
        Some(&self.needed)
    }

    fn verify_with(&self) -> Option<&DecoderOptions> {
        self.verify_with.as_ref()
    }

    fn forecast(&mut self, input: &OpenInput) -> Result<Forecast, Failure> {
        let original_len = input.len();
        let time = match (input.path(), original_len) {
            (Some(path), Some(len)) if self.estimate_time => {
                estimate::compression(path, len, &self.options)
            }
            _ => None,
        };
        Ok(Forecast { original_len, time })
    }

    fn code(
        &mut self,
        reader: &mut dyn Read,
        writer: &mut dyn Write,
        progress: OnProgress<'_>,
    ) -> Result<Summary, Failure> {
        Ok(compress_with(reader, writer, &self.options, progress)?)
    }
}
