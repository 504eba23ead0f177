//! The exact transformer: the same bits on every machine.
//!
//! [`Engine::forward`] runs tokens of any number of streams and returns a row of logits for each. A row's result
//! depends on the tokens before it in its stream and on nothing else: not on the rows beside it, the lengths of the
//! calls that led to it, the number of threads, or the kernel set. `docs/NUMERICS.md` defines the result.

pub mod cpu;

pub use cpu::{Cache, Engine, EngineError, EngineOptions, Logits, Prediction, SLACK, Segment};

/// Version of the numerics: changes whenever any logit of any model changes by a bit.
pub const NUMERICS_VERSION: u8 = 1;

/// Whether a packed model of `model_bytes` is taken to stay in the processor's caches, its keys and values too.
pub fn fits_caches(model_bytes: usize) -> bool {
    model_bytes < 16 << 20
}
