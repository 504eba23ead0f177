//! The distribution over the next token: the language model's distribution, corrected by two parts
//! that learn the file. They are a bias on each token, and recall of the tokens that followed
//! similar states of the model.
//!
//! The correction happens before tokens become binary decisions.

mod bias;
mod predictor;
mod recall;
mod weights;

pub use predictor::{Distribution, ModelSizes, NextToken, TokenPredictor};
pub use weights::Weights;

use recall::{Recall, Recalled};
