//! One stream's language model as the codec sees it: tokens in, predictions out.
//!
//! What the model has seen is defined once for both directions: at the start of a stream the
//! beginning-of-text row (row 0 where a model has none), then every token coded, never an escaped
//! byte. The last token stays pending until a prediction needs it, so a block's last token costs no
//! forward pass. A block that is coded without the model resets the context.

use std::sync::Arc;

use crate::engine::{EngineError, Predictions, Runtime, Segment, State};

/// Rows of which predictions are not needed are run so many at once.
const FED_AT_ONCE: usize = 64;

/// One stream's language model.
#[derive(Debug)]
pub(super) struct LanguageModel {
    runtime: Arc<dyn Runtime>,
    state: Box<dyn State>,
    /// The last token, an input row that the state has not seen yet.
    pending: u32,
}

impl LanguageModel {
    /// A model that has seen nothing.
    pub(super) fn new(runtime: Arc<dyn Runtime>) -> Result<LanguageModel, EngineError> {
        Ok(LanguageModel {
            state: runtime.new_state()?,
            pending: start_row(&*runtime),
            runtime,
        })
    }

    /// A copy, which can then be fed other tokens.
    pub(super) fn fork(&self) -> Result<LanguageModel, EngineError> {
        Ok(LanguageModel {
            runtime: Arc::clone(&self.runtime),
            state: self.state.fork()?,
            pending: self.pending,
        })
    }

    /// The runtime of the model.
    pub(super) fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }

    /// The last token, which the state has not seen yet.
    pub(super) fn pending(&self) -> u32 {
        self.pending
    }

    /// Tokens seen, including the pending one.
    pub(super) fn seen(&self) -> u64 {
        self.state.position() + 1
    }

    /// Computes the prediction after each of `rows`. The first of them is the pending one.
    pub(super) fn run(
        &mut self,
        rows: &[u32],
        predictions: &mut Predictions,
    ) -> Result<(), EngineError> {
        let segment = Segment {
            state: &mut *self.state,
            tokens: rows,
        };
        self.runtime.forward(&mut [segment], predictions)
    }

    /// Forgets the last `rows` rows that were run.
    pub(super) fn take_back(&mut self, rows: usize) {
        self.state.truncate(self.state.position() - rows as u64);
    }

    /// Makes `row`, the token that was predicted last, the pending one. Returns the token that was
    /// pending before.
    pub(super) fn accept(&mut self, row: u32) -> u32 {
        std::mem::replace(&mut self.pending, row)
    }
}

/// A language model whose context can begin anew.
pub(super) trait Context {
    /// Forgets everything.
    fn reset(&mut self);

    /// Appends `rows` to the context, before anything else.
    fn begin_with(&mut self, rows: &[u32]) -> Result<(), EngineError>;
}

impl Context for LanguageModel {
    fn reset(&mut self) {
        self.state.reset();
        self.pending = start_row(&*self.runtime);
    }

    fn begin_with(&mut self, rows: &[u32]) -> Result<(), EngineError> {
        let mut unused = Predictions::new();
        let fed: Vec<u32> = rows.iter().map(|&row| self.accept(row)).collect();
        for chunk in fed.chunks(FED_AT_ONCE) {
            self.run(chunk, &mut unused)?;
        }
        Ok(())
    }
}

fn start_row(runtime: &dyn Runtime) -> u32 {
    runtime.model().config().bos.unwrap_or(0)
}

/// Runs the `tokens` of each model, all of one `runtime`, in one pass. The predictions come in the
/// order of the models.
pub(super) fn run_together(
    runtime: &dyn Runtime,
    models: &mut [&mut LanguageModel],
    tokens: &[Vec<u32>],
    predictions: &mut Predictions,
) -> Result<(), EngineError> {
    let mut segments: Vec<Segment<'_>> = (models.iter_mut().zip(tokens))
        .map(|(model, tokens)| Segment {
            state: &mut *model.state,
            tokens,
        })
        .collect();
    runtime.forward(&mut segments, predictions)
}
