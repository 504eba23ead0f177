//! Decompression from any place.

use std::fmt;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::ops::ControlFlow;

use super::encoder::Callback;
use super::random_access::RandomAccess;
use super::{DecoderOptions, Models, Progress, keep_going};
use crate::Error;
use crate::container::ModelRef;

/// Decompresses what it reads from `R`, from any place of the original.
///
/// Seeking costs nothing by itself. Reading then decodes from the start of the frame that holds the
/// place, so compress with [`frame_len`](crate::EncoderOptions::frame_len) what will be read in
/// parts. In a frame with [`independent_blocks`](crate::EncoderOptions::independent_blocks), only
/// the block itself is decoded. To find the frame, the header of every block before it is read
/// once, a small read for each. Any file can be read so, also one of a single frame and one that
/// was concatenated from others.
///
/// ```
/// use std::io::{Cursor, Read, Seek, SeekFrom};
/// use llmzip::{EncoderOptions, Models, SeekableDecoder, compress_all};
///
/// let original: String = (0..5000).map(|line| format!("line {line}\n")).collect();
/// let compressed = compress_all(original.as_bytes(), &EncoderOptions::new().frame_len(4096))?;
///
/// let mut decoder = SeekableDecoder::new(Cursor::new(compressed), Models::none())?;
/// decoder.seek(SeekFrom::Start(40_000))?;
/// let mut part = [0; 9];
/// decoder.read_exact(&mut part)?;
/// assert_eq!(part, original.as_bytes()[40_000..40_009]);
/// assert_eq!(decoder.original_len()?, original.len() as u64);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// No byte is handed out before its block has passed its checks. What is not read is not checked:
/// [`Decoder`](crate::Decoder) checks a whole file.
///
/// # Errors
///
/// As [`Decoder`](crate::Decoder). After an error the decoder can still be used: the next call
/// begins at the start of a frame. [`DecoderOptions::limit`] counts the bytes that are decoded from
/// one such start.
pub struct SeekableDecoder<R: Read + Seek> {
    file: RandomAccess<R>,
    models: Models,
    progress: Callback,
    /// Where the next byte is read.
    position: u64,
    /// The original bytes of a block, and where they begin.
    block: Vec<u8>,
    block_start: u64,
}

impl<R: Read + Seek> SeekableDecoder<R> {
    /// A decoder at the start of the original. `options` are [`DecoderOptions`], or just the
    /// [`Models`] that frames may need.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] if the length of the compressed data cannot be found.
    pub fn new(reader: R, options: impl Into<DecoderOptions>) -> Result<SeekableDecoder<R>, Error> {
        let options = options.into();
        Ok(SeekableDecoder {
            file: RandomAccess::new(reader, &options)?,
            models: options.models,
            progress: Box::new(keep_going),
            position: 0,
            block: Vec::new(),
            block_start: 0,
        })
    }

    /// From now on calls `progress` many times a second while blocks are decoded. When it gives
    /// [`ControlFlow::Break`], the call under way fails with [`Error::Cancelled`].
    #[must_use]
    pub fn on_progress(
        mut self,
        progress: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> SeekableDecoder<R> {
        self.progress = Box::new(progress);
        self
    }

    /// The length of the original in bytes. The headers of all blocks are read for this, once.
    ///
    /// # Errors
    ///
    /// What makes the compressed data invalid, or [`Error::Read`].
    pub fn original_len(&mut self) -> Result<u64, Error> {
        self.file.original_len()
    }

    /// The reader.
    pub fn get_ref(&self) -> &R {
        self.file.reader()
    }

    /// Gives the reader back, at any place.
    pub fn into_inner(self) -> R {
        self.file.into_reader()
    }
}

impl<R: Read + Seek> BufRead for SeekableDecoder<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let end = self.block_start + self.block.len() as u64;
        if !(self.block_start..end).contains(&self.position) {
            let models = &self.models;
            let mut resolve = |wanted: &ModelRef| models.resolve(wanted);
            let found = (self.file).block_at(self.position, &mut resolve, &mut self.progress)?;
            let Some((start, block)) = found else {
                return Ok(&[]);
            };
            (self.block_start, self.block) = (start, block);
        }
        Ok(&self.block[(self.position - self.block_start) as usize..])
    }

    fn consume(&mut self, len: usize) {
        let end = self.block_start + self.block.len() as u64;
        let left = end.saturating_sub(self.position);
        self.position += left.min(len as u64);
    }
}

impl<R: Read + Seek> Read for SeekableDecoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let len = self.fill_buf()?.read(buffer)?;
        self.consume(len);
        Ok(len)
    }
}

/// A place behind the end is allowed: nothing is read there. [`SeekFrom::End`] needs
/// [`original_len`](SeekableDecoder::original_len).
impl<R: Read + Seek> Seek for SeekableDecoder<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.original_len()?.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }

    fn stream_position(&mut self) -> io::Result<u64> {
        Ok(self.position)
    }
}

impl<R: Read + Seek> fmt::Debug for SeekableDecoder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeekableDecoder")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
