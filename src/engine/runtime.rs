//! The interface between the code that needs predictions and the code that computes them.
//!
//! A [`Runtime`] runs one model. It takes tokens of any number of streams and gives one prediction
//! for each; what a stream has seen is kept in a [`State`], whose type the runtime chooses. Every
//! runtime gives the same bits as [`super::reference`]: a prediction depends on the tokens before
//! it in its stream and on nothing else.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use crate::machine::pool::Pool;
use crate::machine::{MachineError, memory};
use crate::packed::{PackedError, PackedModel};

/// A state can be truncated by up to this many tokens: it keeps the keys and values that these
/// tokens replaced.
pub const SLACK: usize = 128;

/// The state of a model with recurrent layers can be truncated by up to this many tokens, of those
/// fed last.
pub const RECURRENT_SLACK: usize = 16;

/// Why a model cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The model lacks something.
    #[error(transparent)]
    Model(#[from] PackedError),
    /// The machine lacks memory, a thread or the instructions asked for.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The device cannot run the model, or has stopped.
    #[cfg(feature = "gpu")]
    #[error(transparent)]
    Device(#[from] super::vulkan::DeviceError),
}

/// Runs one model.
pub trait Runtime: Debug + Send + Sync {
    /// The model.
    fn model(&self) -> &Arc<PackedModel>;

    /// The state of a stream of no tokens.
    ///
    /// # Errors
    /// If there is no memory for it.
    fn new_state(&self) -> Result<Box<dyn State>, EngineError>;

    /// Runs the tokens of every segment. Afterwards `predictions` has one row for each token, in
    /// the order of the segments. No two segments share a state.
    ///
    /// # Errors
    /// If memory or the device fails. The states are then undefined.
    ///
    /// # Panics
    /// If a token is not an input row of the model, or a state belongs to another runtime.
    fn forward(
        &self,
        segments: &mut [Segment<'_>],
        predictions: &mut Predictions,
    ) -> Result<(), EngineError>;

    /// The time that one more token adds to a pass, as a fraction of the time of a pass of one
    /// token. The compressed bytes do not depend on it.
    fn row_cost(&self) -> f32;

    /// A pass of fewer rows takes nearly as long.
    fn enough_rows(&self) -> usize {
        64
    }

    /// Whether passes take no time of the coder's processors.
    fn computes_elsewhere(&self) -> bool {
        false
    }

    /// The threads that the coder may use for its own work between passes; `None` if there is the
    /// calling one alone.
    fn pool(&self) -> Option<&Pool> {
        None
    }

    /// Lets threads take part in forward passes of other threads while they wait for something
    /// else. `None` if this runtime cannot use help.
    fn helper(&self) -> Option<Box<dyn Helper + '_>> {
        None
    }
}

/// What a runtime keeps for one stream: keys and values, or a recurrent state.
pub trait State: Debug + Send {
    /// Tokens seen.
    fn position(&self) -> u64;

    /// A copy, which can then be fed other tokens.
    ///
    /// # Errors
    /// If there is no memory for it.
    fn fork(&self) -> Result<Box<dyn State>, EngineError>;

    /// Forgets every token from `position` on.
    ///
    /// # Panics
    /// If `position` is ahead of the stream, or more than [`SLACK`] behind the furthest position
    /// since the last reset. With recurrent layers, also if `position` is before the tokens of the
    /// latest [`Runtime::forward`], or more than [`RECURRENT_SLACK`] behind the last of them.
    fn truncate(&mut self, position: u64);

    /// Forgets everything.
    fn reset(&mut self);

    /// This state as [`Any`], so that the runtime that made it can downcast it.
    fn as_any(&mut self) -> &mut dyn Any;
}

/// Lets threads help while they wait.
pub trait Helper: Send + Sync {
    /// Helps until `done` returns true. `done` is called repeatedly, but a thread that has found
    /// nothing to do sleeps between the calls.
    fn help_until(&self, done: &mut dyn FnMut() -> bool);

    /// Makes the threads inside [`help_until`](Helper::help_until) call `done` again. What makes it
    /// true was done before, under a lock or with a sequentially consistent access.
    fn wake(&self);
}

/// Tokens of one stream to run.
#[derive(Debug)]
pub struct Segment<'a> {
    /// The state of the stream, to which the tokens are added.
    pub state: &'a mut dyn State,
    /// Input rows of the model.
    pub tokens: &'a [u32],
}

/// The model's prediction of the token that follows.
#[derive(Clone, Copy, Debug)]
pub struct Prediction<'a> {
    /// Base-2 logarithms of unnormalised probabilities, in units of 2^-16; one for each output row.
    pub logits: &'a [i32],
    /// The vector from which the logits were computed, `[hidden]`, scaled so that the largest
    /// magnitude is 127.
    pub state: &'a [i8],
}

/// Predictions, one for each token of a forward pass.
#[derive(Clone, Debug, Default)]
pub struct Predictions {
    rows: usize,
    vocab: usize,
    hidden: usize,
    /// Elements from one row of logits to the next, at least `vocab`.
    stride: usize,
    /// [rows, stride]
    logits: Vec<i32>,
    /// [rows, hidden]
    states: Vec<i8>,
}

impl Predictions {
    /// An empty list.
    pub fn new() -> Predictions {
        Predictions::default()
    }

    /// The number of predictions.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The prediction of one row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> Prediction<'_> {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        Prediction {
            logits: &self.logits[row * self.stride..][..self.vocab],
            state: &self.states[row * self.hidden..][..self.hidden],
        }
    }

    /// Makes room for `rows` predictions of a model; a row of logits may be padded to `stride`. The
    /// runtime must then write their contents.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn resize(
        &mut self,
        rows: usize,
        vocab: usize,
        stride: usize,
        hidden: usize,
    ) -> Result<(), EngineError> {
        const WHAT: &str = "the predictions of a pass";
        let stride = stride.max(vocab);
        memory::resize(&mut self.logits, WHAT, rows * stride, 0)?;
        memory::resize(&mut self.states, WHAT, rows * hidden, 0)?;
        (self.rows, self.vocab, self.stride, self.hidden) = (rows, vocab, stride, hidden);
        Ok(())
    }

    /// All logits, [rows, stride], to be written.
    pub fn logits_mut(&mut self) -> &mut [i32] {
        &mut self.logits
    }

    /// Writes the logits of one row, given as bytes in the order of this machine.
    #[cfg(feature = "gpu")]
    pub(super) fn set_logits(&mut self, row: usize, bytes: &[u8]) {
        let logits = &mut self.logits[row * self.stride..][..self.vocab];
        for (logit, bytes) in logits.iter_mut().zip(bytes.chunks_exact(4)) {
            *logit = i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
    }

    /// The state of one row, [hidden], to be written.
    pub fn state_mut(&mut self, row: usize) -> &mut [i8] {
        &mut self.states[row * self.hidden..][..self.hidden]
    }
}
