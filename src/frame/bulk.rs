//! Compression and decompression from a slice to a vector.

use super::{DecoderOptions, EncoderOptions, compress, decompress};
use crate::Error;

/// Compresses `original` to one frame.
///
/// ```
/// use llmzip::{EncoderOptions, Models, compress_all, decompress_all};
///
/// let original = b"the cat sat on the mat; the cat sat on the hat; the cat sat";
/// let compressed = compress_all(original, &EncoderOptions::new())?;
/// assert!(compressed.len() < original.len());
/// assert_eq!(decompress_all(&compressed, Models::none())?, original);
/// # Ok::<(), llmzip::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Unsupported`] for options out of range, and errors of the model.
pub fn compress_all(original: &[u8], options: &EncoderOptions) -> Result<Vec<u8>, Error> {
    let mut compressed = Vec::new();
    compress(original, &mut compressed, options)?;
    Ok(compressed)
}

/// Decompresses `compressed`, which holds one or more frames.
///
/// `options` are [`DecoderOptions`], or just the [`Models`](crate::Models) that frames may need.
/// Set a [`limit`](DecoderOptions::limit) for data that you do not trust:
///
/// ```
/// use llmzip::{DecoderOptions, EncoderOptions, Error, Models, compress_all, decompress_all};
///
/// let compressed = compress_all(&[0; 1_000_000], &EncoderOptions::new())?;
/// let options = DecoderOptions::new(&Models::none()).limit(10_000);
/// let refused = decompress_all(&compressed, &options);
/// assert!(matches!(refused, Err(Error::Limit { limit: 10_000 })));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
///
/// Any [`Error`] but [`Error::Read`], [`Error::Write`] and [`Error::Cancelled`].
pub fn decompress_all(
    compressed: &[u8],
    options: impl Into<DecoderOptions>,
) -> Result<Vec<u8>, Error> {
    let mut original = Vec::new();
    decompress(compressed, &mut original, options)?;
    Ok(original)
}
