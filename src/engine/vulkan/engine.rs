//! The runtime on a device.

use std::sync::{Arc, Mutex, PoisonError};

use super::device::Device;
use super::error::DeviceError;
use super::library::DeviceInfo;
use super::pass::Layers;
use super::state::{PASS, Stream, StreamLayout};
use super::weights::Weights;
use super::workspace::Workspace;
use crate::engine::passes;
use crate::engine::runtime::{EngineError, Predictions, Runtime, Segment, State};
use crate::packed::PackedModel;

/// [`Runtime::row_cost`]: a device computes many rows in about the time of one.
const ROW_COST: f32 = 0.02;

/// A model ready to run on a device.
#[derive(Debug)]
pub struct VulkanEngine {
    layers: Layers,
    /// One call at a time runs on the device.
    workspace: Mutex<Workspace>,
}

impl VulkanEngine {
    /// Copies the weights of `model` to a device.
    ///
    /// # Errors
    /// If the device cannot run this model, or has no memory for it.
    pub fn new(model: Arc<PackedModel>, device: &Arc<Device>) -> Result<VulkanEngine, EngineError> {
        let config = model.config();
        if let Some(lacks) = unsupported(&model) {
            let device = device.info().name.clone();
            return Err(DeviceError::Model { device, lacks }.into());
        }
        let layout = StreamLayout::new(config);
        let sights = Layers::sights(config);
        let weights = Weights::new(device, &model)?;
        let tables = weights.step_tables.len();
        let workspace = Workspace::new(device, config, &sights, tables)?;
        Ok(VulkanEngine {
            layers: Layers {
                device: Arc::clone(device),
                weights,
                layout,
                sights,
                model,
            },
            workspace: Mutex::new(workspace),
        })
    }

    /// The device.
    pub fn device(&self) -> &DeviceInfo {
        self.layers.device.info()
    }
}

/// What a model has that devices do not compute.
fn unsupported(model: &PackedModel) -> Option<&'static str> {
    let block = &model.config().block;
    if block.mixture.is_some() {
        return Some("mixtures of experts");
    }
    if block.recurrent.is_some() {
        return Some("recurrent layers");
    }
    None
}

impl Runtime for VulkanEngine {
    fn model(&self) -> &Arc<PackedModel> {
        &self.layers.model
    }

    fn new_state(&self) -> Result<Box<dyn State>, EngineError> {
        let positions = self.layers.model.config().block.positions;
        let stream = Stream::new(&self.layers.device, &self.layers.layout, positions)?;
        Ok(Box::new(stream))
    }

    fn forward(
        &self,
        segments: &mut [Segment<'_>],
        predictions: &mut Predictions,
    ) -> Result<(), EngineError> {
        let config = self.layers.model.config();
        let rows = segments.iter().map(|segment| segment.tokens.len()).sum();
        predictions.resize(rows, config.vocab, config.vocab, config.hidden)?;
        // A call that has panicked has left nothing in the buffers that the next one reads.
        let mut workspace = self
            .workspace
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        passes::run_segments(segments, config.block.positions > 0, |runs, predicts| {
            for parts in passes::divide(runs, PASS) {
                let predictions = predicts.then_some(&mut *predictions);
                self.layers
                    .pass(&mut workspace, runs, &parts, predictions)?;
            }
            Ok::<_, EngineError>(())
        })
    }

    fn row_cost(&self) -> f32 {
        ROW_COST
    }
}
