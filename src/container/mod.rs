//! Frames and blocks: the layout of a compressed file.
//!
//! A file is a sequence of frames. A frame is a [`FrameHeader`], one or more [`Block`]s and, if it
//! has more than one block, a frame end. `docs/FORMAT.md` specifies all of it. [`FrameWriter`] and
//! [`FrameReader`] mirror each other.
//!
//! This folder knows bytes only: it knows no model, gives no meaning to coded bits and uses no
//! other folder of the library.
//!
//! # Invariants
//!
//! - Every byte of a file is covered by a checksum or part of one. Every field has exactly one
//!   valid encoding: varints are canonical and reserved bits are zero. A reader therefore accepts
//!   exactly the bytes that a writer produces.
//! - A reader never allocates by a length it was told. Lengths are limited first
//!   ([`MAX_BLOCK_LEN`], [`MAX_STREAMS`]), and then memory grows only with the bytes that arrive.
//! - A reader returns a payload only after it has verified the seal. So no decoder runs on damaged
//!   bytes, and none runs for minutes before the damage is found.
//!
//! ```
//! use llmzip::container::{Block, FrameHeader, FramePart, FrameReader, FrameWriter};
//!
//! let mut writer = FrameWriter::new(Vec::new(), &FrameHeader::default())?;
//! writer.write_block(Block::raw(b"hello".to_vec()), b"hello")?;
//! let (file, _) = writer.finish()?;
//! assert_eq!(file.len(), 5 + 17);
//!
//! let mut reader = FrameReader::new(file.as_slice());
//! assert!(matches!(reader.next()?, Some(FramePart::Header(_))));
//! let Some(FramePart::Block(block)) = reader.next()? else { panic!() };
//! reader.verify_block(&block.payload)?; // a raw block's payload is the original
//! assert!(matches!(reader.next()?, Some(FramePart::End(_))));
//! assert!(reader.next()?.is_none());
//! # Ok::<(), llmzip::container::ContainerError>(())
//! ```

mod arrival;
mod block;
mod block_header;
mod checksum;
mod error;
mod header;
mod index;
mod reader;
mod scanner;
mod source;
#[cfg(test)]
mod tests;
mod varint;
mod versions;
mod writer;

pub use arrival::{Arrival, Arrived};
pub use block::{Block, BranchFilter, Mode, StreamLens};
pub use error::ContainerError;
pub use header::{FrameHeader, ModelRef};
pub use index::index_of;
pub use reader::{ExpectedOriginal, FramePart, FrameReader};
pub use scanner::{FrameScanner, FrameSpan};
pub(crate) use versions::refusal;
pub use writer::FrameWriter;

/// The first four bytes of every data frame. The first of them never occurs in UTF-8, so no text is
/// mistaken for a frame.
pub const MAGIC: [u8; 4] = [0xfe, b'L', b'M', b'Z'];

/// The first four bytes of an auxiliary frame, which readers check and skip: the index of a frame,
/// or what a later version may define.
pub const AUXILIARY_MAGIC: [u8; 4] = [0xfe, b'L', b'M', b'I'];

/// The format version that is written, and the only one that is read.
pub const FORMAT_VERSION: u8 = 1;

/// Most original bytes of one block: 16 MiB.
pub const MAX_BLOCK_LEN: u32 = 1 << 24;

/// Most streams of one block.
pub const MAX_STREAMS: usize = 256;

/// Most bytes of a model's name in a frame header.
pub const MAX_NAME_LEN: usize = 64;

/// The lengths of one frame, known at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameTotals {
    /// Blocks in the frame, at least 1.
    pub blocks: u64,
    /// Original bytes of the frame.
    pub original_len: u64,
    /// Bytes of the frame in the file, from its magic to its last checksum.
    pub frame_len: u64,
    /// How many of them are payloads of blocks; the rest is overhead.
    pub payload_len: u64,
}
