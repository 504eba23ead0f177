//! `compress`: turns files into frames.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use llmzip::frame::{OnProgress, compress_with};
use llmzip::{DecoderOptions, EncoderOptions, Summary};

use super::estimate;
use super::failure::Failure;
use super::files::{self, FileCoder, Forecast};
use super::input::OpenInput;
use super::meant::{CompressJob, SUFFIX};
use super::memory::Use;
use super::models::Models;
use super::output::Content;
use super::prime::PrimeFiles;

pub(super) fn run(job: CompressJob) -> Result<bool, Failure> {
    let models = Models::new(job.resources);
    let model = models.choose(&job.model)?;
    let mut primes = PrimeFiles::default();
    let prime = job.prime.as_deref().map(|path| primes.open(path));
    let prime = prime.transpose()?;
    let options = EncoderOptions::new()
        .model(model)
        .experts(job.experts)
        .preset(job.preset)
        .checksum(job.checksum)
        .independent_blocks(job.independent_blocks)
        .prime(prime)
        .block_len(job.block_len)
        .frame_len(job.frame_len)
        .streams(job.streams);
    let verify_with = job.verify.then(|| reverse(&options));
    models.check_memory(&Use::compressing(&options))?;
    let mut compressor = Compressor {
        estimate_time: job.files.verbosity.progress,
        options,
        verify_with,
    };
    files::run(&job.files, &primes, &mut compressor)
}

/// The options to decompress what is compressed with `options`.
fn reverse(options: &EncoderOptions) -> DecoderOptions {
    let models = llmzip::Models::none();
    let mut reverse = DecoderOptions::from(match &options.model {
        Some(model) => models.with(Arc::clone(model)),
        None => models,
    });
    reverse.primes.extend(options.prime.clone());
    reverse
}

struct Compressor {
    options: EncoderOptions,
    estimate_time: bool,
    verify_with: Option<DecoderOptions>,
}

impl FileCoder for Compressor {
    const WRITES: Content = Content::Compressed;

    fn output_path(&self, input: &Path, force: bool) -> Result<PathBuf, Failure> {
        if !force
            && input
                .extension()
                .is_some_and(|extension| extension == &SUFFIX[1..])
        {
            return Err(Failure::message(
                "is compressed already, skipped; -f compresses it again",
            ));
        }
        let mut name = input.as_os_str().to_owned();
        name.push(SUFFIX);
        Ok(PathBuf::from(name))
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
