//! A block: a run of original bytes, how it was coded, and the coded bytes.

use std::io::Read;

use super::error::ContainerError;
use super::reader::Source;
use super::{FrameHeader, MAX_BLOCK_LEN, MAX_STREAMS, varint};

const MODE_MASK: u8 = 3;
const FLAG_LAST: u8 = 1 << 2;
const FLAG_STREAMS: u8 = 1 << 3;
const RESERVED: u8 = 0xf0;

/// How a block was coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The payload is the original.
    Raw = 0,
    /// Adaptive experts alone.
    Experts = 1,
    /// The frame's language model, with whatever experts the frame's predictor has.
    Model = 2,
}

/// One stream of a block: a contiguous part of the original, and the part of the payload that codes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamPart {
    /// Original bytes, at least 1.
    pub original_len: u32,
    /// Coded bytes.
    pub payload_len: u32,
}

/// A block, its header's fields and its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// How the payload is to be read.
    pub mode: Mode,
    /// Original bytes the block stands for: 1..=[`MAX_BLOCK_LEN`], or 0 in the one block of an empty frame.
    pub original_len: u32,
    /// The streams in the order of their parts of the original; empty if and only if the mode is raw.
    pub streams: Vec<StreamPart>,
    /// The streams' coded bytes, one after the other; at most [`max_payload`] of `original_len`.
    pub payload: Vec<u8>,
}

/// The most payload a coded block of `original_len` bytes may have. An encoder stores what it cannot
/// shrink, but cannot always know before its experts have learned from the block; this leaves room.
pub fn max_payload(original_len: u32) -> u32 {
    original_len + original_len / 8 + 64
}

impl Block {
    /// A raw block. `original` has at most [`MAX_BLOCK_LEN`] bytes.
    pub fn raw(original: Vec<u8>) -> Block {
        Block {
            mode: Mode::Raw,
            original_len: original.len() as u32,
            streams: Vec::new(),
            payload: original,
        }
    }

    /// A block coded as one stream.
    pub fn coded(mode: Mode, original_len: u32, payload: Vec<u8>) -> Block {
        Block::in_streams(mode, &[original_len], vec![payload])
    }

    /// A block whose streams have these parts of the original and these coded bytes.
    pub fn in_streams(mode: Mode, original_lens: &[u32], payloads: Vec<Vec<u8>>) -> Block {
        let streams = (original_lens.iter().zip(&payloads))
            .map(|(&original_len, payload)| StreamPart {
                original_len,
                payload_len: payload.len() as u32,
            })
            .collect();
        Block {
            mode,
            original_len: original_lens.iter().sum(),
            streams,
            payload: payloads.concat(),
        }
    }

    /// Each stream's part of the original (a range of bytes of the block) and its coded bytes.
    pub fn stream_parts(&self) -> impl Iterator<Item = (std::ops::Range<usize>, &[u8])> {
        let (mut original, mut payload) = (0usize, 0usize);
        self.streams.iter().map(move |stream| {
            let start = (original, payload);
            original += stream.original_len as usize;
            payload += stream.payload_len as usize;
            (start.0..original, &self.payload[start.1..payload])
        })
    }

    /// Whether a reader would accept this block under `frame`; the message says why not.
    pub(super) fn validate(&self, frame: &FrameHeader) -> Result<(), &'static str> {
        if self.original_len > MAX_BLOCK_LEN {
            return Err("a block has at most 16 MiB");
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
            return Err("a coded block is hardly longer than its original");
        }
        let most = match self.mode {
            Mode::Model => MAX_STREAMS,
            _ => 1,
        };
        if !(1..=most).contains(&self.streams.len()) {
            return Err("a block has 1 to 16 streams if a model coded it, otherwise one");
        }
        if self.streams.iter().any(|stream| stream.original_len == 0) {
            return Err("a stream codes at least one byte");
        }
        let sum = |part: fn(&StreamPart) -> u32| -> u64 {
            self.streams
                .iter()
                .map(|stream| u64::from(part(stream)))
                .sum()
        };
        if sum(|stream| stream.original_len) != u64::from(self.original_len)
            || sum(|stream| stream.payload_len) != self.payload.len() as u64
        {
            return Err("the streams of a block make up the block");
        }
        Ok(())
    }

    /// The bytes of the block's header.
    pub(super) fn encode_header(&self, last: bool) -> Vec<u8> {
        let several = self.streams.len() > 1;
        let mut bytes = vec![
            self.mode as u8
                | if last { FLAG_LAST } else { 0 }
                | if several { FLAG_STREAMS } else { 0 },
        ];
        varint::write(&mut bytes, u64::from(self.original_len));
        if self.mode != Mode::Raw {
            varint::write(&mut bytes, self.payload.len() as u64);
        }
        if several {
            bytes.push((self.streams.len() - 1) as u8);
            // The last stream is what remains.
            for stream in &self.streams[..self.streams.len() - 1] {
                varint::write(&mut bytes, u64::from(stream.original_len));
                varint::write(&mut bytes, u64::from(stream.payload_len));
            }
        }
        bytes
    }
}

/// A block's header as read: all of a [`Block`] but its payload.
pub(super) struct BlockHeader {
    pub(super) mode: Mode,
    pub(super) last: bool,
    pub(super) original_len: u32,
    pub(super) payload_len: u32,
    pub(super) streams: Vec<StreamPart>,
}

impl BlockHeader {
    /// Reads the header of block `number` of a frame; appends the bytes read to `bytes`.
    pub(super) fn decode<R: Read>(
        source: &mut Source<R>,
        frame: &FrameHeader,
        number: u64,
        bytes: &mut Vec<u8>,
    ) -> Result<BlockHeader, ContainerError> {
        let [kind] = source.array("a block header", bytes)?;
        let last = kind & FLAG_LAST != 0;
        let mode = match kind & MODE_MASK {
            0 => Mode::Raw,
            1 => Mode::Experts,
            2 => Mode::Model,
            _ => return Err(reserved(kind)),
        };
        if kind & RESERVED != 0 || (kind & FLAG_STREAMS != 0 && mode != Mode::Model) {
            return Err(reserved(kind));
        }
        if mode == Mode::Model && frame.model.is_none() {
            return Err(ContainerError::Field {
                place: "the block's mode",
                got: 2,
                expected: "0 or 1, because the frame names no model",
            });
        }
        let empty_frame = mode == Mode::Raw && last && number == 0;
        let original_len = bounded(
            source.varint("a block's original length", bytes)?,
            "a block's original length",
            if empty_frame { 0 } else { 1 },
            MAX_BLOCK_LEN,
            "1 to 16777216",
        )?;
        if mode == Mode::Raw {
            return Ok(BlockHeader {
                mode,
                last,
                original_len,
                payload_len: original_len,
                streams: Vec::new(),
            });
        }
        let payload_len = bounded(
            source.varint("a block's payload length", bytes)?,
            "a block's payload length",
            0,
            max_payload(original_len),
            "at most 9/8 of the original length and 64",
        )?;
        let count = if kind & FLAG_STREAMS == 0 {
            1
        } else {
            let [count] = source.array("the number of streams", bytes)?;
            let count = usize::from(count) + 1;
            if !(2..=MAX_STREAMS).contains(&count) {
                return Err(ContainerError::Field {
                    place: "the number of streams",
                    got: count as u64,
                    expected: "2 to 16",
                });
            }
            count
        };
        let mut streams = Vec::new();
        let mut left = StreamPart {
            original_len,
            payload_len,
        };
        for after in (1..count).rev() {
            // Each stream that follows has at least one byte.
            let original_len = bounded(
                source.varint("a stream's original length", bytes)?,
                "a stream's original length",
                1,
                left.original_len.saturating_sub(after as u32),
                "1 to what the block has left",
            )?;
            let payload_len = bounded(
                source.varint("a stream's payload length", bytes)?,
                "a stream's payload length",
                0,
                left.payload_len,
                "at most what the block has left",
            )?;
            left.original_len -= original_len;
            left.payload_len -= payload_len;
            streams.push(StreamPart {
                original_len,
                payload_len,
            });
        }
        streams.push(left);
        Ok(BlockHeader {
            mode,
            last,
            original_len,
            payload_len,
            streams,
        })
    }
}

fn reserved(kind: u8) -> ContainerError {
    ContainerError::Reserved {
        place: "a block header",
        got: kind,
    }
}

fn bounded(
    value: u64,
    place: &'static str,
    min: u32,
    max: u32,
    expected: &'static str,
) -> Result<u32, ContainerError> {
    if (u64::from(min)..=u64::from(max)).contains(&value) {
        Ok(value as u32)
    } else {
        Err(ContainerError::Field {
            place,
            got: value,
            expected,
        })
    }
}
