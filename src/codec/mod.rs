//! From bytes to binary decisions to coded bits, and back.
//!
//! A block is coded in one of the container's modes. With a language model its bytes become tokens,
//! each token a path of binary decisions (`byte_path`); each decision gets a probability, mixed
//! from the model's and those of adaptive experts ([`crate::predict`]), and the range coder
//! (`coder`) writes its outcome. Without a model the decisions are the bits of the bytes.
//!
//! | file | what it does |
//! |---|---|
//! | `block` | codes a block decision by decision, in either direction |
//! | [`encode`], `look_ahead` | what only an encoder does: the model computes ahead of the coder |
//! | [`decode`], `speculation`, `draft`, `rounds` | what only a decoder does: drafts, rounds |
//! | `frame_predictor`, `language_model` | what the blocks of a frame share, made when needed |
//! | `branches` | rewrites machine code before the experts code it |
//! | `streams` | several streams in one block |
//! | `prime` | what a frame knows before its first byte |
//! | [`plan`] | which mode a block gets, and how many streams |
//! | [`cost`] | records for reports what every symbol cost |
//!
//! This folder knows tokens, probabilities and the trait [`crate::engine::Runtime`].
//! [`crate::container`] knows the layout of blocks in a file, and a runtime knows how its model
//! computes.

mod alone;
mod answers;
mod block;
mod branches;
mod byte_path;
mod coder;
pub mod cost;
pub mod decode;
mod draft;
pub mod encode;
mod error;
mod frame_predictor;
mod language_model;
mod look_ahead;
pub mod plan;
mod prime;
mod rounds;
mod speculation;
mod streams;
mod symbol;
#[cfg(test)]
mod tests;
mod times;

pub use alone::costs;
pub use coder::CODED_BITS;
pub use draft::Drafts;
pub use error::{CodecError, CorruptStream};
pub use look_ahead::bytes_of_logits;
pub use prime::{MAX_PRIME_LEN, Prime};
pub use streams::{bytes_of_streams, learn_by_rounds};
pub use symbol::Symbol;
pub use times::Times;
