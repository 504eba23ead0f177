//! What can be wrong with a packed model.

use crate::arch::ConfigError;
use crate::machine::MachineError;

/// A packed model that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackedError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The machine has no memory for it.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The file was written to while it was read.
    #[error("the file changed while it was read")]
    Changed,
    /// The file has another BLAKE3 hash than it should have.
    #[error("the file is damaged: its content has changed since it was packed")]
    Damaged,
    /// The file is not a safetensors file.
    #[error("not a packed model: {0}")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// The configuration is missing or not JSON.
    #[error("not a packed model: no configuration ({0})")]
    Metadata(String),
    /// The configuration is outside what the engine runs.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor is missing, unexpected or has another type or shape.
    #[error("packed model: tensor {name} is {got}, expected {want}")]
    Tensor {
        /// Tensor name.
        name: String,
        /// What was found.
        got: String,
        /// What the configuration asks for.
        want: String,
    },
    /// A tensor holds a value that the format forbids.
    #[error("packed model: {name} holds {got}, expected {want}")]
    Value {
        /// Tensor name.
        name: String,
        /// What was found.
        got: String,
        /// What the format allows.
        want: &'static str,
    },
    /// The source of the weights failed.
    #[error("{name}: {reason}")]
    Source {
        /// Tensor name in the source.
        name: String,
        /// Why it could not be read.
        reason: String,
    },
}

impl PackedError {
    pub(super) fn tensor(
        name: &str,
        got: impl Into<String>,
        want: impl Into<String>,
    ) -> PackedError {
        PackedError::Tensor {
            name: name.into(),
            got: got.into(),
            want: want.into(),
        }
    }

    pub(super) fn value(name: &str, got: impl ToString, want: &'static str) -> PackedError {
        PackedError::Value {
            name: name.into(),
            got: got.to_string(),
            want,
        }
    }
}
