//! What can go wrong while a block is coded.

use crate::engine::EngineError;
use crate::machine::MachineError;

/// Why a block could not be coded or decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The coded bytes are not what an encoder writes.
    #[error(transparent)]
    Corrupt(#[from] CorruptStream),
    /// The language model cannot be run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The machine lacks memory, a thread or instructions.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The block wants a language model, and its frame has none.
    #[error("the block needs a language model, and its frame names none")]
    NoModel,
    /// Whoever follows the progress asked for the end.
    #[error("cancelled")]
    Cancelled,
}

/// Why coded bytes cannot be what an encoder wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CorruptStream {
    /// The bytes denote a point outside every symbol.
    #[error("the coded data is not a code word")]
    NotACodeWord,
    /// The decoder needs more bytes than there are.
    #[error("the coded data ends too early")]
    Exhausted,
    /// The block is complete, the coded bytes are not.
    #[error("{bytes} bytes of coded data are left over")]
    Unread {
        /// How many.
        bytes: usize,
    },
    /// A token runs past the length of the block.
    #[error("a token runs past the end of its block")]
    Overshoot,
}
