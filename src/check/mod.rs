//! Measures what exactness costs: how well the exact engine predicts a text, compared with plain
//! f32 arithmetic and with candle's own model. `llmzip model check` prints the result. [`Speed`]
//! estimates what a model costs before there is one.
//!
//! All three see the same tokens and start with the same beginning-of-sequence token. The exact
//! engine and [`FloatModel`] slide over the whole text with the same window and sinks. candle's
//! models have neither window nor sinks and return one row of logits for each call, so they predict
//! only the first window, one token at a time.
//!
//! Nothing is coded with these results, so ordinary floats and the system's mathematical functions
//! are allowed. This folder knows published models, packed models, the tokenizer and the engine.

#[cfg(feature = "reference")]
mod candle;
mod dequantised;
mod error;
pub mod float;
mod layer;
mod recurrence;
pub mod sampled;
pub mod speed;
mod subject;

pub use error::CheckError;
pub use float::FloatModel;
pub use sampled::{Loss, Sampled};
pub use speed::Speed;
pub use subject::{Agreement, Comparison, Subject, Text};
