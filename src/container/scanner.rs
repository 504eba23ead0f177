//! Finds the frames of a file without reading their payloads.
//!
//! The header of a block tells how long its payload is, so that a scanner goes from header to
//! header with one small read for each. It begins at the start of the file and takes the same steps
//! as [`FrameReader`](super::FrameReader), so that both see the same frames. Going back from the
//! end by the indices would take fewer steps, but a file can be made in which that leads elsewhere:
//! a stored block may hold what looks like frames.

use std::io::{BufReader, Read, Seek, SeekFrom};

use super::block_header::BlockHeader;
use super::error::ContainerError;
use super::header::FrameHeader;
use super::reader::{Start, pass_auxiliary};
use super::source::Source;
use super::{FrameTotals, MAGIC};

/// Bytes read for one header; the longest has less than half of it.
const READ: usize = 512;

/// Where a frame is, in the file and in the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameSpan {
    /// Offset of the frame in the file.
    pub offset: u64,
    /// Offset of its original in the original of the file.
    pub original_offset: u64,
    /// Original bytes, at least 1.
    pub original_len: u64,
}

/// Goes through a file frame by frame. The headers have the form that the format asks for; no
/// checksum is verified.
#[derive(Debug)]
pub struct FrameScanner {
    file_len: u64,
    /// Offset of the next frame.
    offset: u64,
    /// Original bytes before it.
    original: u64,
    data_frames: u64,
    /// The frame just before it, if that is a data frame.
    before: Option<FrameTotals>,
}

impl FrameScanner {
    /// A scanner of a file of `file_len` bytes.
    pub fn new(file_len: u64) -> FrameScanner {
        FrameScanner {
            file_len,
            offset: 0,
            original: 0,
            data_frames: 0,
            before: None,
        }
    }

    /// Original bytes of the frames passed so far.
    pub fn original_len(&self) -> u64 {
        self.original
    }

    /// The next frame that has original bytes; `None` at the end of the file.
    ///
    /// # Errors
    ///
    /// What the file has instead, or [`ContainerError::Io`].
    pub fn next(
        &mut self,
        file: &mut (impl Read + Seek),
    ) -> Result<Option<FrameSpan>, ContainerError> {
        file.seek(SeekFrom::Start(self.offset))?;
        let mut source = Source::at(BufReader::with_capacity(READ, file), self.offset);
        loop {
            match Start::read(&mut source, self.data_frames)? {
                Start::End => return Ok(None),
                Start::Data => {
                    let totals = pass_frame(&mut source, self.offset, self.file_len)?;
                    let span = FrameSpan {
                        offset: self.offset,
                        original_offset: self.original,
                        original_len: totals.original_len,
                    };
                    self.data_frames += 1;
                    self.offset = source.offset();
                    self.original = (self.original.checked_add(totals.original_len))
                        .ok_or_else(|| source.truncated("the original"))?;
                    self.before = Some(totals);
                    if span.original_len > 0 {
                        return Ok(Some(span));
                    }
                }
                Start::Auxiliary => {
                    let before = self.before.take();
                    pass_auxiliary(&mut source, before.as_ref())?;
                    self.offset = source.offset();
                }
            }
        }
    }
}

/// Passes over a data frame, whose magic has been read.
fn pass_frame<R: Read + Seek>(
    source: &mut Source<BufReader<R>>,
    start: u64,
    file_len: u64,
) -> Result<FrameTotals, ContainerError> {
    let mut bytes = MAGIC.to_vec();
    let header = FrameHeader::decode(source, &mut bytes)?;
    let mut totals = FrameTotals::default();
    loop {
        bytes.clear();
        let block = BlockHeader::decode(source, &header, totals.blocks, &mut bytes)?;
        let payload_len = u64::from(block.payload_len);
        source.skip("a block", payload_len + header.checksums_len(), file_len)?;
        totals.blocks += 1;
        totals.original_len += u64::from(block.original_len);
        totals.payload_len += payload_len;
        if block.last {
            break;
        }
    }
    if totals.blocks > 1 {
        let original_len = source.varint("the frame's total length", &mut bytes)?;
        if original_len != totals.original_len {
            return Err(ContainerError::TotalLength {
                got: totals.original_len,
                expected: original_len,
            });
        }
        source.skip("the frame's checksum", 8, file_len)?;
    }
    totals.frame_len = source.offset() - start;
    Ok(totals)
}
