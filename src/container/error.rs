//! What can be wrong with a container. Errors say what was found and what was expected.

use std::io;

use thiserror::Error;

use super::versions::refusal;

/// Why bytes are not a valid llmzip file, or why something cannot be written as one.
///
/// Every variant but [`ContainerError::Io`] is a statement about the bytes (or the arguments), not
/// about the machine.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// The reader or writer underneath failed.
    #[error(transparent)]
    Io(#[from] io::Error),

    /// The file is empty.
    #[error("not an llmzip file: it is empty")]
    Empty,

    /// The first bytes are not a frame's magic.
    #[error(
        "not an llmzip file: begins with {}, expected {}",
        hex(got),
        hex(expected)
    )]
    NotLlmzip {
        /// The bytes found (fewer than four if the file ends there).
        got: Vec<u8>,
        /// The magic of a data frame.
        expected: [u8; 4],
    },

    /// A frame ended correctly, and what follows is not another one.
    #[error(
        "junk after the compressed data, at byte {offset}: begins with {}",
        hex(got)
    )]
    TrailingData {
        /// Offset of the junk in bytes.
        offset: u64,
        /// Its first bytes.
        got: Vec<u8>,
    },

    /// The file ends too early.
    #[error("truncated: ends at byte {offset}, in {field}")]
    Truncated {
        /// Length of the file, bytes.
        offset: u64,
        /// The field or structure that was being read.
        field: &'static str,
    },

    /// The frame has another format version than this library reads.
    #[error("{}", refusal("format", *.got, *.expected))]
    Version {
        /// The version found.
        got: u8,
        /// The version this library reads.
        expected: u8,
    },

    /// Bits that must be zero are not.
    #[error("damaged or from a newer llmzip: reserved bits set in {field} ({got:#04x})")]
    Reserved {
        /// The field the bits are in.
        field: &'static str,
        /// Its value.
        got: u8,
    },

    /// A field holds a value that the format does not allow.
    #[error("damaged: {field} is {got}, expected {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// Its value.
        got: u64,
        /// The allowed values, in words.
        expected: &'static str,
    },

    /// A varint is longer than necessary or does not fit 64 bits.
    #[error("damaged: {field} is not a canonical varint")]
    Varint {
        /// The field.
        field: &'static str,
    },

    /// The model name has characters that names must not have.
    #[error("damaged: the model name in the frame header is not a name")]
    Name,

    /// A block's seal is wrong: frame header, block header or payload were changed.
    #[error("damaged: block {block} has seal {got:08x}, expected {expected:08x}")]
    Seal {
        /// Number of the block in its frame, from 0.
        block: u64,
        /// The seal computed from the bytes.
        got: u32,
        /// The seal the file carries.
        expected: u32,
    },

    /// A block decoded to other bytes than were compressed.
    #[error("damaged: block {block} decodes to check {got:08x}, expected {expected:08x}")]
    Check {
        /// Number of the block in its frame, from 0.
        block: u64,
        /// The check of the bytes given.
        got: u32,
        /// The check the file carries.
        expected: u32,
    },

    /// A block decoded to another number of bytes than it declares.
    #[error("damaged: block {block} decodes to {got} bytes, expected {expected}")]
    Length {
        /// Number of the block in its frame, from 0.
        block: u64,
        /// Bytes given.
        got: u64,
        /// Bytes declared.
        expected: u64,
    },

    /// The lengths of a frame's blocks do not add up to the length at its end.
    #[error("damaged: the frame's blocks have {got} bytes, expected {expected}")]
    TotalLength {
        /// Sum over the blocks.
        got: u64,
        /// Carried by the file.
        expected: u64,
    },

    /// The checksum at the end of a frame is wrong.
    #[error("damaged: the {part} has checksum {got:016x}, expected {expected:016x}")]
    Checksum {
        /// What the checksum covers.
        part: &'static str,
        /// Computed from the bytes.
        got: u64,
        /// Carried by the file.
        expected: u64,
    },

    /// The index of a frame is wrong.
    #[error("damaged: an index {reason}")]
    Index {
        /// What is wrong with it.
        reason: &'static str,
    },

    /// The file holds auxiliary frames only.
    #[error("holds no data, only auxiliary frames")]
    NoData,

    /// The writer was given a header or block that no reader would accept.
    #[error("cannot be written: {reason}")]
    Unwritable {
        /// What is wrong.
        reason: &'static str,
    },
}

fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}
