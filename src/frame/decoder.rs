//! Decompression as a reader.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::ops::ControlFlow;

use super::decompression::Decompression;
use super::encoder::Callback;
use super::{DecoderOptions, Models, Progress, Summary, keep_going};
#[cfg(doc)]
use crate::Error;
use crate::container::ModelRef;

/// Decompresses what it reads from `R`.
///
/// No byte is handed out before its block has passed its checks. The input consists of one or more
/// frames; anything else after a frame is an error.
///
/// ```
/// use std::io::Read;
/// use llmzip::{Decoder, EncoderOptions, Models, compress_all};
///
/// let mut compressed = compress_all(b"one frame, ", &EncoderOptions::new())?;
/// compressed.extend(compress_all(b"and another", &EncoderOptions::new())?);
///
/// let mut restored = String::new();
/// let mut decoder = Decoder::new(compressed.as_slice(), Models::none());
/// decoder.read_to_string(&mut restored)?;
/// assert_eq!(restored, "one frame, and another");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// The input is read in buffers of some KiB, and the original is restored a block at a time. Memory
/// does not grow with the length of the input.
///
/// # Errors
///
/// Reading gives an [`io::Error`] that holds an [`Error`], or the reader's own error. An error ends
/// the stream: further calls give [`Error::Broken`], and never the end of the original.
pub struct Decoder<R: Read> {
    decompression: Decompression<R>,
    models: Models,
    progress: Callback,
    /// The original bytes of the last block; the first `read` of them have been handed out.
    block: Vec<u8>,
    read: usize,
}

impl<R: Read> Decoder<R> {
    /// A decoder that has read nothing yet. `options` are [`DecoderOptions`], or just the
    /// [`Models`] that frames may need.
    pub fn new(reader: R, options: impl Into<DecoderOptions>) -> Decoder<R> {
        let options = options.into();
        Decoder {
            decompression: Decompression::new(reader, &options),
            models: options.models,
            progress: Box::new(keep_going),
            block: Vec::new(),
            read: 0,
        }
    }

    /// From now on calls `progress` many times a second while blocks are decoded. When it gives
    /// [`ControlFlow::Break`], the call under way fails with [`Error::Cancelled`].
    #[must_use]
    pub fn on_progress(
        mut self,
        progress: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Decoder<R> {
        self.progress = Box::new(progress);
        self
    }

    /// What has been decoded so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.decompression.summary()
    }

    /// The reader.
    pub fn get_ref(&self) -> &R {
        self.decompression.reader()
    }

    /// The reader. Reading from it directly takes bytes away from the decoder.
    pub fn get_mut(&mut self) -> &mut R {
        self.decompression.reader_mut()
    }

    /// Gives the reader back. The decoder may have read more of it than it has decoded.
    pub fn into_inner(self) -> R {
        self.decompression.into_reader()
    }
}

impl<R: Read> BufRead for Decoder<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.read == self.block.len() {
            let models = &self.models;
            let mut resolve = |wanted: &ModelRef| models.resolve(wanted);
            let next = self
                .decompression
                .next_block(&mut resolve, &mut self.progress);
            let Some(block) = next? else {
                break;
            };
            self.block = block;
            self.read = 0;
        }
        Ok(&self.block[self.read..])
    }

    fn consume(&mut self, len: usize) {
        self.read = self.block.len().min(self.read.saturating_add(len));
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.fill_buf()?.read(buffer)?;
        self.consume(len);
        Ok(len)
    }
}

impl<R: Read> fmt::Debug for Decoder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("summary", &self.summary())
            .finish_non_exhaustive()
    }
}
