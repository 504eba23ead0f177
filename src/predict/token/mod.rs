//! What a file teaches about the tokens of a language model: a bias on each of them, and what
//! followed where the model was in a similar state.
//!
//! These correct the model's distribution before its tokens become binary decisions.

mod bias;
mod recall;

pub use bias::{OutputBias, TokenOf};
pub use recall::Recall;
