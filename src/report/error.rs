//! Why a report could not be made.

#[cfg(feature = "compare")]
use std::io;

use crate::Error;

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// llmzip itself failed.
    #[error("{file}: llmzip with {rung}: {error}")]
    Llmzip {
        /// The file measured.
        file: String,
        /// The model's name, or that of having none.
        rung: String,
        /// What went wrong.
        #[source]
        error: Box<Error>,
    },
    /// Another codec failed.
    #[cfg(feature = "compare")]
    #[error("{file}: {codec}: {error}")]
    Codec {
        /// The file measured.
        file: String,
        /// The codec's name.
        codec: &'static str,
        /// What it said.
        #[source]
        error: io::Error,
    },
    /// Decompression gave other bytes than were compressed.
    #[cfg(feature = "compare")]
    #[error("{file}: {compressor} did not give the original back")]
    NotRestored {
        /// The file measured.
        file: String,
        /// The compressor's name.
        compressor: String,
    },
}
