//! How fast this machine runs language models, measured with random weights.
//!
//! The time of a pass is nearly proportional to the products of weights and activations in it, so
//! one model tells about others of its kind: few rows, as in decompression, wait for the weights to
//! come from memory; many rows, as in compression, for the processor.

use std::sync::Arc;
use std::time::Instant;

use super::CheckError;
use crate::arch::config::GROUP;
use crate::arch::rope::{Rope, RopeScaling, RotarySteps};
use crate::arch::{Block, Config, ConfigError, Segmentation, SourceTensor};
use crate::engine::{Engine, EngineOptions, Predictions, Runtime, Segment, State};
use crate::packed::{PackInput, PackedError, PackedModel, TensorSource, pack};

/// Rows of a pass when compressing, as the look-ahead of the codec makes them.
const MANY: usize = 128;
/// Streams of a block, each with one row in a pass when decompressing. Blocks of some 50 KB have
/// four.
const STREAMS: usize = 4;
/// How often each pass is timed. The best counts: other work only ever slows one down.
const REPEATS: usize = 4;

/// Products of a weight and an activation in a second.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    many: f64,
    few: f64,
}

impl Speed {
    /// Measures this machine, in about a second.
    ///
    /// # Errors
    /// If it has too little memory, or lacks what the engine needs.
    pub fn measure() -> Result<Speed, CheckError> {
        let config = config();
        let products = products(&config).map_err(PackedError::from)? as f64;
        let engine = Engine::new(Arc::new(random_model(&config)?), EngineOptions::default())?;
        let tokens: Vec<u32> = (0..MANY as u32).collect();
        let mut predictions = Predictions::new();
        let mut pass = |states: &mut [Box<dyn State>], tokens: &[u32]| -> Result<f64, CheckError> {
            let start = Instant::now();
            let segments = states.iter_mut().map(|state| Segment {
                state: &mut **state,
                tokens,
            });
            engine.forward(&mut segments.collect::<Vec<_>>(), &mut predictions)?;
            let rows = states.len() * tokens.len();
            Ok(rows as f64 * products / start.elapsed().as_secs_f64())
        };
        let mut one = [engine.new_state()?];
        // Most tokens of a text see a whole window.
        for _ in 0..config.window / MANY {
            pass(&mut one, &tokens)?;
        }
        let mut streams = Vec::new();
        for _ in 0..STREAMS {
            streams.push(one[0].fork()?);
        }
        let (mut many, mut few) = (0.0f64, 0.0f64);
        for _ in 0..REPEATS {
            many = many.max(pass(&mut one, &tokens)?);
            few = few.max(pass(&mut streams, &tokens[..1])?);
        }
        Ok(Speed { many, few })
    }

    /// Tokens a second when compressing with a model that takes so many products for each.
    pub fn compressing(&self, products: u64) -> f64 {
        self.many / products as f64
    }

    /// The same when decompressing several streams.
    pub fn decompressing(&self, products: u64) -> f64 {
        self.few / products as f64
    }
}

/// A sixth of `SmolLM2`-135M: as wide, and larger than the caches nearest to a core.
fn config() -> Config {
    Config {
        layers: 6,
        vocab: 16_384,
        inputs: 16_384,
        ..like_smollm2()
    }
}

/// The sizes of `SmolLM2`-135M, with a window of 1,024.
pub fn like_smollm2() -> Config {
    Config {
        arch: "llama".to_owned(),
        hidden: 576,
        layers: 30,
        heads: 9,
        kv_heads: 3,
        head_dim: 64,
        intermediate: 1536,
        vocab: 49_152,
        inputs: 49_152,
        bos: None,
        norm_eps: 1e-5,
        group: GROUP,
        qk_norm: false,
        attention_bias: false,
        tied: true,
        window: 1024,
        sinks: 4,
        parameters: 134_515_008,
        pre_tokenizer: serde_json::Value::Null,
        block: Block::default(),
        segmentation: Segmentation::default(),
    }
}

/// Products of one token in all matrices, the head among them.
///
/// # Errors
/// If the configuration names no family.
pub fn products(config: &Config) -> Result<usize, ConfigError> {
    let tensors = config.family()?.tensors(config).into_iter();
    let in_layers: usize = tensors
        .filter(|tensor| tensor.weights.iter().all(|source| !source.by_token))
        .map(|tensor| tensor.rows * tensor.columns.unwrap_or(0))
        .sum();
    Ok(in_layers + config.vocab * config.hidden)
}

/// A model with random weights and tokens of three bytes.
///
/// # Errors
/// If the configuration is not one that can be packed.
pub fn random_model(config: &Config) -> Result<PackedModel, PackedError> {
    let tokens = (0..config.vocab as u32).map(|row| row.to_be_bytes()[1..].to_vec());
    let rope = Rope {
        theta: 100_000.0,
        scaling: RopeScaling::None,
    };
    let input = PackInput {
        config,
        steps: &RotarySteps {
            all: rope.steps(config.head_dim),
            local: Vec::new(),
        },
        tokens: &tokens.collect::<Vec<_>>(),
        rows: &(0..config.inputs as u32).collect::<Vec<_>>(),
        merges: &[],
        scores: &[],
    };
    PackedModel::from_bytes(&pack(&input, &mut Noise)?)
}

/// Weights that differ from each other; which they are changes no time.
struct Noise;

impl TensorSource for Noise {
    fn tensor(&mut self, tensor: &SourceTensor) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        const ODD: u32 = 2_654_435_761;
        let shape = tensor.shape.clone();
        let count = shape.iter().product::<usize>() as u32;
        let noise = |index: u32| (index.wrapping_mul(ODD) as i32 >> 16) as f32 / 1e6;
        Ok((shape, (0..count).map(noise).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_a_speed_and_larger_models_are_slower() {
        let speed = Speed::measure().unwrap();
        assert!(speed.many > 1e6 && speed.few > 1e6, "{speed:?}");
        assert!(speed.compressing(1_000_000) > speed.compressing(2_000_000));
        assert!(speed.decompressing(1_000_000) > speed.decompressing(2_000_000));
    }
}
