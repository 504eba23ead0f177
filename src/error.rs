//! What can go wrong in the library.
//!
//! Every function of the library that fails returns an [`Error`]. Its message is one sentence that
//! can be shown to a user. The variants hold the errors of the parts of the library, whose types
//! are also listed here.

use std::io;

use crate::codec::CodecError;
pub use crate::codec::CorruptStream;
pub use crate::container::ContainerError;
use crate::container::refusal;
pub use crate::engine::EngineError;
pub use crate::machine::MachineError;
pub use crate::packed::PackedError;
pub use crate::store::StoreError;
use crate::store::hex;
#[cfg(feature = "encode")]
pub use crate::tokenizer::TokenizerError;

/// Why compression or decompression failed.
///
/// An `Error` converts into an [`io::Error`], as the traits [`Read`](io::Read) and
/// [`Write`](io::Write) require; `io::Error::downcast` gives it back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input could not be read.
    #[error("cannot read: {0}")]
    Read(#[source] io::Error),
    /// The output could not be written.
    #[error("cannot write: {0}")]
    Write(#[source] io::Error),
    /// The input is no llmzip file, or it is damaged.
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
    /// No model of this name can be had, or the folder of models cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data was compressed with a model that is not here.
    #[error("needs model {} (blake3 {}...)", .name.as_deref().unwrap_or("without a name"), hex(.identity))]
    MissingModel {
        /// The first 8 bytes of the BLAKE3 of the packed model.
        identity: [u8; 8],
        /// The model's name where the data was compressed, if the frame holds it.
        name: Option<String>,
    },
    /// The data was compressed after a prime that is not here.
    #[error("needs the prime with blake3 {}...", hex(.identity))]
    MissingPrime {
        /// The first 8 bytes of the BLAKE3 of the prime.
        identity: [u8; 8],
    },
    /// The data was compressed by another version of the arithmetic.
    #[error("{}", refusal(.what, *.got, *.expected))]
    Version {
        /// The part whose version differs.
        what: &'static str,
        /// The version in the data.
        got: u8,
        /// The version of this library.
        expected: u8,
    },
    /// An option cannot be used with this build or model.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The original is longer than [`DecoderOptions::limit`](crate::DecoderOptions::limit) allows.
    #[error("decompresses to more than {limit} bytes, which is the limit")]
    Limit {
        /// The limit in bytes.
        limit: u64,
    },
    /// What was asked for begins behind the end of the original.
    #[error("byte {offset} lies behind the end: the original has {original_len} bytes")]
    BehindEnd {
        /// Where it begins.
        offset: u64,
        /// The length of the original in bytes.
        original_len: u64,
    },
    /// A progress callback asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// An earlier call failed, and the stream cannot go on from there.
    #[error("an earlier error ended this stream")]
    Broken,
}

impl Error {
    /// The error of reading a container from the caller's reader.
    pub(crate) fn reading(error: ContainerError) -> Error {
        match error {
            ContainerError::Io(error) => Error::Read(error),
            other => Error::Container(other),
        }
    }
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
    /// Not for errors of the caller's reader, which are [`Error::Read`].
    fn from(error: ContainerError) -> Self {
        Error::Container(error)
    }
}

impl From<Error> for io::Error {
    /// An error of the caller's reader or writer as it was; any other one wrapped, with a kind
    /// that suits it.
    fn from(error: Error) -> io::Error {
        let kind = match error {
            Error::Read(error) | Error::Write(error) => return error,
            Error::Container(ContainerError::Truncated { .. }) => io::ErrorKind::UnexpectedEof,
            Error::Container(_) | Error::Corrupt(_) => io::ErrorKind::InvalidData,
            Error::MissingModel { .. } | Error::MissingPrime { .. } => io::ErrorKind::NotFound,
            Error::Version { .. } | Error::Unsupported(_) => io::ErrorKind::Unsupported,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
