//! llmzip beside other compressors: sizes, speeds and memory, each result verified by
//! decompression.
//!
//! The classical codecs come first, then llmzip's [`Candidate`](super::Candidate)s in the order
//! given. [`measure()`] measures one compressor in this process. Whoever makes a [`Comparison`]
//! chooses how each [`Outcome`] is measured: the command line starts a process for each, because
//! only a process that does nothing else can tell how much memory one compressor takes.

mod comparison;
mod measure;
pub mod render;

pub use comparison::{Comparison, Compressor, CompressorKind, FileOutcomes, Metric, Outcome};
pub use measure::{compressors, measure};
