//! The runtime on a device.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::device::Device;
use super::error::DeviceError;
use super::library::DeviceInfo;
use super::pass::Layers;
use super::state::{PASS, Stream, StreamLayout};
use super::table::MOST_WORKGROUPS;
use super::weights::Weights;
use super::workspace::{Workspace, slots};
use crate::arch::Config;
use crate::arch::config::TILE;
use crate::engine::passes;
use crate::engine::runtime::{EngineError, Helper, Predictions, Runtime, Segment, State};
use crate::machine::pool::{self, Pool};
use crate::packed::PackedModel;

/// [`Runtime::row_cost`]: a device computes many rows in about the time of one.
const ROW_COST: f32 = 0.02;

/// Most bytes of a stream: shaders count its words, and programs take numbers of words as signed.
const MOST_STREAM_BYTES: u64 = 4 * (i32::MAX as u64);

/// A model ready to run on a device.
#[derive(Debug)]
pub struct VulkanEngine {
    layers: Layers,
    /// One call at a time runs on the device.
    workspace: Mutex<Workspace>,
    /// For the coder, if it is lent any threads.
    pool: Option<Pool>,
}

impl VulkanEngine {
    /// Copies the weights of `model` to a device.
    ///
    /// # Errors
    /// If the device cannot run this model, or has no memory for it.
    pub fn new(model: Arc<PackedModel>, device: &Arc<Device>) -> Result<VulkanEngine, EngineError> {
        let config = model.config();
        let layout = StreamLayout::new(config);
        if let Some(lacks) = unsupported(config, &layout) {
            let device = device.info().name.clone();
            return Err(DeviceError::Model { device, lacks }.into());
        }
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
            pool: None,
        })
    }

    /// Lends the coder so many threads; 0 for as many as there are processors.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> VulkanEngine {
        let pool = Some(Pool::new(pool::threads_or_all(threads)));
        VulkanEngine { pool, ..self }
    }

    /// The device.
    pub fn device(&self) -> &DeviceInfo {
        self.layers.device.info()
    }
}

/// What a model has that devices cannot run.
fn unsupported(config: &Config, layout: &StreamLayout) -> Option<&'static str> {
    let limits = [
        (
            layout.len > MOST_STREAM_BYTES,
            "more than 8 GiB of keys and values a stream",
        ),
        (
            config.vocab.div_ceil(TILE) > MOST_WORKGROUPS,
            "more than 1,048,560 tokens",
        ),
        (
            PASS * slots(config) > MOST_WORKGROUPS,
            "more than 127 experts for a token",
        ),
    ];
    limits
        .iter()
        .find(|(exceeds, _)| *exceeds)
        .map(|(_, lacks)| *lacks)
}

impl Runtime for VulkanEngine {
    fn model(&self) -> &Arc<PackedModel> {
        &self.layers.model
    }

    fn new_state(&self) -> Result<Box<dyn State>, EngineError> {
        let block = &self.layers.model.config().block;
        let stream = Stream::new(&self.layers.device, &self.layers.layout, block)?;
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

    fn enough_rows(&self) -> usize {
        PASS
    }

    fn computes_elsewhere(&self) -> bool {
        true
    }

    fn pool(&self) -> Option<&Pool> {
        self.pool.as_ref()
    }

    fn helper(&self) -> Option<Box<dyn Helper + '_>> {
        Some(Box::new(Waiting::default()))
    }
}

/// Threads that wait for each other while the device computes. They cannot help it.
#[derive(Debug, Default)]
struct Waiting {
    lock: Mutex<()>,
    changed: Condvar,
}

impl Helper for Waiting {
    fn help_until(&self, done: &mut dyn FnMut() -> bool) {
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        while !done() {
            guard = (self.changed.wait(guard)).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn wake(&self) {
        // Whoever has found nothing done waits before this thread gets the lock.
        let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.changed.notify_all();
    }
}
