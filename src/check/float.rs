//! The same transformer in plain f32 with the original weights. The quality of the exact engine is
//! measured against it.
//!
//! It has the same window, sinks and rotary steps, and it quantises nothing. It takes the tensors
//! that packing takes, so that a model can be packed and checked from one source. Its last bits
//! differ between machines, so nothing is coded with it.

use crate::arch::block::{Activation, Norm};
use crate::arch::parts::{self, TensorSpec};
use crate::arch::{Config, SourceTensor};
use crate::engine::contexts;
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
    /// Input rows x hidden.
    embed: Vec<f32>,
    /// Learned positions x hidden, or none.
    positions: Vec<f32>,
    /// Output rows x hidden; None if they are the first rows of the embedding.
    head: Option<Affine>,
    final_norm: Affine,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    /// Norms that the model lacks are `None`.
    attn_norm: Option<Affine>,
    /// Query, key and value rows x hidden.
    qkv: Affine,
    qk_norms: Option<(Affine, Affine)>,
    /// [`head_dim` / 2]
    steps: Vec<u64>,
    out: Affine,
    attn_post_norm: Option<Affine>,
    ffn_norm: Option<Affine>,
    /// Of a mixture of experts.
    router: Option<Affine>,
    /// Those of all experts.
    gate_up: Affine,
    down: Affine,
    ffn_post_norm: Option<Affine>,
}

/// The weights of a matrix, row by row, or of a norm. The bias is empty if there is none.
#[derive(Debug)]
struct Affine {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// Reads tensors in the order of the packed model.
struct Weights<'a> {
    input: &'a PackInput<'a>,
    source: &'a mut dyn TensorSource,
}

impl Weights<'_> {
    fn layer(&mut self, layer: usize) -> Result<Layer, PackedError> {
        let at = Some(layer);
        let q_norm = self.read_if_present(&parts::Q_NORM, at)?;
        let k_norm = self.read_if_present(&parts::K_NORM, at)?;
        Ok(Layer {
            attn_norm: self.read_if_present(&parts::ATTN_NORM, at)?,
            qkv: self.read(&parts::QKV, at)?,
            qk_norms: q_norm.zip(k_norm),
            steps: self.input.steps.of_layer(&self.input.config.block, layer),
            out: self.read(&parts::OUT, at)?,
            attn_post_norm: self.read_if_present(&parts::ATTN_POST_NORM, at)?,
            ffn_norm: self.read_if_present(&parts::FFN_NORM, at)?,
            router: self.read_if_present(&parts::ROUTER, at)?,
            gate_up: self.read(&parts::GATE_UP, at)?,
            down: self.read(&parts::DOWN, at)?,
            ffn_post_norm: self.read_if_present(&parts::FFN_POST_NORM, at)?,
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
        match (spec.present)(self.input.config) {
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
            tokens: Vec::new(),
            start: 0,
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
        let mut rest = tokens;
        while !rest.is_empty() {
            let room = self.enter_context(stream);
            let (now, after) = rest.split_at(rest.len().min(room).min(PASS));
            self.pass(stream, now, &mut logits);
            if self.config.block.positions > 0 {
                stream.tokens.extend_from_slice(now);
            }
            rest = after;
        }
        logits
    }

    /// Feeds the tokens again that the next position has before it in its context, if that is
    /// another than the present one. Gives the number of tokens that the context has room for.
    fn enter_context(&self, stream: &mut FloatStream) -> usize {
        let positions = self.config.block.positions;
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
        let config = &self.config;
        let (hidden, dim, eps) = (config.hidden, config.head_dim, config.norm_eps);
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
        for (index, layer) in self.layers.iter().enumerate() {
            let before = x.clone();
            let input = self.normed(&x, layer.attn_norm.as_ref());
            let mut qkv = self.linear(&input, &layer.qkv, hidden);
            if let Some((q_norm, k_norm)) = &layer.qk_norms {
                for row in qkv.chunks_exact_mut(config.qkv_rows()) {
                    let (q, kv) = row.split_at_mut(config.heads * dim);
                    q.copy_from_slice(&rms_norm(q, &q_norm.weight, eps));
                    let k = &mut kv[..config.kv_heads * dim];
                    k.copy_from_slice(&rms_norm(k, &k_norm.weight, eps));
                }
            }
            let attended = self.attend(stream, index, &qkv);
            let attended = self.linear(&attended, &layer.out, config.heads * dim);
            add(
                &mut x,
                &self.normed(&attended, layer.attn_post_norm.as_ref()),
            );

            let input = if config.block.parallel { &before } else { &x };
            let input = self.normed(input, layer.ffn_norm.as_ref());
            let fed = match &layer.router {
                Some(router) => self.mixture(layer, router, &input),
                None => {
                    let wide = self.linear(&input, &layer.gate_up, hidden);
                    self.linear(&self.activated(&wide), &layer.down, config.intermediate)
                }
            };
            add(&mut x, &self.normed(&fed, layer.ffn_post_norm.as_ref()));
        }
        let x = self.norm(&x, &self.final_norm);
        let mut y = match &self.head {
            Some(head) => self.linear(&x, head, hidden),
            None => self.product(&x, &self.embed[..config.vocab * hidden], hidden),
        };
        cap(&mut y, config.block.logit_cap);
        logits.extend(y);
        stream.position += tokens.len();
    }

    /// A norm of each row of the residual stream, or of what is added to it; `x` as it is if the
    /// model lacks this norm.
    fn normed(&self, x: &[f32], weights: Option<&Affine>) -> Vec<f32> {
        match weights {
            Some(weights) => self.norm(x, weights),
            None => x.to_vec(),
        }
    }

    fn norm(&self, x: &[f32], weights: &Affine) -> Vec<f32> {
        let eps = self.config.norm_eps;
        match self.config.block.norm {
            Norm::RootMeanSquare => rms_norm(x, &weights.weight, eps),
            Norm::Layer => {
                let mut centred = x.to_vec();
                for row in centred.chunks_exact_mut(weights.weight.len()) {
                    let mean = row.iter().sum::<f32>() / row.len() as f32;
                    row.iter_mut().for_each(|x| *x -= mean);
                }
                let mut normed = rms_norm(&centred, &weights.weight, eps);
                add_to_rows(&mut normed, &weights.bias);
                normed
            }
        }
    }

    /// What the experts that each row takes make of it, each times its share.
    fn mixture(&self, layer: &Layer, router: &Affine, x: &[f32]) -> Vec<f32> {
        let config = &self.config;
        let (hidden, inner) = (config.hidden, config.intermediate);
        let Some(experts) = config.block.mixture else {
            return Vec::new();
        };
        let scores = self.linear(x, router, hidden);
        let mut out = vec![0.0; x.len()];
        let rows = x.chunks_exact(hidden).zip(out.chunks_exact_mut(hidden));
        for ((x, out), scores) in rows.zip(scores.chunks_exact(experts.count)) {
            let mut order: Vec<usize> = (0..experts.count).collect();
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
            let taken = &order[..experts.used];
            let within = if experts.normalised { taken } else { &order };
            let power = |expert: &usize| (scores[*expert] - scores[order[0]]).exp();
            let sum: f32 = within.iter().map(power).sum();
            for expert in taken {
                let size = config.gate_up_rows() * hidden;
                let gate_up = &layer.gate_up.weight[expert * size..][..size];
                let wide = self.activated(&self.product(x, gate_up, hidden));
                let size = hidden * inner;
                let down = &layer.down.weight[expert * size..][..size];
                let share = power(expert) / sum;
                let fed = self.product(&wide, down, inner);
                out.iter_mut()
                    .zip(fed)
                    .for_each(|(out, fed)| *out += share * fed);
            }
        }
        out
    }

    /// The function of the feed-forward block, times `up` if there is a gate.
    fn activated(&self, gate_up: &[f32]) -> Vec<f32> {
        let (config, f) = (&self.config, activation(self.config.block.activation));
        let mut out = Vec::with_capacity(gate_up.len());
        for row in gate_up.chunks_exact(config.gate_up_rows()) {
            let (gate, up) = row.split_at(config.intermediate);
            match up {
                [] => out.extend(gate.iter().map(|gate| f(*gate))),
                up => out.extend(gate.iter().zip(up).map(|(gate, up)| f(*gate) * up)),
            }
        }
        out
    }

    /// Rows of `width` values times the rows of a matrix, plus its bias.
    fn linear(&self, x: &[f32], linear: &Affine, width: usize) -> Vec<f32> {
        let mut out = self.product(x, &linear.weight, width);
        add_to_rows(&mut out, &linear.bias);
        out
    }

    /// Rows of `width` values times the rows of `weights`.
    fn product(&self, x: &[f32], weights: &[f32], width: usize) -> Vec<f32> {
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
        let (window, sinks) = (config.window_of(layer), config.sinks_of(layer));
        let steps = &self.layers[layer].steps;
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
                let key = rotate(key, position, steps);
                keys[position % slots * dim..][..dim].copy_from_slice(&key);
                values[position % slots * dim..][..dim].copy_from_slice(value);
                if position < sinks {
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
                let first = (position + 1).saturating_sub(window);
                let (start, count) = (first % slots, position + 1 - first);
                let before_wrap = count.min(slots - start);
                let ring = [start..start + before_wrap, 0..count - before_wrap];
                let passed = first.min(sinks);
                let sink_position = position.min(window + sinks - usize::from(sinks > 0));
                for (query, out) in out.chunks_exact_mut(dim).enumerate() {
                    let query = &qkv[row * stride + (head * shared + query) * dim..][..dim];
                    let near = rotate(query, position, steps);
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
                    let far = rotate(query, sink_position, steps);
                    self.kernels.float_product(
                        &far,
                        &sink_keys[..passed * dim],
                        dim,
                        &mut scores[count..],
                    );
                    let scale = 1.0 / (dim as f32).sqrt();
                    scores.iter_mut().for_each(|score| *score *= scale);
                    cap(&mut scores, config.block.score_cap);
                    let best = scores.iter().copied().fold(f32::MIN, f32::max);
                    scores
                        .iter_mut()
                        .for_each(|score| *score = (*score - best).exp());
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
}

fn rotate(head: &[f32], position: usize, steps: &[u64]) -> Vec<f32> {
    let half = head.len() / 2;
    let mut out = head.to_vec();
    for (pair, step) in steps.iter().enumerate() {
        let turns = (position as u64).wrapping_mul(*step) as f64 / 18_446_744_073_709_551_616.0;
        let (sin, cos) = (turns * std::f64::consts::TAU).sin_cos();
        let (sin, cos) = (sin as f32, cos as f32);
        out[pair] = head[pair] * cos - head[half + pair] * sin;
        out[half + pair] = head[half + pair] * cos + head[pair] * sin;
    }
    out
}

/// The function of a feed-forward block.
fn activation(kind: Activation) -> fn(f32) -> f32 {
    match kind {
        Activation::Silu => |x| x / (1.0 + (-x).exp()),
        Activation::Gelu => |x| {
            // Phi as a sum: the Taylor series of the normal density, integrated term by term.
            let x = f64::from(x);
            let (mut term, mut sum) = (x, x);
            for n in 1..200 {
                term *= x * x / f64::from(2 * n + 1);
                sum += term;
            }
            let phi = match x {
                x if x > 8.0 => 1.0,
                x if x < -8.0 => 0.0,
                x => 0.5 + sum * (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt(),
            };
            (x * phi) as f32
        },
        Activation::GeluTanh => |x| {
            let inner = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
            x / 2.0 * (1.0 + inner.tanh())
        },
        Activation::Relu => |x| x.max(0.0),
        Activation::ReluSquared => |x| x.max(0.0) * x.max(0.0),
    }
}

/// `cap * tanh(x / cap)`; a cap of 0 leaves x as it is.
fn cap(x: &mut [f32], cap: f32) {
    if cap != 0.0 {
        x.iter_mut().for_each(|x| *x = cap * (*x / cap).tanh());
    }
}

/// Adds `bias`, if it is not empty, to every row of as many values.
fn add_to_rows(x: &mut [f32], bias: &[f32]) {
    if !bias.is_empty() {
        x.chunks_exact_mut(bias.len())
            .for_each(|row| add(row, bias));
    }
}

/// Root-mean-square norm of every row of `weight.len()` values.
fn rms_norm(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
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
