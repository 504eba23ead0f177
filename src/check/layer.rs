//! One layer in plain f32.

use std::sync::Arc;

use super::recurrence::{Recurrence, RecurrentState};
use crate::arch::Config;
use crate::arch::block::{Activation, Norm};
use crate::arch::parts::{self, TensorSpec};
use crate::engine::cpu::kernels::Kernels;
use crate::machine::pool::Pool;
use crate::packed::PackedError;

/// Rows of one pass; the ring of keys holds as many more than the window.
pub(super) const PASS: usize = 128;

/// The weights of one layer.
#[derive(Debug)]
pub(super) struct Layer {
    /// Norms that the model lacks are `None`.
    pub(super) attn_norm: Option<Arc<Affine>>,
    mixer: Mixer,
    pub(super) attn_post_norm: Option<Arc<Affine>>,
    pub(super) ffn_norm: Option<Arc<Affine>>,
    /// Of a mixture of experts.
    pub(super) router: Option<Arc<Affine>>,
    /// Those of all experts.
    pub(super) gate_up: Arc<Affine>,
    pub(super) down: Arc<Affine>,
    pub(super) ffn_post_norm: Option<Arc<Affine>>,
}

/// How a layer sees other positions.
#[derive(Debug)]
enum Mixer {
    Attention(Attention),
    Recurrence {
        inputs: Arc<Affine>,
        recurrence: Recurrence,
        out: Arc<Affine>,
    },
}

/// The weights of attention.
#[derive(Debug)]
struct Attention {
    /// Query, key and value rows, and those of gates, x hidden.
    qkv: Arc<Affine>,
    qk_norms: Option<(Arc<Affine>, Arc<Affine>)>,
    /// [`head_dim` / 2]
    steps: Vec<u64>,
    out: Arc<Affine>,
}

impl Layer {
    /// The layer with these rotary steps whose weights `part` gives; `None` for a part that the
    /// layer lacks.
    pub(super) fn of(
        steps: Vec<u64>,
        mut part: impl FnMut(&'static TensorSpec) -> Result<Option<Arc<Affine>>, PackedError>,
    ) -> Result<Layer, PackedError> {
        let q_norm = part(&parts::Q_NORM)?;
        let k_norm = part(&parts::K_NORM)?;
        let inputs = part(&parts::RECURRENT_IN)?;
        let mut needed = |spec: &'static TensorSpec| {
            part(spec)?.ok_or_else(|| PackedError::Source {
                name: spec.name.to_owned(),
                reason: "missing".to_owned(),
            })
        };
        let mixer = match inputs {
            None => Mixer::Attention(Attention {
                qkv: needed(&parts::QKV)?,
                qk_norms: q_norm.zip(k_norm),
                steps,
                out: needed(&parts::OUT)?,
            }),
            Some(inputs) => Mixer::Recurrence {
                inputs,
                recurrence: Recurrence {
                    conv: needed(&parts::RECURRENT_CONV)?.weight.clone(),
                    rate: needed(&parts::RECURRENT_RATE)?.weight.clone(),
                    shift: needed(&parts::RECURRENT_SHIFT)?.weight.clone(),
                    norm: needed(&parts::RECURRENT_NORM)?.weight.clone(),
                },
                out: needed(&parts::RECURRENT_OUT)?,
            },
        };
        Ok(Layer {
            mixer,
            gate_up: needed(&parts::GATE_UP)?,
            down: needed(&parts::DOWN)?,
            attn_norm: part(&parts::ATTN_NORM)?,
            attn_post_norm: part(&parts::ATTN_POST_NORM)?,
            ffn_norm: part(&parts::FFN_NORM)?,
            router: part(&parts::ROUTER)?,
            ffn_post_norm: part(&parts::FFN_POST_NORM)?,
        })
    }
}

/// The weights of a matrix, row by row, or of a norm. The bias is empty if there is none.
#[derive(Clone, Debug, Default)]
pub(super) struct Affine {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

/// What one layer of a stream keeps: keys and values, or a recurrent state.
#[derive(Clone, Debug)]
pub(super) struct LayerCache {
    /// Of each key/value head: (window + PASS) rotated keys, and as many values.
    planes: Vec<(Vec<f32>, Vec<f32>)>,
    /// The same for the sinks.
    sinks: Vec<(Vec<f32>, Vec<f32>)>,
    recurrent: RecurrentState,
}

impl LayerCache {
    /// An empty cache of this layer.
    pub(super) fn new(config: &Config, layer: usize) -> LayerCache {
        let recurrence = config.block.recurrence(layer);
        let heads = if recurrence.is_some() {
            0
        } else {
            config.kv_heads
        };
        let plane = |positions: usize| {
            let values = vec![0.0; positions * config.head_dim];
            (values.clone(), values)
        };
        LayerCache {
            planes: vec![plane(config.window + PASS); heads],
            sinks: vec![plane(config.sinks); heads],
            recurrent: recurrence.map(RecurrentState::new).unwrap_or_default(),
        }
    }
}

/// What all layers of a model have in common.
#[derive(Debug)]
pub(super) struct Arithmetic {
    pub(super) config: Config,
    pub(super) kernels: Kernels,
    pub(super) pool: Pool,
}

impl Arithmetic {
    /// Runs layer `index` on rows of the residual stream, the first of which is at `position`.
    pub(super) fn layer(
        &self,
        layer: &Layer,
        index: usize,
        cache: &mut LayerCache,
        position: usize,
        x: &mut [f32],
    ) {
        let config = &self.config;
        let hidden = config.hidden;
        let before = x.to_vec();
        let input = self.normed(x, layer.attn_norm.as_deref());
        let mixed = match (&layer.mixer, config.block.recurrence(index)) {
            (
                Mixer::Recurrence {
                    inputs,
                    recurrence,
                    out,
                },
                Some(shape),
            ) => {
                let inputs = self.linear(&input, inputs, hidden);
                let state = &mut cache.recurrent;
                let given = recurrence.run(shape, state, &inputs, config.norm_eps);
                self.linear(&given, out, shape.values())
            }
            (Mixer::Recurrence { .. }, None) => Vec::new(),
            (Mixer::Attention(attention), _) => {
                self.attention(attention, index, cache, position, &input)
            }
        };
        add(x, &self.normed(&mixed, layer.attn_post_norm.as_deref()));

        let input = if config.block.parallel {
            &before[..]
        } else {
            &*x
        };
        let input = self.normed(input, layer.ffn_norm.as_deref());
        let fed = match &layer.router {
            Some(router) => self.mixture(layer, router, &input),
            None => {
                let wide = self.linear(&input, &layer.gate_up, hidden);
                self.linear(&self.activated(&wide), &layer.down, config.intermediate)
            }
        };
        add(x, &self.normed(&fed, layer.ffn_post_norm.as_deref()));
    }

    /// What attention gives for rows, the first of which is at `position`, and its projection.
    fn attention(
        &self,
        layer: &Attention,
        index: usize,
        cache: &mut LayerCache,
        position: usize,
        input: &[f32],
    ) -> Vec<f32> {
        let config = &self.config;
        let (dim, eps, width) = (
            config.head_dim,
            config.norm_eps,
            config.heads * config.head_dim,
        );
        let mut qkv = self.linear(input, &layer.qkv, config.hidden);
        if let Some((q_norm, k_norm)) = &layer.qk_norms {
            for row in qkv.chunks_exact_mut(config.qkv_rows()) {
                let (q, kv) = row.split_at_mut(width);
                q.copy_from_slice(&rms_norm(q, &q_norm.weight, eps));
                let k = &mut kv[..config.kv_heads * dim];
                k.copy_from_slice(&rms_norm(k, &k_norm.weight, eps));
            }
        }
        let mut attended = self.attend(layer, index, cache, position, &qkv);
        let rows = attended.chunks_exact_mut(width);
        for (row, qkv) in rows.zip(qkv.chunks_exact(config.qkv_rows())) {
            for (value, gate) in row.iter_mut().zip(&qkv[config.first_gate()..]) {
                *value /= 1.0 + (-gate).exp();
            }
        }
        self.linear(&attended, &layer.out, width)
    }

    /// A norm of each row of the residual stream, or of what is added to it; `x` as it is if the
    /// model lacks this norm.
    pub(super) fn normed(&self, x: &[f32], weights: Option<&Affine>) -> Vec<f32> {
        match weights {
            Some(weights) => self.norm(x, weights),
            None => x.to_vec(),
        }
    }

    pub(super) fn norm(&self, x: &[f32], weights: &Affine) -> Vec<f32> {
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
        for ((x, out), scores) in rows.zip(scores.chunks_exact(experts.scores())) {
            let (scores, shared) = scores.split_at(experts.count);
            let mut order: Vec<usize> = (0..experts.count).collect();
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
            let taken = &order[..experts.used];
            let within = if experts.normalised { taken } else { &order };
            let power = |expert: &usize| (scores[*expert] - scores[order[0]]).exp();
            let sum: f32 = within.iter().map(power).sum();
            let taken = taken.iter().map(|expert| (*expert, power(expert) / sum));
            let shared = shared.iter().flat_map(|score| {
                let share = 1.0 / (1.0 + (-score).exp());
                (experts.count..experts.experts()).map(move |it| (it, share))
            });
            for (expert, share) in taken.chain(shared) {
                let size = config.gate_up_rows() * hidden;
                let gate_up = &layer.gate_up.weight[expert * size..][..size];
                let wide = self.activated(&self.product(x, gate_up, hidden));
                let size = hidden * inner;
                let down = &layer.down.weight[expert * size..][..size];
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
    pub(super) fn linear(&self, x: &[f32], linear: &Affine, width: usize) -> Vec<f32> {
        let mut out = self.product(x, &linear.weight, width);
        add_to_rows(&mut out, &linear.bias);
        out
    }

    /// Rows of `width` values times the rows of `weights`.
    pub(super) fn product(&self, x: &[f32], weights: &[f32], width: usize) -> Vec<f32> {
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

    fn attend(
        &self,
        layer: &Attention,
        index: usize,
        cache: &mut LayerCache,
        start: usize,
        qkv: &[f32],
    ) -> Vec<f32> {
        let config = &self.config;
        let (dim, stride) = (config.head_dim, config.qkv_rows());
        let (rows, shared) = (qkv.len() / stride, config.heads_per_kv());
        let (window, sinks) = (config.window_of(index), config.sinks_of(index));
        let steps = &layer.steps;
        let slots = config.window + PASS;
        for head in 0..config.kv_heads {
            let (keys, values) = &mut cache.planes[head];
            let (sink_keys, sink_values) = &mut cache.sinks[head];
            for row in 0..rows {
                let position = start + row;
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
        let cache = &*cache;
        let mut out = vec![0.0; rows * config.heads * dim];
        let mut tasks: Vec<_> = out.chunks_exact_mut(shared * dim).enumerate().collect();
        self.pool.for_each(
            &mut vec![(); self.pool.threads()],
            &mut tasks,
            |(), (index, out)| {
                let (row, head) = (*index / config.kv_heads, *index % config.kv_heads);
                let position = start + row;
                let (keys, values) = &cache.planes[head];
                let (sink_keys, sink_values) = &cache.sinks[head];
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
pub(super) fn cap(x: &mut [f32], cap: f32) {
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
