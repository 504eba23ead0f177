//! Frames and blocks: how compressed bytes are laid out in a file. Knows bytes; knows no model.
//!
//! A file is a sequence of frames. A frame is a [`FrameHeader`], one or more [`Block`]s and, when
//! it has more than one block, a frame end. `docs/FORMAT.md` is the specification, this module its
//! implementation; [`FrameWriter`] and [`FrameReader`] mirror each other.
//!
//! # Invariants
//!
//! - Every byte that is written is covered by a checksum or is one; every field has exactly one
//!   valid encoding (varints are canonical, reserved bits are zero). A reader that accepts a file
//!   therefore accepts exactly the bytes that a writer produced.
//! - A reader never allocates by a length it was told: lengths are capped first
//!   ([`MAX_BLOCK_LEN`], [`MAX_STREAMS`]), and then memory grows only with the bytes that arrived.
//! - What a block's coded bits mean is not this module's business. It hands on the payload only
//!   once the payload's seal has been found correct, so a decoder is never run on bytes that were
//!   damaged on the way, and never runs for minutes to find that out.
//!
//! ```
//! use llmzip::container::{Block, FrameHeader, FrameReader, FrameWriter, Item};
//!
//! let mut writer = FrameWriter::new(Vec::new(), &FrameHeader::default())?;
//! writer.write_block(Block::raw(b"hello".to_vec()), b"hello")?;
//! let (file, _) = writer.finish()?;
//! assert_eq!(file.len(), 5 + 17);
//!
//! let mut reader = FrameReader::new(file.as_slice());
//! assert!(matches!(reader.next()?, Some(Item::FrameStart(_))));
//! let Some(Item::Block(block)) = reader.next()? else { panic!() };
//! reader.verify_block(&block.payload)?; // a raw block's payload is the original
//! assert!(matches!(reader.next()?, Some(Item::FrameEnd(_))));
//! assert!(reader.next()?.is_none());
//! # Ok::<(), llmzip::container::ContainerError>(())
//! ```

mod block;
mod checksum;
mod error;
mod header;
mod reader;
#[cfg(test)]
mod tests;
mod varint;
mod writer;

pub use block::{Block, Mode, StreamPart};
pub use error::ContainerError;
pub use header::{FrameHeader, ModelRef};
pub use reader::{FrameReader, Item};
pub use writer::FrameWriter;

/// The four bytes every data frame begins with. The first is no UTF-8, so no text is mistaken for a frame.
pub const MAGIC: [u8; 4] = [0xfe, b'L', b'M', b'Z'];

/// The four bytes of an auxiliary frame: checked and skipped. Reserved for an index for seeking.
pub const AUXILIARY_MAGIC: [u8; 4] = [0xfe, b'L', b'M', b'I'];

/// The format version this module writes, and the only one it reads.
pub const FORMAT_VERSION: u8 = 1;

/// The most original bytes one block may stand for: 16 MiB.
pub const MAX_BLOCK_LEN: u32 = 1 << 24;

/// The most streams one block may be cut into.
pub const MAX_STREAMS: usize = 16;

/// The most bytes a model's name may have in a frame header.
pub const MAX_NAME_LEN: usize = 64;

/// What one frame amounted to, known at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameTotals {
    /// Blocks in the frame, at least 1.
    pub blocks: u64,
    /// Original bytes the frame stands for.
    pub original_len: u64,
    /// Bytes of the frame itself, from its magic to its last checksum.
    pub frame_len: u64,
    /// Of these, the bytes of block payloads; the rest is overhead.
    pub payload_len: u64,
}
