//! Predictions of the next token of several streams, computed while the decoder decodes tokens of
//! other streams.

use std::thread::Scope;

use super::answers::Answers;
use super::language_model::{LanguageModel, run_together};
use crate::engine::{EngineError, Predictions, Runtime};

/// A question about the next token of several streams, and its answer.
pub(super) struct Round {
    /// Streams in ascending order, each with its pending token.
    pub rows: Vec<(usize, u32)>,
    /// The answer: one prediction for each of `rows`.
    pub predictions: Predictions,
}

impl Round {
    /// A question that has no answer yet.
    pub(super) fn new(rows: Vec<(usize, u32)>) -> Round {
        Round {
            rows,
            predictions: Predictions::new(),
        }
    }

    fn answer(
        &mut self,
        runtime: &dyn Runtime,
        models: &mut [&mut LanguageModel],
    ) -> Result<(), EngineError> {
        let mut tokens = vec![Vec::new(); models.len()];
        for &(stream, row) in &self.rows {
            tokens[stream].push(row);
        }
        run_together(runtime, models, &tokens, &mut self.predictions)
    }
}

/// Answers rounds in the order in which they are asked, on the calling thread or beside it. The
/// models are of `runtime`, one for each stream.
pub(super) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    runtime: &'scope dyn Runtime,
    mut models: Vec<&'scope mut LanguageModel>,
) -> Answers<'scope, Round, Result<Round, EngineError>> {
    Answers::start(scope, runtime, move |mut round: Round| {
        round.answer(runtime, &mut models)?;
        Ok(round)
    })
}
