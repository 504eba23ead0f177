//! Why a model could not be checked.

use crate::engine::EngineError;
use crate::import::SourceError;
use crate::machine::MachineError;
use crate::packed::PackedError;
use crate::tokenizer::TokenizerError;

/// Why a check could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The source of the weights.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The packed model.
    #[error(transparent)]
    Packed(#[from] PackedError),
    /// The tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The exact engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The machine lacks memory or instructions.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// candle's model.
    #[error("candle: {0}")]
    Candle(String),
}
