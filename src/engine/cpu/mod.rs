//! The engine on the processor's cores: rows of many streams in one pass, shared by threads.

mod attention;
mod cache;
mod forward;
pub mod kernels;

pub use cache::Cache;
pub use forward::{Engine, EngineOptions};
