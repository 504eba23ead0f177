//! A decoder's language model. It is fed drafts of the next tokens and forgets those that turn out
//! wrong.
//!
//! A forward pass of several rows takes little longer than one of a single row. So a decoder feeds
//! a draft together with the token that it must feed anyway. A row's prediction depends on the
//! tokens before it alone, so every prediction up to the first token that differs from the draft
//! equals the one that feeding one token at a time would give. The rest of the draft is then cut
//! off the state. After [`Speculation::withdraw`] the model has exactly the state that feeding one
//! token at a time would leave.

use std::sync::Arc;

use super::draft::{Drafter, Drafts};
use super::language_model::{Context, LanguageModel};
use crate::engine::{EngineError, Prediction, Predictions, RECURRENT_SLACK, Runtime};

/// Every runtime can take a draft back.
const _: () = assert!(Drafts::MOST <= RECURRENT_SLACK);

/// One stream's language model with drafts.
pub(super) struct Speculation {
    model: LanguageModel,
    drafter: Drafter,
    /// The tokens of the last pass: the pending one, then the draft.
    fed: Vec<u32>,
    predictions: Predictions,
    /// Row of `predictions` that holds the next prediction; past the end, there is none yet.
    next: usize,
}

impl Speculation {
    /// A model that has seen nothing.
    pub(super) fn new(
        runtime: Arc<dyn Runtime>,
        drafts: Drafts,
    ) -> Result<Speculation, EngineError> {
        Ok(Speculation {
            drafter: Drafter::new(drafts, runtime.row_cost()),
            model: LanguageModel::new(runtime)?,
            fed: Vec::new(),
            predictions: Predictions::new(),
            next: 0,
        })
    }

    /// The runtime of the model.
    pub(super) fn runtime(&self) -> &Arc<dyn Runtime> {
        self.model.runtime()
    }

    /// Predicts the next token.
    pub(super) fn predict(&mut self) -> Result<Prediction<'_>, EngineError> {
        if self.next == self.fed.len() {
            self.fed.clear();
            self.fed.push(self.model.pending());
            self.drafter.draft(&mut self.fed);
            self.model.run(&self.fed, &mut self.predictions)?;
            self.next = 0;
        }
        Ok(self.predictions.row(self.next))
    }

    /// Accepts `row` as the token that was predicted last.
    pub(super) fn accept(&mut self, row: u32) {
        self.model.accept(row);
        self.drafter.note(row);
        self.next += 1;
        if self.fed.get(self.next) != Some(&row) {
            self.withdraw();
        }
    }

    /// Forgets the draft: the model has then seen the accepted tokens and no others, and the last
    /// of them is pending.
    pub(super) fn withdraw(&mut self) {
        self.model.take_back(self.fed.len() - self.next);
        self.fed.clear();
        self.next = 0;
    }

    /// The model itself, between predictions: it has seen the accepted tokens, and the last of them
    /// is pending.
    pub(super) fn model(&mut self) -> &mut LanguageModel {
        self.withdraw();
        &mut self.model
    }

    /// Continues with another model. The drafter keeps what it has learned.
    pub(super) fn replace(&mut self, model: LanguageModel) {
        self.withdraw();
        self.model = model;
    }
}

impl Context for Speculation {
    fn reset(&mut self) {
        self.withdraw();
        self.model.reset();
    }

    fn begin_with(&mut self, rows: &[u32]) -> Result<(), EngineError> {
        self.withdraw();
        self.model.begin_with(rows)
    }
}
