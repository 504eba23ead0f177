//! Reports on how well files compress. A report is measured first and rendered afterwards.
//!
//! `compare` compares llmzip with common compressors, [`scaling`] compares models of several sizes,
//! and `explain` shows how the bits of one file are spent.
//!
//! A measurement compresses whole files in memory, exactly as `llmzip compress` does with its
//! default options, so the sizes are those of the files that it would write. Renderers are pure
//! functions of what was measured and of its [`Provenance`].
//!
//! This folder may use the whole library. It knows no command-line option and no terminal.

mod candidate;
#[cfg(feature = "compare")]
mod classical;
#[cfg(feature = "compare")]
pub mod compare;
mod error;
#[cfg(feature = "encode")]
pub mod explain;
mod markup;
pub mod numbers;
mod page;
mod progress;
mod provenance;
pub mod scaling;
mod table;

pub use candidate::Candidate;
pub use error::ReportError;
pub use progress::{MeasureProgress, OnMeasureProgress, Phase};
pub use provenance::{ModelIdentity, Provenance};

/// A file to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The name that reports call it by.
    pub name: String,
    /// Its whole content.
    pub bytes: Vec<u8>,
}
