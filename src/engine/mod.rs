//! The exact transformer: the same bits on every machine.
//!
//! [`mod@reference`] is the forward pass to read, and defines the result together with
//! `docs/NUMERICS.md`. [`Runtime`] is the seam behind which fast implementations lie; [`cpu`] is one.
//! A prediction depends on the tokens before it in its stream and on nothing else: not on the
//! tokens beside it, the lengths of the calls that led to it, the number of threads or the
//! instruction set. This folder knows packed models and the machine, and nothing of compression.

pub mod cpu;
pub mod reference;
mod runtime;
#[cfg(test)]
pub(crate) mod tests;

pub use cpu::{Engine, EngineOptions};
pub use runtime::{EngineError, Helper, Prediction, Predictions, Runtime, SLACK, Segment, State};

/// Version of the numerics: changes whenever any logit of any model changes by a bit.
pub const NUMERICS_VERSION: u8 = 1;
