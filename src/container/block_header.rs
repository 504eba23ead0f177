//! The header of a block in a file: all of a [`Block`] but its payload.

use std::io::Read;

use super::block::{Block, BranchFilter, Mode, StreamLens, max_payload};
use super::error::ContainerError;
use super::header::FrameHeader;
use super::source::Source;
use super::{MAX_BLOCK_LEN, MAX_STREAMS, varint};

const MODE_MASK: u8 = 3;
const FLAG_LAST: u8 = 1 << 2;
const FLAG_STREAMS: u8 = 1 << 3;
const FILTER_SHIFT: u8 = 4;
const FILTER_MASK: u8 = 3 << FILTER_SHIFT;
const RESERVED: u8 = 0xc0;

/// The bytes of the header of `block`. `last`: no block of the frame follows.
pub(super) fn encode(block: &Block, last: bool) -> Vec<u8> {
    let several = block.streams.len() > 1;
    let mut bytes = vec![
        block.mode as u8
            | if last { FLAG_LAST } else { 0 }
            | if several { FLAG_STREAMS } else { 0 }
            | block.filter.map_or(0, |filter| filter as u8) << FILTER_SHIFT,
    ];
    varint::write(&mut bytes, u64::from(block.original_len));
    if block.mode != Mode::Raw {
        varint::write(&mut bytes, block.payload.len() as u64);
    }
    if several {
        bytes.push((block.streams.len() - 1) as u8);
        // The last stream has what remains.
        for stream in &block.streams[..block.streams.len() - 1] {
            varint::write(&mut bytes, u64::from(stream.original_len));
            varint::write(&mut bytes, u64::from(stream.payload_len));
        }
    }
    bytes
}

/// A block's header as read.
pub(super) struct BlockHeader {
    pub(super) mode: Mode,
    pub(super) filter: Option<BranchFilter>,
    /// Whether no block of the frame follows.
    pub(super) last: bool,
    pub(super) original_len: u32,
    pub(super) payload_len: u32,
    pub(super) streams: Vec<StreamLens>,
}

impl BlockHeader {
    /// Reads the header of block `number` of a frame, and appends the bytes read to `bytes`.
    pub(super) fn decode<R: Read>(
        source: &mut Source<R>,
        frame: &FrameHeader,
        number: u64,
        bytes: &mut Vec<u8>,
    ) -> Result<BlockHeader, ContainerError> {
        let [flags] = source.array("a block header", bytes)?;
        let mode = decode_mode(flags, frame)?;
        let filter = decode_filter(flags);
        let last = flags & FLAG_LAST != 0;
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
                filter,
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
        let whole = StreamLens {
            original_len,
            payload_len,
        };
        let streams = match flags & FLAG_STREAMS {
            0 => vec![whole],
            _ => decode_streams(source, whole, bytes)?,
        };
        Ok(BlockHeader {
            mode,
            filter,
            last,
            original_len,
            payload_len,
            streams,
        })
    }
}

fn decode_mode(flags: u8, frame: &FrameHeader) -> Result<Mode, ContainerError> {
    let reserved = || ContainerError::Reserved {
        field: "a block header",
        got: flags,
    };
    let mode = match flags & MODE_MASK {
        0 => Mode::Raw,
        1 => Mode::Experts,
        2 => Mode::Model,
        _ => return Err(reserved()),
    };
    if flags & RESERVED != 0
        || (flags & FLAG_STREAMS != 0 && mode != Mode::Model)
        || (flags & FILTER_MASK != 0 && mode != Mode::Experts)
    {
        return Err(reserved());
    }
    if mode == Mode::Model && frame.model.is_none() {
        return Err(ContainerError::Field {
            field: "the block's mode",
            got: 2,
            expected: "0 or 1, because the frame names no model",
        });
    }
    Ok(mode)
}

fn decode_filter(flags: u8) -> Option<BranchFilter> {
    match (flags & FILTER_MASK) >> FILTER_SHIFT {
        0 => None,
        1 => Some(BranchFilter::X86),
        2 => Some(BranchFilter::X86_64),
        _ => Some(BranchFilter::Arm64),
    }
}

/// Reads the lengths of several streams, which add up to those of the `whole` block.
fn decode_streams<R: Read>(
    source: &mut Source<R>,
    whole: StreamLens,
    bytes: &mut Vec<u8>,
) -> Result<Vec<StreamLens>, ContainerError> {
    let [count] = source.array("the number of streams", bytes)?;
    let count = usize::from(count) + 1;
    if !(2..=MAX_STREAMS).contains(&count) {
        return Err(ContainerError::Field {
            field: "the number of streams",
            got: count as u64,
            expected: "2 to 256",
        });
    }
    let mut streams = Vec::new();
    let mut left = whole;
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
        streams.push(StreamLens {
            original_len,
            payload_len,
        });
    }
    streams.push(left);
    Ok(streams)
}

fn bounded(
    value: u64,
    field: &'static str,
    min: u32,
    max: u32,
    expected: &'static str,
) -> Result<u32, ContainerError> {
    if (u64::from(min)..=u64::from(max)).contains(&value) {
        Ok(value as u32)
    } else {
        Err(ContainerError::Field {
            field,
            got: value,
            expected,
        })
    }
}
