//! A candidate that reports measure: llmzip with one model, or without a model.

use std::sync::Arc;

#[cfg(feature = "compare")]
use super::OnMeasureProgress;
use super::{MeasureProgress, Phase, ReportError, Sample};
#[cfg(feature = "compare")]
use crate::container::ModelRef;
#[cfg(feature = "compare")]
use crate::frame::{DecoderOptions, Models, compress_with, decompress_with};
use crate::{EncoderOptions, Error, Model};

/// llmzip with one language model, or with its adaptive experts alone.
#[derive(Clone, Debug)]
pub struct Candidate {
    name: String,
    model: Option<Arc<Model>>,
    /// Whether experts help the model.
    experts: bool,
}

impl Candidate {
    /// The adaptive experts alone, which `-m none` stands for.
    pub fn experts_alone() -> Candidate {
        Candidate {
            name: "none".to_owned(),
            model: None,
            experts: true,
        }
    }

    /// The model called `name`, with the experts beside it.
    pub fn with_model(name: impl Into<String>, model: Arc<Model>) -> Candidate {
        Candidate {
            name: name.into(),
            model: Some(model),
            experts: true,
        }
    }

    /// The model alone. A candidate without a model keeps its experts: it has nothing else.
    #[must_use]
    pub fn without_experts(self) -> Candidate {
        Candidate {
            experts: self.model.is_none(),
            ..self
        }
    }

    /// The name that `-m` takes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The model, if there is one.
    pub fn model(&self) -> Option<&Arc<Model>> {
        self.model.as_ref()
    }

    /// The BLAKE3 hash of the packed model, if there is one.
    pub fn identity(&self) -> Option<[u8; 32]> {
        self.model.as_ref().map(|model| model.identity())
    }

    /// What the models of one family have in common: a hash of the vocabulary. `None` without a
    /// model.
    pub(super) fn vocabulary(&self) -> Option<[u8; 32]> {
        let model = self.model.as_ref()?;
        let tokens = model.runtime().model().tokens();
        let mut hasher = blake3::Hasher::new();
        for row in 0..tokens.len() as u32 {
            let bytes = tokens.bytes(row);
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
        Some(*hasher.finalize().as_bytes())
    }

    /// Number of parameters the model was trained with, 0 without a model.
    pub fn parameters(&self) -> u64 {
        let model = self.model.as_ref();
        model.map_or(0, |model| model.runtime().model().config().parameters)
    }

    /// Bytes of the packed model, 0 without a model.
    pub fn model_bytes(&self) -> u64 {
        let model = self.model.as_ref();
        model.map_or(0, |model| model.runtime().model().size() as u64)
    }

    /// The default options of `llmzip compress` with this model.
    pub(super) fn options(&self) -> EncoderOptions {
        EncoderOptions::new()
            .model(self.model.clone())
            .experts(self.experts)
    }

    /// Compresses `sample` with the default options.
    #[cfg(feature = "compare")]
    pub(super) fn compress(
        &self,
        sample: &Sample,
        on_progress: OnMeasureProgress<'_>,
    ) -> Result<Vec<u8>, ReportError> {
        let mut compressed = Vec::new();
        compress_with(
            sample.bytes.as_slice(),
            &mut compressed,
            &self.options(),
            &mut |progress| on_progress(self.progress(sample, Phase::Compress, progress.original)),
        )
        .map_err(|error| self.failed(sample, error))?;
        Ok(compressed)
    }

    /// Decompresses what [`Candidate::compress`] made of `sample`.
    #[cfg(feature = "compare")]
    pub(super) fn decompress(
        &self,
        sample: &Sample,
        compressed: &[u8],
        on_progress: OnMeasureProgress<'_>,
    ) -> Result<Vec<u8>, ReportError> {
        let mut restored = Vec::new();
        decompress_with(
            compressed,
            &mut restored,
            &mut |wanted: &ModelRef| match &self.model {
                Some(model) => Ok(Arc::clone(model)),
                None => Models::none().resolve(wanted),
            },
            &DecoderOptions::default(),
            &mut |progress| {
                on_progress(self.progress(sample, Phase::Decompress, progress.original))
            },
        )
        .map_err(|error| self.failed(sample, error))?;
        Ok(restored)
    }

    /// Says that `done` bytes of `sample` have gone through `phase`.
    pub(super) fn progress<'a>(
        &'a self,
        sample: &'a Sample,
        phase: Phase,
        done: u64,
    ) -> MeasureProgress<'a> {
        MeasureProgress {
            file: &sample.name,
            compressor: &self.name,
            phase,
            done,
            total: sample.bytes.len() as u64,
        }
    }

    /// The error of a measurement of `sample`.
    pub(super) fn failed(&self, sample: &Sample, error: Error) -> ReportError {
        match error {
            Error::Cancelled => ReportError::Cancelled,
            error => ReportError::Llmzip {
                file: sample.name.clone(),
                model: self.name.clone(),
                error: Box::new(error),
            },
        }
    }
}
