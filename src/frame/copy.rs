//! Compression and decompression from a reader to a writer.

use std::io::{Read, Write};

use super::compression::{Compression, TracedBlock};
use super::decompression::Decompression;
use super::resolver::Resolve;
use super::{DecoderOptions, EncoderOptions, OnProgress, Summary, keep_going, parallel};
use crate::Error;
use crate::container::ModelRef;

/// Reads `input` to its end and writes one compressed frame to `output`.
///
/// Memory does not grow with the input: `block_len` bytes at a time are held. The bytes written
/// depend on the input, the options and the model alone: not on the machine, the number of threads
/// or how `input` hands out its bytes.
///
/// # Errors
///
/// [`Error::Read`], [`Error::Write`], [`Error::Unsupported`] for options out of range, and errors
/// of the model.
pub fn compress(
    input: impl Read,
    output: impl Write,
    options: &EncoderOptions,
) -> Result<Summary, Error> {
    compress_with(input, output, options, &mut keep_going)
}

/// [`compress`] with a progress callback, which may cancel.
///
/// # Errors
///
/// As [`compress`], and [`Error::Cancelled`].
pub fn compress_with(
    input: impl Read,
    output: impl Write,
    options: &EncoderOptions,
    progress: OnProgress<'_>,
) -> Result<Summary, Error> {
    if let Some(frame_len) = options.parallel_frame_len() {
        return parallel::compress(input, output, frame_len, options, progress);
    }
    let compression = Compression::new(output, options)?;
    compression.push_all(input, &mut |_| {}, progress)
}

/// Compresses as [`compress_with`] does, and tells `on_block` what each symbol of each block costs.
/// The summary has the cross-entropy. This takes some 60 bytes of memory for each token of a block.
///
/// # Errors
///
/// As [`compress_with`].
pub fn trace(
    input: impl Read,
    output: impl Write,
    options: &EncoderOptions,
    on_block: &mut dyn FnMut(TracedBlock),
    progress: OnProgress<'_>,
) -> Result<Summary, Error> {
    let compression = Compression::traced(output, options)?;
    compression.push_all(input, on_block, progress)
}

/// Reads compressed data from `input` to its end and writes the original to `output`.
///
/// `options` are [`DecoderOptions`], or just the [`Models`](crate::Models) that frames may need.
/// Memory does not grow with the input: one block at a time is held. No byte is written before its
/// block has passed its checks.
///
/// # Errors
///
/// Any [`Error`]. The bytes written before the error are the beginning of the original.
pub fn decompress(
    input: impl Read,
    output: impl Write,
    options: impl Into<DecoderOptions>,
) -> Result<Summary, Error> {
    let options = options.into();
    let mut resolve = |wanted: &ModelRef| options.models.resolve(wanted);
    decompress_with(input, output, &mut resolve, &options, &mut keep_going)
}

/// [`decompress`] with a resolver in place of the models of `options`, and a progress callback,
/// which may cancel.
///
/// # Errors
///
/// As [`decompress`], errors of `resolve`, and [`Error::Cancelled`].
pub fn decompress_with(
    input: impl Read,
    output: impl Write,
    resolve: Resolve<'_>,
    options: &DecoderOptions,
    progress: OnProgress<'_>,
) -> Result<Summary, Error> {
    let decompression = Decompression::new(input, options);
    match options.workers {
        0 | 1 => pull_all(decompression, output, resolve, progress),
        workers => parallel::decompress(decompression, output, workers, resolve, progress),
    }
}

fn pull_all(
    mut decompression: Decompression<impl Read>,
    mut output: impl Write,
    resolve: Resolve<'_>,
    progress: OnProgress<'_>,
) -> Result<Summary, Error> {
    while let Some(block) = decompression.next_block(resolve, progress)? {
        output.write_all(&block).map_err(Error::Write)?;
    }
    output.flush().map_err(Error::Write)?;
    Ok(decompression.summary())
}
