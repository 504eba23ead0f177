//! What can go wrong in the library, each with a sentence for the user.

use std::io;

use crate::codec::{CodecError, CorruptStream};
use crate::container::ContainerError;
use crate::engine::EngineError;
use crate::machine::MachineError;
use crate::packed::PackedError;
#[cfg(feature = "encode")]
use crate::tokenizer::TokenizerError;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input could not be read.
    #[error("cannot read: {0}")]
    Read(#[source] io::Error),
    /// The output could not be written.
    #[error("cannot write: {0}")]
    Write(#[source] io::Error),
    /// The file is not what this program writes, or is damaged.
    #[error(transparent)]
    Container(ContainerError),
    /// The coded bits of a block are not what an encoder writes.
    #[error("{0}")]
    Corrupt(#[from] CorruptStream),
    /// The engine cannot run the model.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The machine lacks something: memory, a thread, instructions.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The model cannot be used.
    #[error(transparent)]
    Model(#[from] PackedError),
    /// No tokenizer can be made from the model.
    #[cfg(feature = "encode")]
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The file was written with a model that is not here.
    #[error("needs model {} (blake3 {}...)", .name.as_deref().unwrap_or("without a name"), hex(.identity))]
    MissingModel {
        /// First bytes of the packed model's BLAKE3.
        identity: [u8; 8],
        /// Its name where the file was written.
        name: Option<String>,
    },
    /// The file was written by another version of the arithmetic.
    #[error("written with {what} version {got}; this program has version {expected}")]
    Version {
        /// Which part.
        what: &'static str,
        /// The file's.
        got: u8,
        /// This program's.
        expected: u8,
    },
    /// Whoever follows the progress asked for the end.
    #[error("cancelled")]
    Cancelled,
    /// An option cannot be used with this build or model.
    #[error("{0}")]
    Unsupported(&'static str),
}

impl From<CodecError> for Error {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::Corrupt(error) => Error::Corrupt(error),
            CodecError::Machine(error) | CodecError::Engine(EngineError::Machine(error)) => {
                Error::Machine(error)
            }
            CodecError::Engine(error) => Error::Engine(error),
            CodecError::NoModel => {
                Error::Unsupported("the block needs a language model, and its frame names none")
            }
            CodecError::Cancelled => Error::Cancelled,
        }
    }
}

impl From<ContainerError> for Error {
    /// The container reads and writes through the caller's streams; its own I/O errors are told
    /// apart by the caller, which knows in which direction it was going.
    fn from(error: ContainerError) -> Self {
        Error::Container(error)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
