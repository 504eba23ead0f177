//! The engine on the processor's cores.

mod attention;
mod cache;
mod forward;
pub mod kernels;

pub use cache::{Cache, SLACK};
pub use forward::{Engine, EngineError, EngineOptions, Logits, Prediction, Segment};
