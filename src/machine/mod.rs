//! The machine: threads, memory, files and signals, the processor's instruction sets and
//! floating-point modes.
//!
//! Nothing here knows its use. If the system refuses a request, the result is a [`MachineError`].

pub mod aligned;
#[cfg(target_arch = "x86_64")]
mod amx;
pub mod float_environment;
#[cfg(feature = "gpu")]
pub mod foreign;
pub mod forks;
pub mod inherited;
pub mod instructions;
pub mod memory;
pub mod new_file;
pub mod pages;
pub mod patient;
pub mod pool;
pub mod prefetch;
pub mod regular_file;
pub mod stack;

/// What this machine cannot give.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// Not enough memory.
    #[error("not enough memory: {} MB more for {what}", .bytes.div_ceil(1_000_000))]
    Memory {
        /// What it is for.
        what: &'static str,
        /// How much was asked for.
        bytes: usize,
    },
    /// Instructions that do not exist or that this processor lacks.
    #[error(transparent)]
    Instructions(#[from] instructions::InstructionError),
}
