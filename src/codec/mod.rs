//! From bytes to binary decisions to coded bits, and back.
//!
//! A block is coded in one of the container's modes. With a language model, its bytes become tokens,
//! each token a path of binary decisions ([`byte_path`]), each decision a probability mixed from the
//! model's opinion and the experts' ([`crate::predict`]), and the range coder ([`coder`]) writes it.
//! Without one, the decisions are simply the bits of the bytes. [`encode`] and [`decode`] are mirror
//! images: whatever one does between two decisions, the other does too. [`plan`] chooses the modes.
//! The decoder, which would otherwise ask the language model about one token at a time, drafts the tokens to come
//! (`draft`, `speculation`), or asks about several streams of a block at once (`streams`). [`cost`] records for reports
//! what every symbol cost.
//!
//! This folder knows bytes, tokens and probabilities; how blocks lie in a file is
//! [`crate::container`]'s affair, and how the model computes is [`crate::engine`]'s.

mod answers;
mod block;
mod byte_path;
mod coder;
pub mod cost;
pub mod decode;
mod draft;
pub mod encode;
mod error;
mod language_model;
mod look_ahead;
mod outlook;
pub mod plan;
mod rounds;
mod speculation;
mod streams;
mod symbol;
#[cfg(test)]
mod tests;
mod times;

pub use coder::CODED_BITS;
pub use draft::Drafts;
pub use error::{CodecError, CorruptStream};
pub use language_model::costs;
pub use symbol::Symbol;
pub use times::Times;
