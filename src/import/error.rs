//! Why a published model cannot be used.

use crate::arch::ConfigError;
use crate::packed::PackedError;

/// Why a published model could not be read or packed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file or folder could not be read.
    #[error("{what}: {error}")]
    Io {
        /// What was being read.
        what: String,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// The content contradicts its format or itself.
    #[error("not a usable model: {0}")]
    Invalid(String),
    /// Well-formed, but of a kind that the exact engine or the coder lacks.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// Its sizes are outside what the engine runs.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The packed file could not be made.
    #[error(transparent)]
    Packed(#[from] PackedError),
}

impl SourceError {
    pub(crate) fn invalid(reason: impl Into<String>) -> SourceError {
        SourceError::Invalid(reason.into())
    }

    /// The file is of no kind that models come in.
    pub(super) fn unknown_format() -> SourceError {
        SourceError::invalid(
            "neither a GGUF file, nor a wheel, nor a folder with a model, nor a manifest of \
             Ollama, nor a packed model",
        )
    }

    pub(crate) fn io(what: impl Into<String>, error: std::io::Error) -> SourceError {
        SourceError::Io {
            what: what.into(),
            error,
        }
    }
}
