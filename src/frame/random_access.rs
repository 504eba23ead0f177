//! Reads the block at any place of the original, and no others before it but those that it needs.
//!
//! Frames share no state, so reading begins at the start of a frame. Where it is, the headers of
//! the frames before it tell, which [`FrameScanner`] reads when they are needed.

use std::io::{self, Read, Seek, SeekFrom};

use super::DecoderOptions;
use super::decompression::Decompression;
use super::resolver::Resolve;
use super::summary::{OnProgress, Summary};
use crate::Error;
use crate::container::{FrameScanner, FrameSpan};

/// A file that is read from any place.
pub(super) struct RandomAccess<R: Read + Seek> {
    decompression: Decompression<R>,
    scanner: FrameScanner,
    /// The frames that have been found, in order.
    spans: Vec<FrameSpan>,
    /// Whether these are all.
    complete: bool,
    /// Offset in the original at which the decompression under way began.
    start: u64,
    /// Offset of the block that comes next; `None` if no decompression is under way.
    next: Option<u64>,
}

impl<R: Read + Seek> RandomAccess<R> {
    /// `options` but its models.
    pub(super) fn new(mut reader: R, options: &DecoderOptions) -> Result<RandomAccess<R>, Error> {
        let file_len = reader.seek(SeekFrom::End(0)).map_err(Error::Read)?;
        Ok(RandomAccess {
            decompression: Decompression::new(reader, options),
            scanner: FrameScanner::new(file_len),
            spans: Vec::new(),
            complete: false,
            start: 0,
            next: None,
        })
    }

    /// The length of the original.
    pub(super) fn original_len(&mut self) -> Result<u64, Error> {
        while !self.complete {
            self.scan()?;
        }
        Ok(self.scanner.original_len())
    }

    /// The block that holds the byte at `position` of the original, and where it begins; `None`
    /// behind the end.
    pub(super) fn block_at(
        &mut self,
        position: u64,
        resolve: Resolve<'_>,
        progress: OnProgress<'_>,
    ) -> Result<Option<(u64, Vec<u8>)>, Error> {
        let Some(span) = self.span_at(position)? else {
            self.finish(resolve, progress)?;
            return Ok(None);
        };
        let goes_on = |next: u64| (span.original_offset..=position).contains(&next);
        if !self.next.is_some_and(goes_on) {
            self.next = None;
            self.decompression.restart(span.offset)?;
            self.start = span.original_offset;
        }
        // An error leaves no decompression under way: the next call begins a new one.
        self.next = None;
        self.decompression.skip_to(position - self.start);
        loop {
            let block = self.decompression.next_block(resolve, progress)?;
            let block = block.ok_or_else(changed)?;
            let end = self.start + self.decompression.summary().original_len;
            let begin = end - block.len() as u64;
            if begin > position {
                return Err(changed());
            }
            if end > position {
                self.next = Some(end);
                return Ok(Some((begin, block)));
            }
        }
    }

    /// What the decompression under way has read.
    pub(super) fn summary(&self) -> Summary {
        self.decompression.summary()
    }

    pub(super) fn reader(&self) -> &R {
        self.decompression.reader()
    }

    pub(super) fn into_reader(self) -> R {
        self.decompression.into_reader()
    }

    /// If the last block has been read, checks what follows it.
    fn finish(&mut self, resolve: Resolve<'_>, progress: OnProgress<'_>) -> Result<(), Error> {
        if self.next != Some(self.scanner.original_len()) {
            return Ok(());
        }
        self.next = None;
        while let Some(block) = self.decompression.next_block(resolve, progress)? {
            // Empty frames may follow.
            if !block.is_empty() {
                return Err(changed());
            }
        }
        Ok(())
    }

    /// The frame that holds the byte at `position`.
    fn span_at(&mut self, position: u64) -> Result<Option<FrameSpan>, Error> {
        while !self.complete && self.scanner.original_len() <= position {
            self.scan()?;
        }
        if self.scanner.original_len() <= position {
            return Ok(None);
        }
        let after = |span: &FrameSpan| span.original_offset <= position;
        let number = self.spans.partition_point(after);
        Ok(number.checked_sub(1).map(|number| self.spans[number]))
    }

    /// Finds the next frame.
    fn scan(&mut self) -> Result<(), Error> {
        let reader = self.decompression.reader_mut();
        // The decompression goes on where it was.
        let at = reader.stream_position().map_err(Error::Read)?;
        let span = self.scanner.next(reader).map_err(Error::reading);
        reader.seek(SeekFrom::Start(at)).map_err(Error::Read)?;
        match span? {
            Some(span) => self.spans.push(span),
            None => self.complete = true,
        }
        Ok(())
    }
}

/// The frames are not where their headers were.
fn changed() -> Error {
    Error::Read(io::Error::other("the file changed while it was read"))
}
