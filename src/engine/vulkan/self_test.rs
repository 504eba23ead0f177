//! Whether a device computes the same bits as the CPU.
//!
//! Drivers have errors, and a wrong bit makes a file that no other machine can read. So before a
//! device is used for the first time, it computes single operations, and small models are run on it
//! and on the CPU. Together they have
//! every option that devices know and run every shader, with few rows and with many. The numbers in
//! one of them are so small that a device which takes subnormal numbers for zero shows it.

use std::sync::Arc;

use super::arithmetic::wrong_operation;
use super::device::Device;
use super::engine::VulkanEngine;
use super::error::DeviceError;
use crate::arch::block::{Activation, Local, Mixture, Norm, Norms, Recurrent, Wide};
use crate::arch::config::GROUP;
use crate::arch::{Block, Config, Segmentation, SourceTensor};
use crate::engine::cpu::{Engine, EngineOptions};
use crate::engine::runtime::{
    EngineError, Prediction, Predictions, RECURRENT_SLACK, Runtime, Segment, State,
};
use crate::packed::random::{self, RandomSource};
use crate::packed::{PackedError, PackedModel, TensorSource};

/// Compares a device with the CPU. Models of kinds that no device runs are left out.
///
/// # Errors
/// [`DeviceError::Differs`] if a bit differs, and errors of running the models.
pub fn self_test(device: &Arc<Device>) -> Result<(), EngineError> {
    if wrong_operation(device)?.is_some() {
        return Err(device.info().differs().into());
    }
    for packed in models() {
        let model = Arc::new(PackedModel::from_bytes(&packed)?);
        let on_device = match VulkanEngine::new(Arc::clone(&model), device) {
            Err(EngineError::Device(DeviceError::Model { .. })) => continue,
            engine => engine?,
        };
        let on_cpu = Engine::new(model, EngineOptions::default())?;
        if predictions_of(&on_device)? != predictions_of(&on_cpu)? {
            return Err(device.info().differs().into());
        }
    }
    Ok(())
}

/// The packed models of the test.
fn models() -> Vec<Vec<u8>> {
    let configs = [
        plain(),
        every_option(),
        in_contexts(),
        large(),
        mixture(),
        recurrent(),
    ];
    let mut models: Vec<_> = configs.iter().map(random::model).collect();
    models.push(random::model_of(&small_numbers(), &mut SmallNumbers));
    models
}

fn plain() -> Config {
    Config {
        arch: "every part".to_owned(),
        hidden: 72,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 20,
        intermediate: 100,
        vocab: 61,
        inputs: 62,
        bos: Some(61),
        norm_eps: 1e-5,
        group: GROUP,
        qk_norm: false,
        attention_bias: false,
        tied: true,
        window: 64,
        sinks: 4,
        parameters: 0,
        pre_tokenizer: serde_json::Value::Null,
        block: Block::default(),
        segmentation: Segmentation::default(),
    }
}

/// Every option that can be had together.
fn every_option() -> Config {
    Config {
        layers: 3,
        heads: 3,
        kv_heads: 3,
        head_dim: 64,
        qk_norm: true,
        attention_bias: true,
        tied: false,
        block: Block {
            norm: Norm::Layer,
            norms: Norms::Around,
            out_bias: true,
            feed_forward_bias: true,
            head_bias: true,
            activation: Activation::GeluTanh,
            score_cap: 5.0,
            logit_cap: 5.0,
            local: Some(Local {
                window: 24,
                layers: vec![1],
                own_steps: true,
            }),
            attention_gate: true,
            unrotated: vec![2],
            wide: Wide {
                qkv: true,
                queries: true,
                out: true,
                gate_up: true,
                down: true,
                head: true,
            },
            ..Block::default()
        },
        ..plain()
    }
}

/// Learned positions, and what excludes options of the model before.
fn in_contexts() -> Config {
    Config {
        heads: 6,
        kv_heads: 1,
        head_dim: 80,
        qk_norm: true,
        block: Block {
            positions: 32,
            parallel: true,
            joint_qk_norm: true,
            activation: Activation::ReluSquared,
            ungated: true,
            ..Block::default()
        },
        ..plain()
    }
}

/// Products that are large enough for the largest tiles.
fn large() -> Config {
    Config {
        layers: 1,
        intermediate: 4096,
        block: Block {
            norms: Norms::After,
            activation: Activation::Gelu,
            ..Block::default()
        },
        ..plain()
    }
}

fn mixture() -> Config {
    Config {
        hidden: 80,
        intermediate: 96,
        block: Block {
            mixture: Some(Mixture {
                count: 5,
                used: 2,
                normalised: true,
                shared: 1,
            }),
            ..Block::default()
        },
        ..plain()
    }
}

fn recurrent() -> Config {
    Config {
        block: Block {
            attention_gate: true,
            recurrent: Some(Recurrent {
                layers: vec![0],
                key_heads: 2,
                value_heads: 4,
                key_dim: 12,
                value_dim: 40,
                taps: 4,
            }),
            ..Block::default()
        },
        ..plain()
    }
}

fn small_numbers() -> Config {
    Config {
        // A norm multiplies small numbers by up to 1e10.
        norm_eps: 1e-20,
        block: Block {
            norms: Norms::Around,
            activation: Activation::Relu,
            ungated: true,
            ..Block::default()
        },
        ..plain()
    }
}

/// Weights with which what a block gives is about as large as the smallest normal number, and the
/// factors of its products are smaller. The norm behind the block makes it as large as the stream.
struct SmallNumbers;

impl TensorSource for SmallNumbers {
    fn tensor(&mut self, tensor: &SourceTensor) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        let (shape, mut values) = RandomSource.tensor(tensor)?;
        let factor = match tensor.part {
            "embed" => 1e-24,
            "qkv" | "gate_up" => 1e5,
            "out" | "down" => 1e-29,
            "attn_post_norm" | "ffn_post_norm" => 1e4,
            _ => 1.0,
        };
        values.iter_mut().for_each(|value| *value *= factor);
        Ok((shape, values))
    }
}

/// A hash of all that a runtime predicts for some tokens of three streams: in long and short calls,
/// alone and together, after tokens were taken back and after a fork.
fn predictions_of(runtime: &dyn Runtime) -> Result<blake3::Hash, EngineError> {
    let mut feed = Feed {
        runtime,
        next: 1,
        predictions: Predictions::new(),
        hasher: blake3::Hasher::new(),
    };
    let (mut first, mut second) = (runtime.new_state()?, runtime.new_state()?);
    // More rows than a pass has, and a number that no tile divides.
    feed.feed(&mut [(&mut first, 530)])?;
    feed.feed(&mut [(&mut first, 1)])?;
    feed.feed(&mut [(&mut first, 3), (&mut second, 70)])?;
    feed.feed(&mut [(&mut first, RECURRENT_SLACK), (&mut second, 5)])?;
    first.truncate(first.position() - 7);
    let mut third = first.fork()?;
    for _ in 0..3 {
        feed.feed(&mut [(&mut first, 1), (&mut second, 1), (&mut third, 1)])?;
    }
    second.reset();
    feed.feed(&mut [(&mut third, 9), (&mut second, 9)])?;
    Ok(feed.hasher.finalize())
}

struct Feed<'a> {
    runtime: &'a dyn Runtime,
    /// What the next token is made from.
    next: u64,
    predictions: Predictions,
    hasher: blake3::Hasher,
}

impl Feed<'_> {
    /// Feeds so many tokens to each state in one call.
    fn feed(&mut self, parts: &mut [(&mut Box<dyn State>, usize)]) -> Result<(), EngineError> {
        let tokens: Vec<_> = parts.iter().map(|(_, len)| self.tokens(*len)).collect();
        let segments = parts.iter_mut().zip(&tokens);
        let segments = segments.map(|((state, _), tokens)| Segment {
            state: &mut ***state,
            tokens,
        });
        let mut segments: Vec<Segment<'_>> = segments.collect();
        self.runtime.forward(&mut segments, &mut self.predictions)?;
        for row in 0..self.predictions.len() {
            let Prediction { logits, state } = self.predictions.row(row);
            for logit in logits {
                self.hasher.update(&logit.to_le_bytes());
            }
            for level in state {
                self.hasher.update(&level.to_le_bytes());
            }
        }
        Ok(())
    }

    fn tokens(&mut self, len: usize) -> Vec<u32> {
        let inputs = self.runtime.model().config().inputs as u64;
        let mut next = || {
            self.next = (self.next)
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((self.next >> 33) % inputs) as u32
        };
        (0..len).map(|_| next()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::engine::vulkan::devices;

    #[test]
    fn a_device_passes_and_every_shader_has_run() {
        let devices = devices().unwrap().into_iter();
        let mut usable = devices.filter(|info| info.lacks.is_none());
        let device = Device::open(&usable.next().expect("a device")).unwrap();
        self_test(&device).unwrap();
        let ran: BTreeSet<_> = device.made().iter().map(|(shader, _)| *shader).collect();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/vulkan/shaders");
        let names = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let shaders = names.filter(|path| path.extension().is_some_and(|end| end == "comp"));
        assert_eq!(ran.len(), shaders.count(), "{:?}", device.made());
    }

    /// An engine that changes the last bit of one logit.
    #[derive(Debug)]
    struct Wrong(Engine);

    impl Runtime for Wrong {
        fn model(&self) -> &Arc<PackedModel> {
            self.0.model()
        }

        fn new_state(&self) -> Result<Box<dyn State>, EngineError> {
            self.0.new_state()
        }

        fn forward(
            &self,
            segments: &mut [Segment<'_>],
            predictions: &mut Predictions,
        ) -> Result<(), EngineError> {
            self.0.forward(segments, predictions)?;
            if predictions.len() == 1 {
                predictions.logits_mut()[0] ^= 1;
            }
            Ok(())
        }

        fn row_cost(&self) -> f32 {
            self.0.row_cost()
        }
    }

    #[test]
    fn one_wrong_bit_shows() {
        for packed in models() {
            let model = Arc::new(PackedModel::from_bytes(&packed).unwrap());
            let engine = || Engine::new(Arc::clone(&model), EngineOptions::default()).unwrap();
            let right = predictions_of(&engine()).unwrap();
            assert_eq!(right, predictions_of(&engine()).unwrap());
            assert_ne!(right, predictions_of(&Wrong(engine())).unwrap());
        }
    }
}
