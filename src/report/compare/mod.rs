//! Compares llmzip with other compressors: sizes, speeds and memory. Each result is verified by
//! decompression.
//!
//! The classical codecs come first, then llmzip's [`Candidate`](super::Candidate)s in the order
//! given. [`measure()`] measures one compressor in this process. The caller that makes a
//! [`Comparison`] chooses where each [`Run`] takes place. The command line has a process for each
//! compressor and file, because the memory of one compressor can be measured only in a process that
//! does nothing else.

mod comparison;
mod measure;
mod outcome;
pub mod render;
mod schedule;
mod times;

pub use comparison::{Comparison, Compressor, CompressorKind, FileOutcomes, MEMORY_NOISE, Metric};
pub use measure::{compressors, measure};
pub use outcome::{Outcome, Run};
pub use schedule::{BUDGET, LONG, MAX_RUNS, MIN_RUNS};
pub use times::Times;
