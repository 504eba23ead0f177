//! What exactness costs: how well the exact engine predicts a text, beside plain f32 arithmetic and
//! beside candle's own model. `llmzip model check` reports it.
//!
//! All three see the same tokens and start with the same beginning-of-sequence token. The exact
//! engine and [`FloatModel`] slide over the whole text with the same window and sinks. candle's
//! models have neither and give one row of logits a call, so they take the first window, one token
//! at a time.
//!
//! Nothing here codes anything, so ordinary floats and the system's mathematical functions are
//! fine. This folder knows published models, packed models, the tokenizer and the engine.

#[cfg(feature = "reference")]
mod candle;
mod dequantised;
mod error;
pub mod float;
mod subject;

pub use error::CheckError;
pub use float::FloatModel;
pub use subject::{Subject, Text};
