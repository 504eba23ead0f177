//! How the bits of one file are spent: the cost of each token, and whether the model or the experts
//! predicted it better.
//!
//! The *cost* of a piece of the file is the ideal code length of its decisions in the frame that
//! `llmzip compress` writes. The same run also gives the cost of each token under the *model
//! alone*. A second run without a model gives the cost of each byte under the *experts alone*.
//! [`WindowCost`] gives the cost under the model alone with a shorter or longer context.

mod cut;
mod explanation;
mod kind;
mod measure;
pub mod render;
mod window;

pub use explanation::{Advantage, Explanation, KindTotals, ModelAlone, ModelVersusExperts, Piece};
pub use kind::PieceKind;
pub use measure::measure;
pub use window::{Cost, Sampling, WindowCost};
