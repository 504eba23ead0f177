//! The exact transformer: the same bits on every machine.
//!
//! [`mod@reference`] is the forward pass to read, and defines the result together with
//! `docs/NUMERICS.md`. The codec calls the trait [`Runtime`]; [`cpu`] is its fast implementation. A
//! prediction depends on the tokens before it in its stream and on nothing else: not on other
//! tokens of the same pass, on how the tokens were divided among calls, on the number of threads or
//! on the instruction set. This folder knows packed models and the machine, and nothing of
//! compression.

mod angles;
mod checkpoints;
pub(crate) mod contexts;
pub mod cpu;
mod fallback;
mod passes;
mod placement;
pub mod reference;
mod runtime;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(feature = "gpu")]
pub mod vulkan;

pub use cpu::{Engine, EngineOptions, recurrent_state_len};
pub use fallback::{Fallback, Primary};
pub use placement::{DeviceChoice, DeviceNews, NO_GPU, OnDeviceNews};
pub use runtime::{
    EngineError, Helper, Prediction, Predictions, RECURRENT_SLACK, Runtime, SLACK, Segment, State,
};

/// Version of the numerics: changes whenever any logit of any model changes by a bit.
pub const NUMERICS_VERSION: u8 = 1;
