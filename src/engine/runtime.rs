//! The seam between what wants predictions and what computes them.
//!
//! A [`Runtime`] runs one model. It takes tokens of any number of streams and gives one prediction
//! for each; what a stream has seen is kept in a [`State`] of the runtime's own making. Every
//! runtime gives the same bits as [`super::reference`]: a prediction depends on the tokens before it
//! in its stream and on nothing else.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use crate::machine::{MachineError, memory};
use crate::packed::{PackedError, PackedModel};

/// Tokens by which a state can be set back: it keeps what they displaced.
pub const SLACK: usize = 128;

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

    /// Runs the tokens of every segment; `predictions` becomes one row for each token, segment after
    /// segment. No two segments share a state.
    ///
    /// # Errors
    /// If memory or the device fails. Nothing is then known of the states.
    ///
    /// # Panics
    /// If a token is no input row of the model, or a state is of another runtime.
    fn forward(
        &self,
        segments: &mut [Segment<'_>],
        predictions: &mut Predictions,
    ) -> Result<(), EngineError>;

    /// The time that one more token adds to a pass, as a share of the time of a pass of one token.
    /// What is written does not depend on it.
    fn row_cost(&self) -> f32;

    /// Lets the calling thread help with forward passes of other threads while it waits for them.
    /// `None` where it could not help.
    fn helper(&self) -> Option<Box<dyn Helper + '_>> {
        None
    }
}

/// What a runtime keeps of one stream: keys and values, or a recurrent state.
pub trait State: Debug + Send {
    /// Tokens seen.
    fn position(&self) -> u64;

    /// A copy, to go on differently.
    ///
    /// # Errors
    /// If there is no memory for it.
    fn fork(&self) -> Result<Box<dyn State>, EngineError>;

    /// Forgets every token from `position` on.
    ///
    /// # Panics
    /// If `position` is ahead of the stream, or more than [`SLACK`] behind the furthest it ever was.
    fn truncate(&mut self, position: u64);

    /// Forgets everything.
    fn reset(&mut self);

    /// Itself, for the runtime that made it.
    fn as_any(&mut self) -> &mut dyn Any;
}

/// A thread that helps while it waits.
pub trait Helper {
    /// Helps until `done` says so; it is asked again and again, and should become true after a
    /// forward pass.
    fn help_until(&mut self, done: &mut dyn FnMut() -> bool);
}

/// Tokens of one stream to run.
#[derive(Debug)]
pub struct Segment<'a> {
    /// The stream so far; the tokens are added to it.
    pub state: &'a mut dyn State,
    /// Input rows of the model.
    pub tokens: &'a [u32],
}

/// What the model says of the token that follows another.
#[derive(Clone, Copy, Debug)]
pub struct Prediction<'a> {
    /// Log2 probabilities, not normalised, in units of 2^-16; one for each output row.
    pub logits: &'a [i32],
    /// The vector that the logits were computed from: `hidden` numbers, the largest magnitude 127.
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
    /// None yet.
    pub fn new() -> Predictions {
        Predictions::default()
    }

    /// How many.
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

    /// Makes room for `rows` predictions of a model; a row of logits may be padded to `stride`.
    /// What the rows hold is to be written by the runtime.
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

    /// The state of one row, [hidden], to be written.
    pub fn state_mut(&mut self, row: usize) -> &mut [i8] {
        &mut self.states[row * self.hidden..][..self.hidden]
    }
}
