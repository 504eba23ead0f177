//! The predictor: gives the probability of every decision that is coded, and learns from the
//! outcome.
//!
//! Everything that is coded is a binary decision ([`decision`](Event)): the eight bits of a byte,
//! whether a token ends here, whether the next byte escapes the vocabulary. Each passes through
//! [`Predictor::predict`] and [`Predictor::update`]. `experts` predict from the part of the file
//! that has been coded, `mix` weighs their predictions and the language model's, `token` corrects
//! the model's distribution over the next token, and [`kernels`] holds the inner loops. All
//! arithmetic is in integers, apart from one rounding of exact powers of 2 in the distribution. So
//! an encoder and a decoder that make the same calls see the same probabilities on every machine.
//! `docs/PREDICTOR.md` specifies all of it.
//!
//! This folder knows decisions, tokens as numbers, and the machine. It knows no model, no file
//! format and no tokenizer.

mod decision;
mod experts;
pub mod kernels;
mod mix;
mod predictor;
mod token;

pub use decision::{Event, PREDICTOR_VERSION, Preset, Settings, TokenFacts};
pub use experts::StreamState;
pub use mix::PROBABILITY_BITS;
pub use predictor::Predictor;
pub use token::{Distribution, ModelSizes, NextToken, TokenPredictor, Weights};
