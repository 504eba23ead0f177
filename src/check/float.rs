//! The same transformer in plain f32 with the original weights. The quality of the exact engine is
//! measured against it.
//!
//! It has the same window, sinks and rotary steps, and it quantises nothing. It takes the tensors
//! that packing takes, so that a model can be packed and checked from one source. Its last bits
//! differ between machines, so nothing is coded with it.

use crate::arch::family::{Layer as LayerSpec, TensorSpec};
use crate::arch::{Config, SourceTensor};
use crate::engine::cpu::kernels::Kernels;
use crate::machine::instructions::InstructionSet;
use crate::machine::pool::Pool;
use crate::packed::{PackInput, PackedError, SourceRows, TensorSource};

/// Rows of one pass; the ring of keys holds as many more than the window.
const PASS: usize = 128;

/// A model in f32.
#[derive(Debug)]
pub struct FloatModel {
    config: Config,
    kernels: Kernels,
    pool: Pool,
    rope_steps: Vec<u64>,
    /// Input rows x hidden.
    embed: Vec<f32>,
    /// Output rows x hidden; None if they are the first rows of the embedding.
    head: Option<Vec<f32>>,
    final_norm: Vec<f32>,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    attn_norm: Vec<f32>,
    /// Query, key and value rows x hidden.
    qkv: Vec<f32>,
    qkv_bias: Option<Vec<f32>>,
    head_norms: Option<(Vec<f32>, Vec<f32>)>,
    out: Vec<f32>,
    ffn_norm: Vec<f32>,
    gate_up: Vec<f32>,
    down: Vec<f32>,
}

/// Reads tensors in the order of the packed model.
struct Weights<'a> {
    input: &'a PackInput<'a>,
    source: &'a mut dyn TensorSource,
}

impl Weights<'_> {
    fn layer(&mut self, spec: &LayerSpec, layer: usize) -> Result<Layer, PackedError> {
        let (attention, feed_forward) = (&spec.attention, &spec.feed_forward);
        let at = Some(layer);
        let q_norm = self.read_if_present(&attention.q_norm, at)?;
        let k_norm = self.read_if_present(&attention.k_norm, at)?;
        Ok(Layer {
            attn_norm: self.read(&attention.norm, at)?,
            qkv: self.read(&attention.qkv, at)?,
            qkv_bias: self.bias(&attention.qkv, at)?,
            head_norms: q_norm.zip(k_norm),
            out: self.read(&attention.out, at)?,
            ffn_norm: self.read(&feed_forward.norm, at)?,
            gate_up: self.read(&feed_forward.gate_up, at)?,
            down: self.read(&feed_forward.down, at)?,
        })
    }

    fn read(&mut self, spec: &TensorSpec, layer: Option<usize>) -> Result<Vec<f32>, PackedError> {
        let config = self.input.config;
        let tensor = config.family()?.tensor(spec, layer, config);
        self.stack(&tensor.weights)
    }

    fn read_if_present(
        &mut self,
        spec: &TensorSpec,
        layer: Option<usize>,
    ) -> Result<Option<Vec<f32>>, PackedError> {
        match (spec.present)(self.input.config) {
            true => self.read(spec, layer).map(Some),
            false => Ok(None),
        }
    }

    fn bias(
        &mut self,
        spec: &TensorSpec,
        layer: Option<usize>,
    ) -> Result<Option<Vec<f32>>, PackedError> {
        let config = self.input.config;
        let tensor = config.family()?.tensor(spec, layer, config);
        match tensor.bias {
            true => self.stack(&tensor.biases).map(Some),
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
    position: usize,
    /// Layer by layer, key/value head by head: (window + PASS) rotated keys of one head, and as
    /// many values.
    planes: Vec<(Vec<f32>, Vec<f32>)>,
    /// The same for the sinks.
    sinks: Vec<(Vec<f32>, Vec<f32>)>,
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
        let family = config.family()?;
        let mut weights = Weights { input, source };
        let layers = 0..config.layers;
        Ok(FloatModel {
            embed: weights.read(&family.embedding, None)?,
            layers: layers
                .map(|layer| weights.layer(&family.layer, layer))
                .collect::<Result<_, PackedError>>()?,
            final_norm: weights.read(&family.final_norm, None)?,
            head: weights.read_if_present(&family.head, None)?,
            rope_steps: input.rope.steps(config.head_dim),
            pool: Pool::new(threads),
            kernels: Kernels::new(instructions),
            config,
        })
    }

    /// Sizes and options of the model.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// An empty stream.
    pub fn stream(&self) -> FloatStream {
        let config = &self.config;
        let plane = |positions: usize| {
            (
                vec![0.0; positions * config.head_dim],
                vec![0.0; positions * config.head_dim],
            )
        };
        FloatStream {
            position: 0,
            planes: vec![plane(config.window + PASS); config.layers * config.kv_heads],
            sinks: vec![plane(config.sinks); config.layers * config.kv_heads],
        }
    }

    /// Adds `tokens` to `stream` and returns logits in nats, `tokens.len()` rows of `vocab`.
    ///
    /// # Panics
    /// If a token is not an input row of the model.
    pub fn forward(&self, stream: &mut FloatStream, tokens: &[u32]) -> Vec<f32> {
        let mut logits = Vec::with_capacity(tokens.len() * self.config.vocab);
        for tokens in tokens.chunks(PASS) {
            self.pass(stream, tokens, &mut logits);
        }
        logits
    }

    fn pass(&self, stream: &mut FloatStream, tokens: &[u32], logits: &mut Vec<f32>) {
        let config = &self.config;
        let (hidden, dim, eps) = (config.hidden, config.head_dim, config.norm_eps);
        let mut x: Vec<f32> = tokens
            .iter()
            .flat_map(|token| &self.embed[*token as usize * hidden..][..hidden])
            .copied()
            .collect();
        for (index, layer) in self.layers.iter().enumerate() {
            let mut qkv = self.linear(&norm(&x, &layer.attn_norm, eps), &layer.qkv, hidden);
            for row in qkv.chunks_exact_mut(config.qkv_rows()) {
                if let Some(bias) = &layer.qkv_bias {
                    row.iter_mut().zip(bias).for_each(|(x, bias)| *x += bias);
                }
                if let Some((q_norm, k_norm)) = &layer.head_norms {
                    let (q, kv) = row.split_at_mut(config.heads * dim);
                    q.copy_from_slice(&norm(q, q_norm, eps));
                    let k = &mut kv[..config.kv_heads * dim];
                    k.copy_from_slice(&norm(k, k_norm, eps));
                }
            }
            let attended = self.attend(stream, index, &qkv);
            add(
                &mut x,
                &self.linear(&attended, &layer.out, config.heads * dim),
            );

            let wide = self.linear(&norm(&x, &layer.ffn_norm, eps), &layer.gate_up, hidden);
            let gated: Vec<f32> = wide
                .chunks_exact(2 * config.intermediate)
                .flat_map(|row| {
                    let (gate, up) = row.split_at(config.intermediate);
                    gate.iter()
                        .zip(up)
                        .map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up)
                })
                .collect();
            add(
                &mut x,
                &self.linear(&gated, &layer.down, config.intermediate),
            );
        }
        let head = self
            .head
            .as_deref()
            .unwrap_or(&self.embed[..config.vocab * hidden]);
        logits.extend(self.linear(&norm(&x, &self.final_norm, eps), head, hidden));
        stream.position += tokens.len();
    }

    /// Rows of `width` values times the rows of `weights`.
    fn linear(&self, x: &[f32], weights: &[f32], width: usize) -> Vec<f32> {
        let (rows, columns) = (x.len() / width, weights.len() / width);
        let mut across = vec![0.0; rows * columns];
        let mut parts: Vec<_> = weights
            .chunks(width * 64)
            .zip(across.chunks_mut(rows * 64))
            .collect();
        self.pool.for_each(
            &mut vec![(); self.pool.threads()],
            &mut parts,
            |(), (weights, out)| {
                self.kernels.float_product(x, weights, width, out);
            },
        );
        let mut out = vec![0.0; rows * columns];
        for (column, values) in across.chunks_exact(rows).enumerate() {
            for (row, value) in values.iter().enumerate() {
                out[row * columns + column] = *value;
            }
        }
        out
    }

    fn attend(&self, stream: &mut FloatStream, layer: usize, qkv: &[f32]) -> Vec<f32> {
        let config = &self.config;
        let (dim, stride) = (config.head_dim, config.qkv_rows());
        let (rows, shared) = (qkv.len() / stride, config.heads_per_kv());
        let slots = config.window + PASS;
        let planes = layer * config.kv_heads..(layer + 1) * config.kv_heads;
        for head in 0..config.kv_heads {
            let (keys, values) = &mut stream.planes[planes.start + head];
            let (sink_keys, sink_values) = &mut stream.sinks[planes.start + head];
            for row in 0..rows {
                let position = stream.position + row;
                let key = &qkv[row * stride + (config.heads + head) * dim..][..dim];
                let value =
                    &qkv[row * stride + (config.heads + config.kv_heads + head) * dim..][..dim];
                let key = self.rotate(key, position);
                keys[position % slots * dim..][..dim].copy_from_slice(&key);
                values[position % slots * dim..][..dim].copy_from_slice(value);
                if position < config.sinks {
                    sink_keys[position * dim..][..dim].copy_from_slice(&key);
                    sink_values[position * dim..][..dim].copy_from_slice(value);
                }
            }
        }
        let stream = &*stream;
        let mut out = vec![0.0; rows * config.heads * dim];
        let mut tasks: Vec<_> = out.chunks_exact_mut(shared * dim).enumerate().collect();
        self.pool.for_each(
            &mut vec![(); self.pool.threads()],
            &mut tasks,
            |(), (index, out)| {
                let (row, head) = (*index / config.kv_heads, *index % config.kv_heads);
                let position = stream.position + row;
                let (keys, values) = &stream.planes[planes.start + head];
                let (sink_keys, sink_values) = &stream.sinks[planes.start + head];
                // The visible keys: two runs of the ring, and the sinks that have left the window.
                let first = (position + 1).saturating_sub(config.window);
                let (start, count) = (first % slots, position + 1 - first);
                let before_wrap = count.min(slots - start);
                let ring = [start..start + before_wrap, 0..count - before_wrap];
                let passed = first.min(config.sinks);
                let sink_position =
                    position.min(config.window + config.sinks - usize::from(config.sinks > 0));
                for (query, out) in out.chunks_exact_mut(dim).enumerate() {
                    let query = &qkv[row * stride + (head * shared + query) * dim..][..dim];
                    let near = self.rotate(query, position);
                    let mut scores = vec![0.0; count + passed];
                    let mut at = 0;
                    for run in &ring {
                        let keys = &keys[run.start * dim..run.end * dim];
                        self.kernels.float_product(
                            &near,
                            keys,
                            dim,
                            &mut scores[at..at + run.len()],
                        );
                        at += run.len();
                    }
                    let far = self.rotate(query, sink_position);
                    self.kernels.float_product(
                        &far,
                        &sink_keys[..passed * dim],
                        dim,
                        &mut scores[count..],
                    );
                    let scale = 1.0 / (dim as f32).sqrt();
                    let best = scores.iter().copied().fold(f32::MIN, f32::max);
                    scores
                        .iter_mut()
                        .for_each(|score| *score = ((*score - best) * scale).exp());
                    let total: f32 = scores.iter().sum();
                    scores.iter_mut().for_each(|weight| *weight /= total);
                    let mut at = 0;
                    for run in &ring {
                        let values = &values[run.start * dim..run.end * dim];
                        self.kernels
                            .float_weighted(&scores[at..at + run.len()], values, out);
                        at += run.len();
                    }
                    self.kernels.float_weighted(
                        &scores[count..],
                        &sink_values[..passed * dim],
                        out,
                    );
                }
            },
        );
        out
    }

    fn rotate(&self, head: &[f32], position: usize) -> Vec<f32> {
        let half = head.len() / 2;
        let mut out = head.to_vec();
        for (pair, step) in self.rope_steps.iter().enumerate() {
            let turns = (position as u64).wrapping_mul(*step) as f64 / 18_446_744_073_709_551_616.0;
            let (sin, cos) = (turns * std::f64::consts::TAU).sin_cos();
            let (sin, cos) = (sin as f32, cos as f32);
            out[pair] = head[pair] * cos - head[half + pair] * sin;
            out[half + pair] = head[half + pair] * cos + head[pair] * sin;
        }
        out
    }
}

/// Root-mean-square norm of every row of `weight.len()` values.
fn norm(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(weight.len()) {
        let mean = row.iter().map(|x| x * x).sum::<f32>() / row.len() as f32;
        let inverse = 1.0 / (mean + eps).sqrt();
        out.extend(
            row.iter()
                .zip(weight)
                .map(|(x, weight)| x * inverse * weight),
        );
    }
    out
}

fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
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
                rope: random::ROPE,
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
