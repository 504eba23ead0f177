//! Estimates how long coding a file will take, by coding a little of it first.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use llmzip::container::Mode;
use llmzip::{EncoderOptions, compress, decompress};

use super::contents::{Contents, FrameContents};
use super::models::Models;

/// Shorter times are not announced.
const LONG: Duration = Duration::from_secs(20);
/// Shorter files get no estimate.
const LARGE: u64 = 64 << 10;
/// Lengths of the two trials of compression in bytes. Only the difference of their times counts, so
/// what both need at the start drops out.
const COMPRESSION_TRIALS: [usize; 2] = [256, 2 << 10];
/// The same for decompression, which is many times slower: it takes one token after the other.
const DECOMPRESSION_TRIALS: [usize; 2] = [64, 1 << 10];

/// How long it will take to compress the file at `path`, which has `len` bytes; `None` if not long.
pub(super) fn compression(path: &Path, len: u64, options: &EncoderOptions) -> Option<Duration> {
    if len < LARGE || options.model.is_none() {
        return None;
    }
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::Start(len / 2)).ok()?;
    let mut sample = Vec::new();
    file.take(COMPRESSION_TRIALS[1] as u64)
        .read_to_end(&mut sample)
        .ok()?;
    extrapolate(&sample, COMPRESSION_TRIALS, len, |sample| {
        let start = Instant::now();
        compress(sample, io::sink(), options).ok()?;
        Some(start.elapsed())
    })
}

/// How long it will take to decompress a file with these contents; `None` if not long.
pub(super) fn decompression(contents: &Contents, models: &mut Models) -> Option<Duration> {
    // Everything but the model is fast.
    let by_model = |frame: &FrameContents| frame.of_mode(Mode::Model).original_len;
    let len: u64 = contents.frames.iter().map(by_model).sum();
    if len < LARGE {
        return None;
    }
    let mut frames = contents.frames.iter();
    let frame = frames.find(|frame| by_model(frame) > 0)?;
    let model = models.resolve(frame.header.model.as_ref()?).ok()?;
    let options = EncoderOptions::new()
        .model(Arc::clone(&model))
        .streams(contents.most_streams);
    // Any text serves as a sample.
    let sample = include_bytes!("estimate.rs");
    extrapolate(sample, DECOMPRESSION_TRIALS, len, |sample| {
        let mut compressed = Vec::new();
        compress(sample, &mut compressed, &options).ok()?;
        let models = llmzip::Models::none().with(Arc::clone(&model));
        let start = Instant::now();
        decompress(compressed.as_slice(), io::sink(), &models).ok()?;
        Some(start.elapsed())
    })
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
    let all = Duration::try_from_secs_f64(a_byte * len as f64).ok()?;
    (all >= LONG).then_some(all)
}
