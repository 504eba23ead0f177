//! Writing frames.

use std::io::Write;

use super::checksum::{FrameChecksum, check, seal};
use super::error::ContainerError;
use super::{Block, FrameHeader, FrameTotals, varint};

/// Writes one frame.
///
/// One block is held back until it is known whether another follows, because the last block says
/// so in its header; that is all the memory a writer needs. A frame that is dropped without
/// [`finish`](FrameWriter::finish) is truncated, and readers will say so.
pub struct FrameWriter<W: Write> {
    out: W,
    header: FrameHeader,
    header_bytes: Vec<u8>,
    checksum: FrameChecksum,
    /// The block held back and the check of its original bytes.
    held: Option<(Block, u32)>,
    totals: FrameTotals,
}

impl<W: Write> FrameWriter<W> {
    /// Begins a frame: writes its header.
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

    /// Adds a block that stands for `original` (at least one byte of it).
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

    /// Ends the frame. Gives back what was written to, not flushed, and the frame's totals.
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

    /// What has been written so far; the block held back is not among it.
    pub fn totals(&self) -> FrameTotals {
        self.totals
    }

    fn flush_held(&mut self, last: bool) -> Result<(), ContainerError> {
        let Some((block, check)) = self.held.take() else {
            return Ok(());
        };
        let header = block.encode_header(last);
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
