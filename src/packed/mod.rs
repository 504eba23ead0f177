//! The packed model: one safetensors file with everything that coding needs.
//!
//! The file depends on the model alone: one metadata key with the configuration, tensors in a fixed
//! order, no names, paths or dates. Its BLAKE3 hash is the model's identity. [`PackedModel`] reads
//! it, [`pack()`] writes it, and the table of the model's [`Family`](crate::arch::Family) tells
//! both which tensors there are.
//!
//! Opening checks everything that memory safety and the coder rely on: names, types, shapes and the
//! table of tokens. [`PackedModel::verify`] reads the weights themselves.
//!
//! This folder knows architectures, the machine's memory and the file. It knows neither the code
//! that computes with the weights nor the formats in which others publish them.

mod description;
mod error;
mod layout;
mod model;
mod pack;
pub mod quantize;
#[cfg(any(test, feature = "gpu"))]
pub(crate) mod random;
mod source;
mod tokens;

pub use description::Description;
#[cfg(feature = "convert")]
pub(crate) use description::read_header;
pub use error::PackedError;
pub(crate) use model::MatrixIndex;
pub use model::{Matrix, PackedModel};
pub use pack::{PackInput, pack, pack_to_file};
pub(crate) use source::SourceRows;
pub use source::TensorSource;
#[cfg(feature = "convert")]
pub(crate) use source::shape_error;
#[cfg(feature = "encode")]
pub(crate) use tokens::OwnedTokenTable;
pub use tokens::TokenTable;

/// Longest header of a packed file in bytes: as long as that of any safetensors file.
const MAX_HEADER_LEN: u64 = 100_000_000;
/// Largest scale of a sound model; keeps every intermediate of the engine finite.
const MAX_SCALE: f32 = 1024.0;
/// Largest magnitude of a norm weight or bias of a sound model.
const MAX_FLOAT: f32 = 65536.0;
/// The same in words.
const BOUNDED: &str = "magnitudes up to 65536";

/// Whether a weight of a source, a norm weight or a bias is a number that the engine accepts.
fn is_bounded(value: f32) -> bool {
    value.abs() <= MAX_FLOAT
}
