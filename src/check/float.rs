//! The same transformer in plain f32 with the original weights. The quality of the exact engine is
//! measured against it.
//!
//! It has the same window, sinks and rotary steps, and it quantises nothing. It takes the tensors
//! that packing takes, so that a model can be packed and checked from one source. Its last bits
//! differ between machines, so nothing is coded with it.

use super::layer::{Affine, Arithmetic, Layer, LayerCache, PASS, cap};
use crate::arch::parts::{self, TensorSpec};
use crate::arch::{Config, SourceTensor};
use crate::engine::contexts;
use crate::engine::cpu::kernels::Kernels;
use crate::machine::instructions::InstructionSet;
use crate::machine::pool::Pool;
use crate::packed::{PackInput, PackedError, SourceRows, TensorSource};
use std::sync::Arc;

/// A model in f32.
#[derive(Debug)]
pub struct FloatModel {
    arithmetic: Arithmetic,
    /// Input rows x hidden.
    embed: Vec<f32>,
    /// Learned positions x hidden, or none.
    positions: Vec<f32>,
    /// Output rows x hidden; None if they are the first rows of the embedding.
    head: Option<Affine>,
    final_norm: Affine,
    layers: Vec<Layer>,
}

/// Reads tensors in the order of the packed model.
struct Weights<'a> {
    input: &'a PackInput<'a>,
    source: &'a mut dyn TensorSource,
}

impl Weights<'_> {
    fn layer(&mut self, layer: usize) -> Result<Layer, PackedError> {
        let steps = self.input.steps.of_layer(&self.input.config.block, layer);
        Layer::of(steps, |spec| {
            let part = self.read_if_present(spec, Some(layer))?;
            Ok(part.map(Arc::new))
        })
    }

    fn read(
        &mut self,
        spec: &'static TensorSpec,
        layer: Option<usize>,
    ) -> Result<Affine, PackedError> {
        let config = self.input.config;
        let tensor = config.family()?.tensor(spec, layer, config);
        Ok(Affine {
            weight: self.stack(&tensor.weights)?,
            bias: self.stack(&tensor.biases)?,
        })
    }

    fn read_if_present(
        &mut self,
        spec: &'static TensorSpec,
        layer: Option<usize>,
    ) -> Result<Option<Affine>, PackedError> {
        match spec.is_in(self.input.config, layer) {
            true => self.read(spec, layer).map(Some),
            false => Ok(None),
        }
    }

    /// The rows of every part, one part after the other.
    fn stack(&mut self, parts: &[SourceTensor]) -> Result<Vec<f32>, PackedError> {
        let mut values = Vec::new();
        for part in parts {
            let rows = SourceRows::read(self.source, part, self.input.rows)?;
            values.extend(rows.iter().flatten());
        }
        Ok(values)
    }
}

/// Keys and values of one stream.
#[derive(Clone, Debug)]
pub struct FloatStream {
    /// Tokens of the present context.
    position: usize,
    /// All tokens, of models that have learned positions.
    tokens: Vec<u32>,
    /// Where the present context begins.
    start: usize,
    layers: Vec<LayerCache>,
}

impl FloatModel {
    /// Reads every tensor of `source`. Rows are put into the order of the packed model, so that
    /// both take the same tokens.
    ///
    /// # Errors
    /// If a tensor is missing or has the wrong shape.
    pub fn new(
        input: &PackInput<'_>,
        source: &mut dyn TensorSource,
        instructions: InstructionSet,
        threads: usize,
    ) -> Result<FloatModel, PackedError> {
        let config = input.config.clone();
        config.validate()?;
        let mut weights = Weights { input, source };
        let layers = 0..config.layers;
        let positions = weights.read_if_present(&parts::POSITIONS, None)?;
        Ok(FloatModel {
            embed: weights.read(&parts::EMBEDDING, None)?.weight,
            positions: positions.map_or_else(Vec::new, |learned| learned.weight),
            layers: layers
                .map(|layer| weights.layer(layer))
                .collect::<Result<_, PackedError>>()?,
            final_norm: weights.read(&parts::FINAL_NORM, None)?,
            head: weights.read_if_present(&parts::HEAD, None)?,
            arithmetic: Arithmetic {
                pool: Pool::new(threads),
                kernels: Kernels::new(instructions),
                config,
            },
        })
    }

    /// Sizes and options of the model.
    pub fn config(&self) -> &Config {
        &self.arithmetic.config
    }

    /// An empty stream.
    pub fn stream(&self) -> FloatStream {
        let config = &self.arithmetic.config;
        FloatStream {
            position: 0,
            tokens: Vec::new(),
            start: 0,
            layers: (0..config.layers)
                .map(|layer| LayerCache::new(config, layer))
                .collect(),
        }
    }

    /// Adds `tokens` to `stream` and returns logits in nats, `tokens.len()` rows of `vocab`.
    ///
    /// # Panics
    /// If a token is not an input row of the model.
    pub fn forward(&self, stream: &mut FloatStream, tokens: &[u32]) -> Vec<f32> {
        let mut logits = Vec::with_capacity(tokens.len() * self.arithmetic.config.vocab);
        let mut rest = tokens;
        while !rest.is_empty() {
            let room = self.enter_context(stream);
            let (now, after) = rest.split_at(rest.len().min(room).min(PASS));
            self.pass(stream, now, &mut logits);
            if self.arithmetic.config.block.positions > 0 {
                stream.tokens.extend_from_slice(now);
            }
            rest = after;
        }
        logits
    }

    /// Feeds the tokens again that the next position has before it in its context, if that is
    /// another than the present one. Gives the number of tokens that the context has room for.
    fn enter_context(&self, stream: &mut FloatStream) -> usize {
        let positions = self.arithmetic.config.block.positions;
        if positions == 0 {
            return usize::MAX;
        }
        let start = contexts::start(stream.tokens.len() as u64, positions as u64) as usize;
        if stream.start != start {
            (stream.start, stream.position) = (start, 0);
            for tokens in stream.tokens[start..].to_vec().chunks(PASS) {
                self.pass(stream, tokens, &mut Vec::new());
            }
        }
        positions - stream.position
    }

    fn pass(&self, stream: &mut FloatStream, tokens: &[u32], logits: &mut Vec<f32>) {
        let config = &self.arithmetic.config;
        let hidden = config.hidden;
        let mut x: Vec<f32> = tokens
            .iter()
            .flat_map(|token| &self.embed[*token as usize * hidden..][..hidden])
            .copied()
            .collect();
        if !self.positions.is_empty() {
            let learned = &self.positions[stream.position * hidden..];
            x.iter_mut()
                .zip(learned)
                .for_each(|(x, learned)| *x += learned);
        }
        let layers = self.layers.iter().zip(&mut stream.layers).enumerate();
        for (index, (layer, cache)) in layers {
            self.arithmetic
                .layer(layer, index, cache, stream.position, &mut x);
        }
        let x = self.arithmetic.norm(&x, &self.final_norm);
        let mut y = match &self.head {
            Some(head) => self.arithmetic.linear(&x, head, hidden),
            None => {
                let head = &self.embed[..config.vocab * hidden];
                self.arithmetic.product(&x, head, hidden)
            }
        };
        cap(&mut y, config.block.logit_cap);
        logits.extend(y);
        stream.position += tokens.len();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::arch::config::tests::tiny;
    use crate::engine::{Engine, EngineOptions, Predictions, Runtime, Segment};
    use crate::packed::{PackedModel, random};

    /// The exact engine follows the float model through the window, past the sinks and around the
    /// ring.
    #[test]
    fn exact_and_float_agree_within_quantisation() {
        let base = Config {
            hidden: 128,
            intermediate: 192,
            head_dim: 32,
            ..tiny()
        };
        let biased = Config {
            qk_norm: true,
            attention_bias: true,
            tied: false,
            ..base.clone()
        };
        let sinkless = Config {
            sinks: 0,
            kv_heads: 4,
            ..base.clone()
        };
        for config in [base, biased, sinkless] {
            let input = PackInput {
                config: &config,
                steps: &random::steps(&config),
                tokens: &random::tokens(&config),
                rows: &random::rows(&config),
                merges: &[],
                scores: &[],
            };
            let instructions = InstructionSet::choose().unwrap();
            let float =
                FloatModel::new(&input, &mut random::RandomSource, instructions, 1).unwrap();
            let model = Arc::new(PackedModel::from_bytes(&random::model(&config)).unwrap());
            let exact = Engine::new(
                model,
                EngineOptions {
                    instructions: Some(instructions),
                    threads: 1,
                },
            )
            .unwrap();

            let text: Vec<u32> = (0..260u32)
                .map(|i| i.wrapping_mul(i).wrapping_mul(2_654_435_761) >> 20)
                .map(|token| token % config.inputs as u32)
                .collect();
            let (mut state, mut predictions) = (exact.new_state().unwrap(), Predictions::new());
            exact
                .forward(
                    &mut [Segment {
                        state: &mut *state,
                        tokens: &text,
                    }],
                    &mut predictions,
                )
                .unwrap();
            let want = float.forward(&mut float.stream(), &text);
            for (row, want) in want.chunks_exact(config.vocab).enumerate() {
                let got = (predictions.row(row).logits)
                    .iter()
                    .map(|units| *units as f32 / 65536.0 * std::f32::consts::LN_2);
                let error: f32 = got
                    .zip(want)
                    .map(|(got, want)| (got - want) * (got - want))
                    .sum();
                let power: f32 = want.iter().map(|want| want * want).sum();
                assert!(
                    error < 0.005 * power,
                    "row {row}: error {error} of {power}, {config:?}"
                );
            }
        }
    }
}
