//! Where the bits of one file go: what each token cost, and whether the model or the experts
//! predicted it better.
//!
//! The *cost* of a piece of the file is the ideal code length of its decisions in the frame that
//! `llmzip compress` writes. The same run tells what the *model alone* would have paid for each
//! token. A second run without a model tells, byte by byte, what the *experts alone* would have
//! paid. What a longer context is worth is measured separately, with the model alone:
//! [`WindowCost`].

mod cut;
mod explanation;
mod kind;
mod measure;
pub mod render;
mod window;

pub use explanation::{Advantage, Explanation, KindTotals, ModelAlone, ModelVersusExperts, Piece};
pub use kind::PieceKind;
pub use measure::measure;
pub use window::{Cost, WindowCost};
