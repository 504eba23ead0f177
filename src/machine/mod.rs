//! The machine: threads, memory, the processor's instruction sets and floating-point modes.

pub mod float_environment;
pub mod instructions;
pub mod pages;
pub mod pool;
pub mod prefetch;
