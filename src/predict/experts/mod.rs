//! The experts: adaptive models of the bytes of a file, each of which predicts the next bit from a
//! context of its own, and the three sets of them that a preset can name.
//!
//! They know the bits coded so far and, in a block with a language model, the model's probability
//! of the next bit. [`mix`](super::mix) mixes their predictions.

mod all;
mod bit_histories;
mod bit_states;
mod byte_history;
mod contexts;
mod events;
mod hash_table;
mod light;
mod match_model;
mod none;
mod pixels;
mod record_length;

pub use all::StreamState;
pub(super) use all::{AllExperts, names as expert_names};
pub(super) use light::LightExperts;
pub(super) use none::NoExperts;
