//! Estimates how long coding a file will take, by coding a little of it first.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use llmzip::container::Mode;
use llmzip::{EncoderOptions, Model, compress, decompress};

use super::contents::{Contents, FrameContents};
use super::models::Models;

/// Shorter times are not announced.
const LONG: Duration = Duration::from_secs(20);
/// Shorter files get no estimate.
const LARGE: u64 = 64 << 10;
/// Lengths of the two trials of compression in bytes. Only the difference of their times counts, so
/// what both need at the start drops out.
const COMPRESSION_TRIALS: [usize; 2] = [256, 2 << 10];
/// The same for the experts alone.
const COMPRESSION_TRIALS_WITHOUT_MODEL: [usize; 2] = [4 << 10, 64 << 10];
/// The same for decompression, which is many times slower: it takes one token after the other.
const DECOMPRESSION_TRIALS: [usize; 2] = [64, 1 << 10];

/// How long it will take to compress the file at `path`, which has `len` bytes; `None` if not long.
pub(super) fn compression(path: &Path, len: u64, options: &EncoderOptions) -> Option<Duration> {
    if len < LARGE || options.model.is_none() {
        return None;
    }
    time_to_compress(path, len, options).filter(|time| *time >= LONG)
}

/// How long it takes to compress `len` bytes such as those in the middle of the file at `path`;
/// `None` if it cannot be read.
pub(super) fn time_to_compress(
    path: &Path,
    len: u64,
    options: &EncoderOptions,
) -> Option<Duration> {
    let trials = match options.model {
        Some(_) => COMPRESSION_TRIALS,
        None => COMPRESSION_TRIALS_WITHOUT_MODEL,
    };
    let frame_len = (options.frame_len).filter(|_| options.longest_parallel_frame() > 0);
    let frames = frame_len.map_or(1, |frame_len| len / frame_len);
    let workers = at_the_same_time(frames, options.workers);
    let mut options = options.clone();
    if let Some(model) = &mut options.model {
        *model = run_by_each(model, workers)?;
    }
    let mut file = File::open(path).ok()?;
    let middle = file.metadata().ok()?.len() / 2;
    file.seek(SeekFrom::Start(middle.saturating_sub(trials[1] as u64 / 2)))
        .ok()?;
    let mut sample = Vec::new();
    file.take(trials[1] as u64).read_to_end(&mut sample).ok()?;
    let time = |sample: &[u8]| {
        let start = Instant::now();
        compress(sample, io::sink(), &options).ok()?;
        Some(start.elapsed() / workers)
    };
    match sample.len() == trials[1] {
        true => extrapolate(&sample, trials, len, time),
        // So short a file is compressed as soon as a trial is made.
        false => time(&sample).map(|one| one.mul_f64(len as f64 / sample.len().max(1) as f64)),
    }
}

/// How many of `frames` are coded at the same time by `workers`.
fn at_the_same_time(frames: u64, workers: usize) -> u32 {
    frames.clamp(1, workers.max(1) as u64) as u32
}

/// `model` as each of so many workers runs it.
fn run_by_each(model: &Arc<Model>, workers: u32) -> Option<Arc<Model>> {
    match workers {
        1 => Some(Arc::clone(model)),
        _ => model.on_one_thread().ok().map(Arc::new),
    }
}

/// How long it will take to decompress a file with these contents, as many of its frames at the
/// same time as there are `workers`; `None` if not long.
pub(super) fn decompression(
    contents: &Contents,
    workers: usize,
    models: &mut Models,
) -> Option<Duration> {
    // Everything but the model is fast.
    let by_model = |frame: &FrameContents| frame.of_mode(Mode::Model).original_len;
    let len: u64 = contents.frames.iter().map(by_model).sum();
    if len < LARGE {
        return None;
    }
    let mut frames = contents.frames.iter();
    let frame = frames.find(|frame| by_model(frame) > 0)?;
    let workers = at_the_same_time(contents.frames.len() as u64, workers);
    let model = models.resolve(frame.header.model.as_ref()?).ok()?;
    let model = run_by_each(&model, workers)?;
    let options = EncoderOptions::new()
        .model(Arc::clone(&model))
        .wanted_gain(0)
        .streams(contents.most_streams);
    // Any text serves as a sample.
    let sample = include_bytes!("estimate.rs");
    let time = extrapolate(sample, DECOMPRESSION_TRIALS, len, |sample| {
        let mut compressed = Vec::new();
        compress(sample, &mut compressed, &options).ok()?;
        let models = llmzip::Models::none().with(Arc::clone(&model));
        let start = Instant::now();
        decompress(compressed.as_slice(), io::sink(), &models).ok()?;
        Some(start.elapsed() / workers)
    });
    time.filter(|time| *time >= LONG)
}

/// The time for `len` bytes, computed from the times for two prefixes of `sample`.
fn extrapolate(
    sample: &[u8],
    sizes: [usize; 2],
    len: u64,
    mut time: impl FnMut(&[u8]) -> Option<Duration>,
) -> Option<Duration> {
    let few = time(sample.get(..sizes[0])?)?;
    let more = time(sample.get(..sizes[1])?)?;
    let a_byte = more.saturating_sub(few).as_secs_f64() / (sizes[1] - sizes[0]) as f64;
    Duration::try_from_secs_f64(a_byte * len as f64).ok()
}
