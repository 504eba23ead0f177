//! How long a run will take, found by coding a little of it first.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use llmzip::container::{Mode, ModelRef};
use llmzip::{CompressOptions, Error, Model, compress, decompress};

use super::info::{Contents, Frame};
use super::models::Models;

/// Runs shorter than this are not worth a word.
const LONG: Duration = Duration::from_secs(20);
/// Files with fewer bytes than this are not worth a trial.
const LARGE: u64 = 64 << 10;
/// Bytes compressed as a trial: few, and then more. What the two have in common is not counted.
const TRIAL: [usize; 2] = [256, 2 << 10];
/// Bytes decompressed as a trial: a decoder takes one token after the other, many times slower.
const SHORT_TRIAL: [usize; 2] = [64, 1 << 10];

/// How long compressing the `len` bytes of the file at `path` will take, if long.
pub(super) fn compression(path: &Path, len: u64, options: &CompressOptions) -> Option<Duration> {
    if len < LARGE || options.model.is_none() {
        return None;
    }
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::Start(len / 2)).ok()?;
    let mut sample = Vec::new();
    file.take(TRIAL[1] as u64).read_to_end(&mut sample).ok()?;
    extrapolate(&sample, TRIAL, len, |sample| {
        let start = Instant::now();
        compress(sample, io::sink(), options, &mut |_| {}).ok()?;
        Some(start.elapsed())
    })
}

/// How long decompressing a file with these contents will take, if long.
pub(super) fn decompression(contents: &Contents, models: &mut Models) -> Option<Duration> {
    // Only what went through a model takes long enough to speak of.
    let by_model = |frame: &Frame| frame.modes[Mode::Model as usize].original_len;
    let len: u64 = contents.frames.iter().map(by_model).sum();
    if len < LARGE {
        return None;
    }
    let mut frames = contents.frames.iter();
    let frame = frames.find(|frame| by_model(frame) > 0)?;
    let model = models.resolve(frame.header.model.as_ref()?).ok()?;
    let options = CompressOptions {
        model: Some(Arc::clone(&model)),
        streams: Some(contents.streams()),
        ..CompressOptions::default()
    };
    // Any text will do.
    let sample = include_bytes!("estimate.rs");
    extrapolate(sample, SHORT_TRIAL, len, |sample| {
        let mut compressed = Vec::new();
        compress(sample, &mut compressed, &options, &mut |_| {}).ok()?;
        let mut resolve = |_: &ModelRef| -> Result<Arc<Model>, Error> { Ok(Arc::clone(&model)) };
        let start = Instant::now();
        decompress(compressed.as_slice(), io::sink(), &mut resolve, &mut |_| {}).ok()?;
        Some(start.elapsed())
    })
}

/// The time for `len` bytes, from the times for two beginnings of `sample`.
fn extrapolate(
    sample: &[u8],
    sizes: [usize; 2],
    len: u64,
    mut time: impl FnMut(&[u8]) -> Option<Duration>,
) -> Option<Duration> {
    let few = time(sample.get(..sizes[0])?)?;
    let more = time(sample.get(..sizes[1])?)?;
    let a_byte = more.saturating_sub(few).as_secs_f64() / (sizes[1] - sizes[0]) as f64;
    let all = Duration::try_from_secs_f64(a_byte * len as f64).ok()?;
    (all >= LONG).then_some(all)
}
