//! Reports on how compression behaves: everything is measured first, then rendered.
//!
//! `compare` sets llmzip beside the codecs that everybody has, [`scaling`] its models beside each other, `explain`
//! shows where the bits of a file go.
//! A measurement compresses files in memory, whole, exactly as `llmzip compress` does with its
//! default options, so sizes equal those of the files it would write. Renderers are pure functions of
//! what was measured. This folder may use all of the library; it knows no option and no terminal.

#[cfg(feature = "compare")]
mod classical;
#[cfg(feature = "compare")]
pub mod compare;
mod error;
#[cfg(feature = "encode")]
pub mod explain;
pub mod numbers;
mod rung;
pub mod scaling;
mod table;

pub use error::ReportError;
pub use rung::Rung;

/// A file to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// How it is called in the report.
    pub name: String,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// What is being measured at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// The file's name.
    pub file: &'a str,
    /// The compressor's name.
    pub compressor: &'a str,
    /// Which way.
    pub direction: Direction,
    /// Original bytes dealt with so far.
    pub done: u64,
    /// All original bytes of the file.
    pub total: u64,
}

/// Towards fewer bytes or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Original to compressed.
    Compress,
    /// Compressed to original.
    Decompress,
    /// Neither: the model is asked about a file.
    Measure,
}

/// Called as a measurement goes on.
pub type OnStep<'a> = &'a mut dyn FnMut(Step<'_>);
