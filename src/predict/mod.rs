//! Adaptive experts and the mixer that weighs them against the language model.
//!
//! Everything that is coded is a binary decision, and every decision passes through [`Predictor::predict`]
//! and [`Predictor::update`]: the eight bits of a byte, whether a token ends here, whether the next byte
//! escapes the vocabulary. The arithmetic is in integers alone, so an encoder and a decoder that make the
//! same calls see the same probabilities on every machine.

mod apm;
mod contexts;
mod counter;
mod events;
mod experts;
mod histories;
mod history;
pub mod kernels;
mod light;
mod logistic;
mod match_model;
mod mixer;
mod output_bias;
mod pixels;
mod plain;
mod predictor;
mod preset;
mod recall;
mod record;
mod state;
mod table;

pub use experts::Place;
pub use logistic::PROBABILITY_BITS;
pub use output_bias::{OutputBias, Teacher};
pub use predictor::{Event, Predictor, Preset, Settings, TokenFacts};
pub use preset::PREDICTOR_VERSION;
pub use recall::Recall;
