//! Writes frames. The mirror image of [`super::reader`].

use std::fmt;
use std::io::Write;

use super::block::Block;
use super::checksum::{FrameChecksum, check, seal};
use super::error::ContainerError;
use super::header::FrameHeader;
use super::{FrameTotals, block_header, varint};

/// Writes one frame.
///
/// The header of the last block says that it is the last, so the writer holds each block back until
/// it knows whether another follows. A frame that is dropped without
/// [`finish`](FrameWriter::finish) is truncated, and readers refuse it.
pub struct FrameWriter<W: Write> {
    out: W,
    header: FrameHeader,
    header_bytes: Vec<u8>,
    checksum: FrameChecksum,
    /// The block held back, and the check of its original bytes.
    held: Option<(Block, u32)>,
    totals: FrameTotals,
}

impl<W: Write> fmt::Debug for FrameWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameWriter")
            .field("header", &self.header)
            .field("totals", &self.totals)
            .finish_non_exhaustive()
    }
}

impl<W: Write> FrameWriter<W> {
    /// Begins a frame by writing its header.
    ///
    /// # Errors
    ///
    /// [`ContainerError::Unwritable`] if a field of the header is outside its range;
    /// [`ContainerError::Io`] if writing fails.
    pub fn new(mut out: W, header: &FrameHeader) -> Result<Self, ContainerError> {
        let header_bytes = header.encode()?;
        out.write_all(&header_bytes)?;
        Ok(FrameWriter {
            out,
            header: header.clone(),
            checksum: FrameChecksum::new(&header_bytes),
            held: None,
            totals: FrameTotals {
                frame_len: header_bytes.len() as u64,
                ..FrameTotals::default()
            },
            header_bytes,
        })
    }

    /// Adds a block that codes `original`, at least one byte.
    ///
    /// # Errors
    ///
    /// [`ContainerError::Unwritable`] if the block breaks one of the invariants of [`Block`];
    /// [`ContainerError::Io`] if writing the block before it fails.
    pub fn write_block(&mut self, block: Block, original: &[u8]) -> Result<(), ContainerError> {
        let unwritable = |reason| ContainerError::Unwritable { reason };
        block.validate(&self.header).map_err(unwritable)?;
        if original.is_empty() || original.len() != block.original_len as usize {
            return Err(unwritable("a block's length is that of its original"));
        }
        self.flush_held(false)?;
        self.held = Some((block, check(original)));
        Ok(())
    }

    /// Ends the frame. Returns the output, not flushed, and the frame's totals.
    ///
    /// # Errors
    ///
    /// [`ContainerError::Io`] if writing fails.
    pub fn finish(mut self) -> Result<(W, FrameTotals), ContainerError> {
        if self.held.is_none() {
            self.held = Some((Block::raw(Vec::new()), check(&[])));
        }
        self.flush_held(true)?;
        if self.totals.blocks > 1 {
            let mut end = Vec::new();
            varint::write(&mut end, self.totals.original_len);
            let checksum = self.checksum.finish(self.totals.original_len);
            end.extend_from_slice(&checksum.to_le_bytes());
            self.out.write_all(&end)?;
            self.totals.frame_len += end.len() as u64;
        }
        Ok((self.out, self.totals))
    }

    /// What the frame is written to.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Totals of what has been written so far, without the block held back.
    pub fn totals(&self) -> FrameTotals {
        self.totals
    }

    /// Writes the block held back, if there is one.
    fn flush_held(&mut self, last: bool) -> Result<(), ContainerError> {
        let Some((block, check)) = self.held.take() else {
            return Ok(());
        };
        let header = block_header::encode(&block, last);
        let seal = seal(
            &self.header_bytes,
            self.totals.blocks,
            &header,
            &block.payload,
        );
        let mut trailer = seal.to_le_bytes().to_vec();
        if self.header.checksum {
            trailer.extend_from_slice(&check.to_le_bytes());
        }
        self.out.write_all(&header)?;
        self.out.write_all(&block.payload)?;
        self.out.write_all(&trailer)?;
        self.checksum.block(&trailer);
        self.totals.blocks += 1;
        self.totals.original_len += u64::from(block.original_len);
        self.totals.payload_len += block.payload.len() as u64;
        self.totals.frame_len += (header.len() + block.payload.len() + trailer.len()) as u64;
        Ok(())
    }
}
