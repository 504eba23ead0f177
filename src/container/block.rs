//! A block: part of the original, how it was coded, and the coded bytes.

use std::ops::Range;

use super::header::FrameHeader;
use super::{MAX_BLOCK_LEN, MAX_STREAMS};

/// How a block was coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Not at all: the payload is the original.
    Raw = 0,
    /// By the adaptive experts alone.
    Experts = 1,
    /// By the frame's language model, and by the experts of the frame's predictor.
    Model = 2,
}

/// How machine code was rewritten before the experts coded it. `docs/FORMAT.md` defines the
/// filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BranchFilter {
    /// Calls of x86.
    X86 = 1,
    /// Calls and addresses relative to the instruction pointer, of 64-bit x86.
    X86_64 = 2,
    /// Calls and addresses of pages, of ARM64.
    Arm64 = 3,
}

/// The lengths of one stream of a block: of its part of the original and of its coded bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLens {
    /// Original bytes, at least 1.
    pub original_len: u32,
    /// Coded bytes.
    pub payload_len: u32,
}

/// A block: the fields of its header, and its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// How the block was coded.
    pub mode: Mode,
    /// How its bytes were rewritten before they were coded; always `None` unless the experts alone
    /// coded it.
    pub filter: Option<BranchFilter>,
    /// Original bytes of the block: 1..=[`MAX_BLOCK_LEN`], or 0 in the only block of an empty
    /// frame.
    pub original_len: u32,
    /// The streams, in the order of the original; empty if and only if the mode is raw.
    pub streams: Vec<StreamLens>,
    /// The coded bytes of all streams, one stream after the other; at most 9/8 of `original_len`
    /// plus 64.
    pub payload: Vec<u8>,
}

/// The longest payload of a coded block of `original_len` bytes.
///
/// An encoder stores a block that it cannot shrink. But it may notice that only after its experts
/// have learned from the block, and then it must write what it has; hence the allowance.
pub(super) fn max_payload(original_len: u32) -> u32 {
    original_len + original_len / 8 + 64
}

impl Block {
    /// A block stored as it is. `original` has at most [`MAX_BLOCK_LEN`] bytes.
    pub fn raw(original: Vec<u8>) -> Block {
        Block {
            mode: Mode::Raw,
            filter: None,
            original_len: original.len() as u32,
            streams: Vec::new(),
            payload: original,
        }
    }

    /// A block coded as one stream.
    pub fn coded(mode: Mode, original_len: u32, payload: Vec<u8>) -> Block {
        Block::in_streams(mode, &[original_len], vec![payload])
    }

    /// A block coded as several streams, given by the lengths of their parts of the original and by
    /// their coded bytes.
    pub fn in_streams(mode: Mode, original_lens: &[u32], payloads: Vec<Vec<u8>>) -> Block {
        let streams = (original_lens.iter().zip(&payloads))
            .map(|(&original_len, payload)| StreamLens {
                original_len,
                payload_len: payload.len() as u32,
            })
            .collect();
        Block {
            mode,
            filter: None,
            original_len: original_lens.iter().sum(),
            streams,
            payload: payloads.concat(),
        }
    }

    /// The same block, coded after `filter` had rewritten its bytes.
    pub fn filtered(self, filter: Option<BranchFilter>) -> Block {
        Block { filter, ..self }
    }

    /// For each stream, the range of its original bytes in the block, and its coded bytes.
    pub fn stream_parts(&self) -> impl Iterator<Item = (Range<usize>, &[u8])> {
        let (mut original, mut payload) = (0usize, 0usize);
        self.streams.iter().map(move |stream| {
            let start = (original, payload);
            original += stream.original_len as usize;
            payload += stream.payload_len as usize;
            (start.0..original, &self.payload[start.1..payload])
        })
    }

    /// Checks that a reader would accept this block in `frame`. The error says why it would not.
    pub(super) fn validate(&self, frame: &FrameHeader) -> Result<(), &'static str> {
        if self.original_len > MAX_BLOCK_LEN {
            return Err("a block has at most 16 MiB");
        }
        if self.filter.is_some() && self.mode != Mode::Experts {
            return Err("only what the experts code is rewritten");
        }
        if self.mode == Mode::Raw {
            return match (
                self.payload.len() == self.original_len as usize,
                self.streams.is_empty(),
            ) {
                (true, true) => Ok(()),
                _ => Err("a raw block's payload is its original, and has no streams"),
            };
        }
        if self.mode == Mode::Model && frame.model.is_none() {
            return Err("the frame names no model");
        }
        if self.payload.len() > max_payload(self.original_len) as usize {
            return Err("the payload of a coded block is hardly longer than its original");
        }
        self.validate_streams()
    }

    fn validate_streams(&self) -> Result<(), &'static str> {
        let most = match self.mode {
            Mode::Model => MAX_STREAMS,
            _ => 1,
        };
        if !(1..=most).contains(&self.streams.len()) {
            return Err("a block has 1 to 256 streams if a model coded it, otherwise one");
        }
        if self.streams.iter().any(|stream| stream.original_len == 0) {
            return Err("a stream codes at least one byte");
        }
        let sum = |len: fn(&StreamLens) -> u32| -> u64 {
            self.streams
                .iter()
                .map(|stream| u64::from(len(stream)))
                .sum()
        };
        if sum(|stream| stream.original_len) != u64::from(self.original_len)
            || sum(|stream| stream.payload_len) != self.payload.len() as u64
        {
            return Err("the lengths of a block's streams add up to the block's");
        }
        Ok(())
    }
}
