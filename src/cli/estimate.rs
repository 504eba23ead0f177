//! How long a run will take, found by coding a little of it first.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use llmzip::container::{Mode, ModelRef};
use llmzip::{CompressOptions, Error, Model, compress, decompress};
use std::sync::Arc;

use super::info::Contents;
use super::models::Models;

/// Runs shorter than this are not worth a word.
const LONG: Duration = Duration::from_secs(20);
/// Files with fewer bytes than this are not worth a trial.
const LARGE: u64 = 64 << 10;
/// Bytes compressed as a trial.
const TRIAL: usize = 2 << 10;
/// Bytes decompressed as a trial: a decoder takes one token after the other, many times slower.
const SHORT_TRIAL: usize = 256;

/// How long compressing the `len` bytes of the file at `path` will take, if long.
pub(super) fn compression(path: &Path, len: u64, options: &CompressOptions) -> Option<Duration> {
    if len < LARGE || options.model.is_none() {
        return None;
    }
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::Start(len / 2)).ok()?;
    let mut sample = Vec::new();
    file.take(TRIAL as u64).read_to_end(&mut sample).ok()?;
    let start = Instant::now();
    compress(sample.as_slice(), io::sink(), options, &mut |_| {}).ok()?;
    scale(start.elapsed(), sample.len(), len)
}

/// How long decompressing a file with these contents will take, if long.
pub(super) fn decompression(contents: &Contents, models: &mut Models) -> Option<Duration> {
    // Only what went through a model takes long enough to speak of.
    let by_model = |frame: &super::info::Frame| frame.modes[Mode::Model as usize].original_len;
    let len: u64 = contents.frames.iter().map(by_model).sum();
    if len < LARGE {
        return None;
    }
    let wanted = contents
        .frames
        .iter()
        .find(|frame| by_model(frame) > 0)?
        .header
        .model
        .as_ref()?;
    let model = models.resolve(wanted).ok()?;
    let options = CompressOptions {
        model: Some(Arc::clone(&model)),
        ..CompressOptions::default()
    };
    let sample = &include_bytes!("estimate.rs")[..SHORT_TRIAL];
    let mut compressed = Vec::new();
    compress(sample, &mut compressed, &options, &mut |_| {}).ok()?;
    let mut resolve = |_: &ModelRef| -> Result<Arc<Model>, Error> { Ok(Arc::clone(&model)) };
    let start = Instant::now();
    decompress(compressed.as_slice(), io::sink(), &mut resolve, &mut |_| {}).ok()?;
    scale(start.elapsed(), sample.len(), len)
}

fn scale(trial: Duration, sample: usize, len: u64) -> Option<Duration> {
    let time = trial.as_secs_f64() * len as f64 / sample.max(1) as f64;
    let time = Duration::try_from_secs_f64(time).ok()?;
    (time >= LONG).then_some(time)
}
