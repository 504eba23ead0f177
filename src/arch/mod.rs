//! Architectures: what a model's tensors are and how large.

pub mod config;
pub mod rope;

pub use config::{Config, ConfigError};
