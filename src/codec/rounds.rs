//! A thread predicts the next token of several streams while the decoder decodes tokens of other
//! streams.

use std::sync::mpsc::{self, Sender};
use std::thread::Scope;

use super::CodecError;
use super::answers::{Answers, spawn};
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

/// Starts a thread of `scope` that answers rounds in the order in which they are asked. The models
/// are of `runtime`, one for each stream.
pub(super) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    runtime: &'scope dyn Runtime,
    mut models: Vec<&'scope mut LanguageModel>,
) -> Result<(Sender<Round>, Answers<'scope, Round>), CodecError> {
    let (asks, asked) = mpsc::channel::<Round>();
    let (answers, answered) = mpsc::channel();
    spawn(scope, move || {
        while let Ok(mut round) = asked.recv() {
            let result = round.answer(runtime, &mut models);
            if answers.send(result.map(|()| round)).is_err() {
                break;
            }
        }
    })?;
    Ok((asks, Answers::new(runtime, answered)))
}
