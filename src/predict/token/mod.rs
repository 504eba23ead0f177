//! The distribution over the next token: the language model's, corrected by what the file has taught
//! about it, a bias on each token and what followed where the model was in a similar state.
//!
//! The correction happens before tokens become binary decisions.

mod bias;
mod predictor;
mod recall;

pub use predictor::{ModelSizes, TokenPredictor};

pub use bias::{OutputBias, TokenOf};
pub use recall::Recall;
