//! llmzip with one size of model, the smallest size being none.

use std::sync::Arc;

#[cfg(feature = "encode")]
use super::explain::window::{self, Window};
use super::{Direction, OnStep, ReportError, Sample, Step};
use crate::{CompressOptions, Error, Model, Summary, compress};
#[cfg(feature = "encode")]
use crate::{TracedBlock, trace};

/// A step of the ladder of models. Without a model it is the adaptive experts alone.
#[derive(Clone)]
pub struct Rung {
    name: String,
    model: Option<Arc<Model>>,
    /// Whether experts help the model.
    experts: bool,
}

impl Rung {
    /// Adaptive experts alone, which `-m none` stands for.
    pub fn experts() -> Rung {
        Rung {
            name: "none".to_owned(),
            model: None,
            experts: true,
        }
    }

    /// The model that is called `name`, and the experts beside it.
    pub fn with_model(name: impl Into<String>, model: Arc<Model>) -> Rung {
        Rung {
            name: name.into(),
            model: Some(model),
            experts: true,
        }
    }

    /// The model by itself. Without a model the experts stay: there is nothing else.
    pub fn without_experts(self) -> Rung {
        Rung {
            experts: self.model.is_none(),
            ..self
        }
    }

    /// What `-m` calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Parameters of the model as it was trained, 0 without one.
    pub fn parameters(&self) -> u64 {
        let model = self.model.as_ref();
        model.map_or(0, |model| model.runtime().model().config().parameters)
    }

    /// Bytes of the packed model, 0 without one.
    pub fn model_bytes(&self) -> u64 {
        let model = self.model.as_ref();
        model.map_or(0, |model| model.runtime().model().size() as u64)
    }

    /// Compresses `sample` as `llmzip compress` does unless told more than the model and the experts.
    #[cfg(feature = "compare")]
    pub(super) fn compress(
        &self,
        sample: &Sample,
        on_step: OnStep<'_>,
    ) -> Result<(Vec<u8>, Summary), ReportError> {
        self.compress_with(&self.options(), sample, on_step)
    }

    /// Compresses `sample` in one stream, as small as it gets whatever that takes to decompress, and counts its cross-entropy.
    pub(super) fn predict(
        &self,
        sample: &Sample,
        on_step: OnStep<'_>,
    ) -> Result<(Vec<u8>, Summary), ReportError> {
        let options = CompressOptions {
            count_cross_entropy: true,
            streams: Some(1),
            ..self.options()
        };
        self.compress_with(&options, sample, on_step)
    }

    fn compress_with(
        &self,
        options: &CompressOptions,
        sample: &Sample,
        on_step: OnStep<'_>,
    ) -> Result<(Vec<u8>, Summary), ReportError> {
        let mut compressed = Vec::new();
        let summary = compress(
            sample.bytes.as_slice(),
            &mut compressed,
            options,
            &mut |progress| on_step(self.step(sample, Direction::Compress, progress.original)),
        )
        .map_err(|error| self.failed(sample, error))?;
        Ok((compressed, summary))
    }

    /// Compresses `sample` into nothing and says what each piece of it cost.
    #[cfg(feature = "encode")]
    pub(super) fn trace(
        &self,
        sample: &Sample,
        on_step: OnStep<'_>,
    ) -> Result<(Summary, Vec<TracedBlock>), ReportError> {
        trace(sample.bytes.as_slice(), &self.options(), &mut |progress| {
            on_step(self.step(sample, Direction::Compress, progress.original));
        })
        .map_err(|error| self.failed(sample, error))
    }

    /// What the model's window is worth on `sample`; nothing without a model.
    #[cfg(feature = "encode")]
    pub(super) fn windows(
        &self,
        sample: &Sample,
        on_step: OnStep<'_>,
    ) -> Result<Vec<Window>, ReportError> {
        let Some(model) = &self.model else {
            return Ok(Vec::new());
        };
        window::measure(model, &sample.bytes, &mut |done, all| {
            let done = sample.bytes.len() as u64 * done as u64 / all as u64;
            on_step(self.step(sample, Direction::Measure, done));
        })
        .map_err(|error| self.failed(sample, error))
    }

    /// Bytes of a row of the model's vocabulary.
    #[cfg(feature = "encode")]
    pub(super) fn token(&self, row: u32) -> Vec<u8> {
        let model = self.model.as_ref();
        model.map_or_else(Vec::new, |model| {
            model.runtime().model().tokens().bytes(row).to_vec()
        })
    }

    /// Decompresses what [`Rung::compress`] made of `sample`.
    #[cfg(feature = "compare")]
    pub(super) fn decompress(
        &self,
        sample: &Sample,
        compressed: &[u8],
        on_step: OnStep<'_>,
    ) -> Result<Vec<u8>, ReportError> {
        let mut restored = Vec::new();
        crate::decompress(
            compressed,
            &mut restored,
            &mut |wanted| match &self.model {
                Some(model) => Ok(Arc::clone(model)),
                None => crate::no_models(wanted),
            },
            &mut |progress| on_step(self.step(sample, Direction::Decompress, progress.original)),
        )
        .map_err(|error| self.failed(sample, error))?;
        Ok(restored)
    }

    fn options(&self) -> CompressOptions {
        CompressOptions {
            model: self.model.clone(),
            experts: self.experts,
            ..CompressOptions::default()
        }
    }

    fn step<'a>(&'a self, sample: &'a Sample, direction: Direction, done: u64) -> Step<'a> {
        Step {
            file: &sample.name,
            compressor: &self.name,
            direction,
            done,
            total: sample.bytes.len() as u64,
        }
    }

    pub(super) fn failed(&self, sample: &Sample, error: Error) -> ReportError {
        ReportError::Llmzip {
            file: sample.name.clone(),
            rung: self.name.clone(),
            error: Box::new(error),
        }
    }
}
