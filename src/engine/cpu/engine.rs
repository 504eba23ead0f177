//! The CPU engine: a model prepared to run, and the passes that its tokens are divided into.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cache::Cache;
use super::kernels::{Kernels, LANES};
use super::pass::{Layers, PASS};
use super::weights::Weights;
use super::workspace::Workspace;
use crate::engine::passes::{self, Run};
use crate::engine::runtime::{EngineError, Helper, Predictions, Runtime, Segment, State};
use crate::machine::MachineError;
use crate::machine::float_environment::FloatEnvironment;
use crate::machine::instructions::InstructionSet;
use crate::machine::pool::{self, Pool};
use crate::packed::PackedModel;

/// [`Runtime::row_cost`] if the weights come from memory, measured with SmolLM2-135M on two cores
/// with AVX2.
const ROW_COST_FROM_MEMORY: f32 = 0.25;
/// [`Runtime::row_cost`] if the weights stay in the caches, measured with the larger built-in
/// models.
const ROW_COST_FROM_CACHE: f32 = 0.6;

/// How to run; no option changes a bit of the result.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineOptions {
    /// Instructions to run with; by default those that `LLMZIP_KERNELS` names, or the fastest.
    pub instructions: Option<InstructionSet>,
    /// Threads; 0 for as many as there are processors that this process may use.
    pub threads: usize,
}

/// A model ready to run.
#[derive(Debug)]
pub struct Engine {
    layers: Layers,
    /// Workspaces not in use.
    idle: Mutex<Vec<Workspace>>,
}

impl Runtime for Engine {
    fn model(&self) -> &Arc<PackedModel> {
        &self.layers.model
    }

    fn new_state(&self) -> Result<Box<dyn State>, EngineError> {
        Ok(Box::new(Cache::new(
            self.layers.model.config(),
            self.layers.window,
        )?))
    }

    fn forward(
        &self,
        segments: &mut [Segment<'_>],
        predictions: &mut Predictions,
    ) -> Result<(), EngineError> {
        let _environment = FloatEnvironment::enter();
        let config = self.layers.model.config();
        let rows = segments.iter().map(|segment| segment.tokens.len()).sum();
        let stride = config.vocab.next_multiple_of(LANES);
        predictions.resize(rows, config.vocab, stride, config.hidden)?;
        passes::run_segments(segments, config.block.positions > 0, |runs, predicts| {
            self.run(runs, predicts.then_some(&mut *predictions))
        })
    }

    fn row_cost(&self) -> f32 {
        match self.layers.is_cold() {
            true => ROW_COST_FROM_MEMORY,
            false => ROW_COST_FROM_CACHE,
        }
    }

    fn pool(&self) -> Option<&Pool> {
        Some(&self.layers.pool)
    }

    fn helper(&self) -> Option<Box<dyn Helper + '_>> {
        let helper = self.layers.pool.helper()?;
        Some(Box::new(helper))
    }
}

impl Helper for pool::Helper<'_> {
    fn help_until(&self, done: &mut dyn FnMut() -> bool) {
        self.work_until(|| done().then_some(()));
    }

    fn wake(&self) {
        pool::Helper::wake(self);
    }
}

impl Engine {
    /// Prepares `model` to run.
    ///
    /// # Errors
    /// If the model lacks a tensor or the processor lacks the instruction set.
    pub fn new(model: Arc<PackedModel>, options: EngineOptions) -> Result<Engine, EngineError> {
        let instructions = match options.instructions {
            Some(instructions) => instructions,
            None => InstructionSet::choose().map_err(MachineError::from)?,
        };
        let weights = Weights::new(&model)?;
        Ok(Engine {
            layers: Layers {
                window: model.config().window,
                model,
                weights,
                kernels: Kernels::new(instructions),
                pool: Pool::new(pool::threads_or_all(options.threads)),
            },
            idle: Mutex::default(),
        })
    }

    /// The instructions in use.
    pub fn instructions(&self) -> InstructionSet {
        self.layers.kernels.instructions()
    }

    /// Threads that take part in a forward pass.
    pub fn threads(&self) -> usize {
        self.layers.pool.threads()
    }

    /// The same engine with a window of at most `window` positions, at least one. For measurements
    /// only: no file format can express this window.
    #[must_use]
    pub fn with_window(self, window: usize) -> Engine {
        let window = window.clamp(1, self.layers.window);
        let layers = Layers {
            window,
            ..self.layers
        };
        Engine { layers, ..self }
    }

    /// Runs all tokens in passes of at most [`PASS`] rows.
    fn run(
        &self,
        runs: &mut [Run<'_, Cache>],
        mut predictions: Option<&mut Predictions>,
    ) -> Result<(), EngineError> {
        let mut workspace = self.take_workspace();
        let all: usize = runs.iter().map(|run| run.tokens.len()).sum();
        workspace.reserve(self.layers.model.config(), all.min(PASS))?;
        for parts in passes::divide(runs, PASS) {
            let predictions = predictions.as_deref_mut();
            self.layers.pass(&mut workspace, runs, &parts, predictions);
        }
        self.idle().push(workspace);
        Ok(())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Workspace>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_workspace(&self) -> Workspace {
        let mut workspace = self.idle().pop().unwrap_or_default();
        (workspace.threads).resize_with(self.threads(), Default::default);
        workspace.logits.resize_with(self.threads(), Vec::new);
        workspace
    }
}
