//! Why a report could not be made.

#[cfg(feature = "compare")]
use std::io;

use crate::Error;

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// llmzip failed.
    #[error("{file}: llmzip with {model}: {error}")]
    Llmzip {
        /// Name of the file.
        file: String,
        /// Name of the model, `none` without one.
        model: String,
        /// What went wrong.
        #[source]
        error: Box<Error>,
    },
    /// A progress callback asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// Another codec failed.
    #[cfg(feature = "compare")]
    #[error("{file}: {codec}: {error}")]
    Codec {
        /// Name of the file.
        file: String,
        /// Name of the codec.
        codec: &'static str,
        /// The error of its library.
        #[source]
        error: io::Error,
    },
    /// Decompression did not give the original bytes back.
    #[cfg(feature = "compare")]
    #[error("{file}: {compressor} did not give the original back")]
    NotRestored {
        /// Name of the file.
        file: String,
        /// Name of the compressor.
        compressor: String,
    },
}
