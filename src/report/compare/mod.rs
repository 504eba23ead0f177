//! Compares llmzip with other compressors: sizes, speeds and memory. Each result is verified by
//! decompression.
//!
//! The classical codecs come first, then llmzip's [`Candidate`](super::Candidate)s in the order
//! given. [`measure()`] measures one compressor in this process. The caller that makes a
//! [`Comparison`] chooses how each [`Outcome`] is measured. The command line starts a process for
//! each, because the memory of one compressor can be measured only in a process that does nothing
//! else.

mod comparison;
mod measure;
pub mod render;

pub use comparison::{Comparison, Compressor, CompressorKind, FileOutcomes, Metric, Outcome};
pub use measure::{compressors, measure};
