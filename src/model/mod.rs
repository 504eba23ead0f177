//! Where models come from, and the packed file that holds one.

#[cfg(feature = "candle-reference")]
mod candle_model;
#[cfg(feature = "convert")]
pub mod check;
pub mod config;
pub mod embedded;
#[cfg(feature = "convert")]
pub mod folder;
#[cfg(feature = "convert")]
pub mod gguf;
#[cfg(feature = "hub")]
pub mod hub;
pub mod packed;
pub mod quantize;
pub mod rope;
#[cfg(feature = "convert")]
pub mod source;
pub mod store;
#[cfg(feature = "encode")]
pub mod tokenizer;
#[cfg(feature = "convert")]
pub mod tokens;
#[cfg(feature = "convert")]
pub mod wheel;

pub use config::{Config, ConfigError};
pub use packed::{Matrix, PackInput, PackedError, PackedModel, TensorSource, TokenTable};

/// One step of a text for the coder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Piece {
    /// An output row of the packed vocabulary.
    Token(u32),
    /// A byte for which the vocabulary has no token.
    Byte(u8),
}

/// Short names of models that can be fetched, and their repositories.
pub const SHORT_NAMES: [(&str, &str); 3] = [
    ("smollm2-135m", "HuggingFaceTB/SmolLM2-135M"),
    ("smollm2-360m", "HuggingFaceTB/SmolLM2-360M"),
    ("smollm2-1.7b", "HuggingFaceTB/SmolLM2-1.7B"),
];

/// The repository that a short name stands for.
pub fn short_name(name: &str) -> Option<&'static str> {
    let found = SHORT_NAMES.iter().find(|(short, _)| *short == name);
    found.map(|(_, repository)| *repository)
}
