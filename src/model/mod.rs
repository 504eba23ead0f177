//! Where models come from, and the packed file that holds one.

pub mod config;
pub mod packed;
pub mod quantize;
pub mod rope;

pub use config::{Config, ConfigError};
pub use packed::{Matrix, PackInput, PackedError, PackedModel, TensorSource, TokenTable};
