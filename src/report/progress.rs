//! How far a measurement has come.

use std::ops::ControlFlow;

/// How far a measurement has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeasureProgress<'a> {
    /// Name of the file being measured.
    pub file: &'a str,
    /// Name of the compressor being measured.
    pub compressor: &'a str,
    /// What is being done with the file.
    pub phase: Phase,
    /// Original bytes done in this phase.
    pub done: u64,
    /// Original bytes of the whole file.
    pub total: u64,
}

/// What is done with a file while it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The file is compressed.
    Compress,
    /// The compressed file is decompressed.
    Decompress,
    /// The model predicts parts of the file, and nothing is written.
    Predict,
}

/// Called again and again while a measurement runs; `Break` cancels it.
pub type OnMeasureProgress<'a> = &'a mut dyn FnMut(MeasureProgress<'_>) -> ControlFlow<()>;
