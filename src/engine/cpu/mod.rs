//! The engine on the processor's cores: rows of many streams in one pass, shared by threads.
//!
//! `engine` plans passes, `pass` runs one in the order of the reference, `attention` and `cache`
//! know the layout of keys and values, `recurrence` and `recurrent_layers` run layers without
//! attention, `mixture` runs the experts of a layer, and [`kernels`] holds the operations for each
//! instruction set.

mod attention;
mod cache;
mod engine;
pub mod kernels;
mod mixture;
mod pass;
mod recurrence;
mod recurrent_layers;
mod weights;
mod workspace;

pub use engine::{Engine, EngineOptions};
pub use recurrence::recurrent_state_len;
