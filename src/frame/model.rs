//! A language model that is ready to compress and decompress.

use std::sync::Arc;

use crate::Error;
use crate::codec::Drafts;
use crate::container::ModelRef;
use crate::engine::{Engine, EngineOptions, NUMERICS_VERSION, Runtime};
use crate::packed::PackedModel;
#[cfg(feature = "encode")]
use crate::tokenizer::Tokenizer;

/// A packed model with an engine to run it and, where this build can compress, its tokenizer.
///
/// Cheap to share between runs; every run has a state of its own.
pub struct Model {
    runtime: Arc<dyn Runtime>,
    options: EngineOptions,
    #[cfg(feature = "encode")]
    tokenizer: Arc<Tokenizer>,
    name: Option<String>,
    drafts: Drafts,
}

impl Model {
    /// Makes `packed` ready. `name` is written into frames so that a reader without the model can
    /// say what is missing; without one, frames are shorter.
    ///
    /// # Errors
    ///
    /// If the engine or the tokenizer cannot use the model.
    pub fn new(
        packed: Arc<PackedModel>,
        options: EngineOptions,
        name: Option<String>,
    ) -> Result<Model, Error> {
        Ok(Model {
            #[cfg(feature = "encode")]
            tokenizer: Arc::new(Tokenizer::new(&packed)?),
            runtime: Arc::new(Engine::new(packed, options)?),
            options,
            name,
            drafts: Drafts::default(),
        })
    }

    /// The same model, decompressing with other drafts: it changes the time that takes and nothing else.
    #[must_use]
    pub fn with_drafts(self, drafts: Drafts) -> Model {
        Model { drafts, ..self }
    }

    /// How far the decoder guesses ahead.
    pub fn drafts(&self) -> Drafts {
        self.drafts
    }

    /// What runs it.
    pub fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }

    /// How it is run.
    pub fn engine_options(&self) -> EngineOptions {
        self.options
    }

    /// The tokenizer.
    #[cfg(feature = "encode")]
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// What a frame header says of this model.
    pub fn reference(&self) -> ModelRef {
        let packed = self.runtime.model();
        let mut identity = [0; 8];
        identity.copy_from_slice(&packed.identity()[..8]);
        ModelRef {
            identity,
            numerics: NUMERICS_VERSION,
            window_log2: packed.config().window.ilog2() as u8,
            name: self.name.clone(),
        }
    }
}
