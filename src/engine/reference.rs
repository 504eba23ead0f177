//! The forward pass of the language model, written to be read: one token at a time, plain vectors,
//! plain loops. `docs/NUMERICS.md` specifies it; each step below names its section there.
//!
//! Every other runtime must equal this one bit for bit. It is slow on purpose: nothing is tiled,
//! batched, shared between threads or kept in a ring, so that each step can be checked against its
//! formula. The file goes from the pass down to single operations; loading a model comes last.
//!
//! Square brackets give shapes, in the fields of [`Config`]: `hidden`, `heads`, `kv_heads`,
//! `head_dim`, `intermediate`, `vocab` and `inputs`. A *level* is a quantised number, -127 to 127;
//! a level times its *scale* is the number.

mod operations;
mod recurrence;

use crate::arch::Config;
use crate::arch::block::{Activation, Mixture, Norm};
use crate::arch::config::GROUP;
use crate::engine::contexts;
use crate::machine::float_environment::FloatEnvironment;
use crate::numerics::{
    LOG2_E, TINY, cos_sin, exp2_or_zero, exp2_parts, gelu, gelu_tanh, max, min, round, sigmoid,
    soft_cap,
};
use crate::packed::quantize::tiled_offset;
use crate::packed::{PackedError, PackedModel};
use operations::{clamped, rms_norm, striped_sum};
use recurrence::{Recurrence, RecurrentState};

/// Powers of a softmax are summed in integer units of `1 / TWO_TO_22`.
const TWO_TO_22: f32 = 4_194_304.0;

/// A model with its weights unpacked into plain rows.
#[derive(Debug)]
pub struct Reference {
    config: Config,
    /// One row for each token that can be fed: [inputs, hidden].
    embedding: Matrix,
    /// What is added at each learned position, [positions, hidden]; empty if positions are rotary.
    positions: Vec<f32>,
    layers: Vec<Layer>,
    final_norm: NormWeights,
    /// One row for each token that can be predicted: [vocab, hidden].
    head: Matrix,
}

/// The weights of a norm.
#[derive(Debug)]
struct NormWeights {
    /// [values]
    weight: Vec<f32>,
    /// [values], or empty if the norm has no bias.
    bias: Vec<f32>,
}

/// The weights of one transformer layer.
#[derive(Debug)]
struct Layer {
    /// Of the residual stream before attention, if the model has this norm.
    attn_norm: Option<NormWeights>,
    /// How the layer sees other positions.
    mixer: Mixer,
    /// Of what attention gives, if the model has this norm.
    attn_post_norm: Option<NormWeights>,
    /// Of the residual stream before the feed-forward block, if the model has this norm.
    ffn_norm: Option<NormWeights>,
    /// One row for each expert of a mixture that may be taken, and one for those that are shared,
    /// if there are any: [rows, hidden]; empty if there is no mixture.
    router: Vec<f32>,
    /// The experts, or the only feed-forward block.
    blocks: Vec<FeedForward>,
    /// Of what the feed-forward block gives, if the model has this norm.
    ffn_post_norm: Option<NormWeights>,
}

/// How a layer sees other positions.
#[derive(Debug)]
enum Mixer {
    Attention(Attention),
    Recurrence {
        /// To what the recurrence takes: [rows, hidden].
        inputs: Matrix,
        recurrence: Recurrence,
        /// [hidden, `value_heads` * `value_dim`]
        out: Matrix,
    },
}

/// The weights of attention.
#[derive(Debug)]
struct Attention {
    /// Query, key and value projections, stacked, then the gates of the output, if there are any:
    /// [(heads + 2 `kv_heads`, + heads) * `head_dim`, hidden].
    qkv: Matrix,
    /// Of the queries and of the keys, in models that normalise them: of each head, or of all
    /// heads together.
    qk_norms: Option<(NormWeights, NormWeights)>,
    /// The angle by which each pair of a head turns per position, in units of 2^-64 of a full
    /// turn: [`head_dim` / 2].
    rotary_steps: Vec<u64>,
    /// [hidden, heads * `head_dim`]
    out: Matrix,
}

/// The weights of a feed-forward block.
#[derive(Debug)]
struct FeedForward {
    /// Gate and up projections, stacked: [2 intermediate, hidden]. Without a gate, the up
    /// projection: [intermediate, hidden].
    gate_up: Matrix,
    /// [hidden, intermediate]
    down: Matrix,
}

/// A quantised matrix: `weight = level * scale of its row`.
#[derive(Debug)]
struct Matrix {
    /// Row by row: [rows, columns].
    levels: Vec<i8>,
    /// [rows]
    scales: Vec<f32>,
    /// [rows], or empty if the matrix has no bias.
    bias: Vec<f32>,
    columns: usize,
}

/// Numbers that share one scale: `value = level * scale`.
#[derive(Clone, Debug)]
struct Quantised {
    levels: Vec<i8>,
    scale: f32,
}

/// What one stream of tokens has left behind: every position is kept, in order.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The tokens fed, of models that have learned positions.
    tokens: Vec<u32>,
    /// Position in the stream where the present context begins.
    start: usize,
    /// Positions of the present context so far.
    length: usize,
    /// Rotated keys, one scale a head: [layers][positions][`kv_heads`] of [`head_dim`].
    keys: Vec<Vec<Vec<Quantised>>>,
    /// Values, in the same layout.
    values: Vec<Vec<Vec<Quantised>>>,
    /// What recurrent layers keep behind each position: [layers][positions].
    recurrent: Vec<Vec<RecurrentState>>,
}

/// The prediction of the token that follows those fed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Base-2 logarithms of unnormalised probabilities, in units of 2^-16: `[vocab]`.
    pub logits: Vec<i32>,
    /// The input of the head, quantised with one scale, which is dropped: `[hidden]`.
    pub state: Vec<i8>,
}

impl Reference {
    /// Feeds one token and predicts the next one (sections 5 and 7). `token` is a row of the
    /// embedding.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn forward(&self, stream: &mut Stream, token: u32) -> Output {
        // Rounding to nearest and subnormal numbers, whatever modes the caller has set.
        let _environment = FloatEnvironment::enter();
        if self.config.block.positions > 0 {
            self.enter_context(stream);
            stream.tokens.push(token);
        }
        self.step(stream, token)
    }

    /// Feeds the tokens again that the next position has before it in its context, if that is
    /// another than the present one (section 6).
    fn enter_context(&self, stream: &mut Stream) {
        let position = stream.tokens.len();
        let start = contexts::start(position as u64, self.config.block.positions as u64) as usize;
        if (stream.start, stream.length) == (start, position - start) {
            return;
        }
        stream.forget(0);
        stream.start = start;
        let before = stream.tokens.split_off(start);
        for token in &before {
            self.step(stream, *token);
        }
        stream.tokens.extend(before);
    }

    /// Feeds one token in the present context.
    fn step(&self, stream: &mut Stream, token: u32) -> Output {
        let config = &self.config;
        let wide = config.block.wide;

        // The residual stream: [hidden].
        let mut x = self.embedding.row(token as usize);
        if let Some(learned) = self.positions.chunks(config.hidden).nth(stream.length) {
            add(&mut x, learned);
        }
        for (index, layer) in self.layers.iter().enumerate() {
            // x += out * attention(qkv * norm(x)), or the same with a recurrence
            let before = x.clone();
            let h = self.normed(&x, layer.attn_norm.as_ref());
            let mixed = match &layer.mixer {
                Mixer::Attention(attention) => {
                    let qkv = attention.qkv.times(&h, wide.qkv);
                    let attended = self.attention(attention, &qkv, stream, index);
                    attention.out.times(&attended, wide.out)
                }
                Mixer::Recurrence {
                    inputs,
                    recurrence,
                    out,
                } => {
                    let inputs = inputs.times(&h, wide.qkv);
                    let states = &mut stream.recurrent[index];
                    let given = recurrence.step(&inputs, states, config.norm_eps);
                    out.times(&given, wide.out)
                }
            };
            add(&mut x, &self.normed(&mixed, layer.attn_post_norm.as_ref()));

            // x += down * (f(gate) . up), with (gate, up) = gate_up * norm(x); or a mixture of such
            let input = if config.block.parallel { &before } else { &x };
            let h = self.normed(input, layer.ffn_norm.as_ref());
            let fed = match config.block.mixture {
                None => self.fed(&layer.blocks[0], &h),
                Some(experts) => self.mixture(layer, experts, &h),
            };
            add(&mut x, &self.normed(&fed, layer.ffn_post_norm.as_ref()));
        }
        stream.length += 1;

        let h = self.norm(&x, &self.final_norm, config.block.norm);
        let mut y = self.head.times(&h, wide.head);
        if config.block.logit_cap != 0.0 {
            y = y
                .iter()
                .map(|y| soft_cap(*y, config.block.logit_cap))
                .collect();
        }
        Output {
            logits: fixed_point(&y),
            state: quantise(&h).levels,
        }
    }

    /// A norm of the residual stream, or of what is added to it; `x` as it is if the model lacks
    /// this norm.
    fn normed(&self, x: &[f32], weights: Option<&NormWeights>) -> Vec<f32> {
        match weights {
            Some(weights) => self.norm(x, weights, self.config.block.norm),
            None => x.to_vec(),
        }
    }

    fn norm(&self, x: &[f32], weights: &NormWeights, kind: Norm) -> Vec<f32> {
        match kind {
            Norm::RootMeanSquare => rms_norm(x, &weights.weight, self.config.norm_eps),
            Norm::Layer => layer_norm(x, weights, self.config.norm_eps),
        }
    }

    /// What a feed-forward block makes of h: [hidden].
    fn fed(&self, block: &FeedForward, h: &[f32]) -> Vec<f32> {
        let wide = self.config.block.wide;
        let gate_up = block.gate_up.times(h, wide.gate_up);
        block.down.times(&self.activated(&gate_up), wide.down)
    }

    /// What the experts that h takes make of it, each times its share: [hidden].
    fn mixture(&self, layer: &Layer, experts: Mixture, h: &[f32]) -> Vec<f32> {
        // A score for each expert that may be taken, and one for those that are shared:
        // s_e = router_e . h
        let mut scores = Vec::new();
        for row in layer.router.chunks(h.len()) {
            scores.push(striped_sum(row.iter().zip(h).map(|(w, h)| h * w)));
        }
        let shared = scores.split_off(experts.count);
        let largest = scores.iter().copied().fold(f32::MIN, max);

        // Those with the largest scores are taken, of equal ones those with the lowest numbers.
        let mut taken = Vec::new();
        for (e, score) in scores.iter().enumerate() {
            let before = |(other, it): (usize, &f32)| it > score || (it == score && other < e);
            if scores
                .iter()
                .enumerate()
                .filter(|other| before(*other))
                .count()
                < experts.used
            {
                taken.push(e);
            }
        }

        // Softmax: p_e = 2^((s_e - max s) * log2(e)), and S = sum of p_e, over the experts that are
        // taken if `normalised` is set and over all otherwise.
        let power = |e: usize| exp2_or_zero((scores[e] - largest) * LOG2_E);
        let units = |e: usize| i64::from(round(power(e) * TWO_TO_22));
        let sum: i64 = match experts.normalised {
            true => taken.iter().map(|e| units(*e)).sum(),
            false => (0..scores.len()).map(units).sum(),
        };
        let mut result = vec![0.0; h.len()];
        for e in taken {
            let share = power(e) / (sum as f32 * (1.0 / TWO_TO_22));
            for (sum, fed) in result.iter_mut().zip(self.fed(&layer.blocks[e], h)) {
                *sum += share * fed;
            }
        }

        // Those that are shared, each times the sigmoid of their score.
        for block in &layer.blocks[experts.count..] {
            let share = sigmoid(shared[0]);
            for (sum, fed) in result.iter_mut().zip(self.fed(block, h)) {
                *sum += share * fed;
            }
        }
        result
    }

    /// What the feed-forward block's last matrix takes: [intermediate]. `gate_up` holds gate and
    /// up, [2 intermediate], or without a gate just up, [intermediate].
    fn activated(&self, gate_up: &[f32]) -> Vec<f32> {
        let (gate, up) = gate_up.split_at(self.config.intermediate);
        let value = |(i, gate): (usize, &f32)| {
            let value = activation(self.config.block.activation, *gate);
            clamped(up.get(i).map_or(value, |up| value * up))
        };
        gate.iter().enumerate().map(value).collect()
    }

    /// Attention in layer `index` (section 6): stores the keys and values of the next position,
    /// then computes the outputs of its query heads: [heads * `head_dim`].
    ///
    /// `qkv` holds the query heads, then the key heads, then the value heads, then the gates of all
    /// query heads, if there are any, each [`head_dim`].
    fn attention(
        &self,
        layer: &Attention,
        qkv: &[f32],
        stream: &mut Stream,
        index: usize,
    ) -> Vec<f32> {
        let Config {
            heads,
            kv_heads,
            head_dim,
            ..
        } = self.config;
        let position = stream.keys[index].len();
        let (queries, rest) = qkv.split_at(heads * head_dim);
        let (keys, rest) = rest.split_at(kv_heads * head_dim);
        let (values, gates) = rest.split_at(kv_heads * head_dim);
        let (mut queries, mut keys) = (queries.to_vec(), keys.to_vec());
        if let Some((q_norm, k_norm)) = &layer.qk_norms {
            // One norm has as many weights as it has values: those of a head, or of all heads.
            for (values, norm) in [(&mut queries, q_norm), (&mut keys, k_norm)] {
                let parts = values.chunks(norm.weight.len());
                let normed = parts.flat_map(|part| self.norm(part, norm, Norm::RootMeanSquare));
                *values = normed.collect();
            }
        }
        let keys = keys.chunks(head_dim);
        let values = values.chunks(head_dim);
        let rotated = keys.map(|key| rotate(key, position, &layer.rotary_steps));
        stream.keys[index].push(rotated.map(|key| quantise(&key)).collect());
        stream.values[index].push(values.map(quantise).collect());

        let mut output = Vec::new();
        for (i, query) in queries.chunks(head_dim).enumerate() {
            // Grouped-query attention: heads / kv_heads query heads use one key/value head.
            let kv_head = i / (heads / kv_heads);
            let keys: Vec<_> = stream.keys[index].iter().map(|at| &at[kv_head]).collect();
            let values: Vec<_> = stream.values[index].iter().map(|at| &at[kv_head]).collect();
            let steps = &layer.rotary_steps;
            output.extend(self.attend(index, query, steps, &keys, &values));
        }
        for (value, gate) in output.iter_mut().zip(gates) {
            *value *= sigmoid(*gate);
        }
        output
    }

    /// The output of one query head of layer `index`: [`head_dim`]. `keys` and `values` hold all
    /// positions so far; the query is at the last one.
    fn attend(
        &self,
        index: usize,
        query: &[f32],
        steps: &[u64],
        keys: &[&Quantised],
        values: &[&Quantised],
    ) -> Vec<f32> {
        let (window, sinks) = (self.config.window_of(index), self.config.sinks_of(index));
        // The query sees the last `window` positions and the sinks, the first positions of the
        // stream. For sinks that have left the window its position stops at window + sinks - 1, the
        // first at which all of them have left, so that no distance grows without bound.
        let position = keys.len() - 1;
        let first = (position + 1).saturating_sub(window);
        let visible: Vec<usize> = (0..sinks.min(first)).chain(first..=position).collect();
        let wide = self.config.block.wide.queries;
        let at_position = scaled_query(query, position, steps, wide);
        let furthest = position.min((window + sinks).saturating_sub(1));
        let at_sinks = scaled_query(query, furthest, steps, wide);

        // Scores: t_j = query . key_j * log2(e) / sqrt(head_dim), perhaps capped.
        let cap = self.config.block.score_cap;
        let mut t = Vec::new();
        for &j in &visible {
            let query = if j < first { &at_sinks } else { &at_position };
            let mut score = dot(&query[0], &keys[j].levels) * keys[j].scale;
            for more in &query[1..] {
                score += dot(more, &keys[j].levels) * keys[j].scale;
            }
            t.push(match cap == 0.0 {
                true => score,
                false => soft_cap(score, cap * LOG2_E),
            });
        }
        let largest_t = t.iter().copied().fold(f32::MIN, max);

        // Softmax in base 2: e_j = 2^(t_j - max t), and S = sum of e_j, in integer units of 2^-22.
        // The scale of a value becomes part of its weight: w_j = e_j * scale_j.
        let (mut w, mut sum) = (Vec::new(), 0i64);
        for (&j, t) in visible.iter().zip(&t) {
            let e = exp2_or_zero(t - largest_t);
            sum += i64::from(round(e * TWO_TO_22));
            w.push(e * values[j].scale);
        }
        let largest_w = w.iter().copied().fold(0.0, max);
        if largest_w < TINY {
            return vec![0.0; query.len()];
        }

        // Integer weights, u_j = round(w_j * top / max w), make the sum of u_j * value_j exact, so
        // that its order does not matter. The output is that sum * (max w / top) / S.
        let top = self.largest_weight();
        let mut sums = vec![0i32; query.len()];
        for (&j, w) in visible.iter().zip(&w) {
            let u = round(w * (top / largest_w));
            for (sum, level) in sums.iter_mut().zip(&values[j].levels) {
                *sum += u * i32::from(*level);
            }
        }
        let factor = (largest_w / top) / (sum as f32 * (1.0 / TWO_TO_22));
        sums.iter().map(|sum| *sum as f32 * factor).collect()
    }

    /// `top`, the largest integer weight: 2^b - 1 for the largest b with which a sum over all
    /// visible positions fits 32 bits. b is at most 14, because kernels split a weight into two
    /// halves of 7 bits.
    fn largest_weight(&self) -> f32 {
        let visible = (self.config.window + self.config.sinks) as i64;
        let fits = |bits: &i32| visible * 127 * ((1 << bits) - 1) < 1 << 31;
        let bits = (1..=14).rev().find(fits).unwrap_or(1);
        ((1 << bits) - 1) as f32
    }
}

/// Rotary embedding: turns each pair (j, j + `head_dim` / 2) of a head by `position * step_j`. The
/// product wraps at 2^64, which is a full turn.
fn rotate(head: &[f32], position: usize, steps: &[u64]) -> Vec<f32> {
    let (a, b) = head.split_at(head.len() / 2);
    let mut rotated = vec![0.0; head.len()];
    for (j, step) in steps.iter().enumerate() {
        let (cos, sin) = cos_sin((position as u64).wrapping_mul(*step));
        rotated[j] = a[j] * cos - b[j] * sin;
        rotated[a.len() + j] = b[j] * cos + a[j] * sin;
    }
    rotated
}

/// A query rotated to `position` and quantised in groups, a wide one to two levels; its scales
/// include the factor log2(e) / `sqrt(head_dim)` of the scores.
fn scaled_query(query: &[f32], position: usize, steps: &[u64], wide: bool) -> Vec<Vec<Quantised>> {
    let rotated = rotate(query, position, steps);
    let mut levels = vec![quantise_groups(&rotated)];
    if wide {
        levels.push(quantise_groups(&left_over(&rotated, &levels[0])));
    }
    for group in levels.iter_mut().flatten() {
        group.scale *= LOG2_E / (query.len() as f32).sqrt();
    }
    levels
}

impl Matrix {
    /// The weights of one row: [columns].
    fn row(&self, row: usize) -> Vec<f32> {
        let levels = &self.levels[row * self.columns..][..self.columns];
        levels
            .iter()
            .map(|level| f32::from(*level) * self.scales[row])
            .collect()
    }

    /// The product with x, [columns], after quantising x in groups (section 4): [rows]. A wide x is
    /// quantised to two levels.
    fn times(&self, x: &[f32], wide: bool) -> Vec<f32> {
        let first = quantise_groups(x);
        let mut y = self.times_levels(&first);
        if wide {
            add(
                &mut y,
                &self.times_levels(&quantise_groups(&left_over(x, &first))),
            );
        }
        if !self.bias.is_empty() {
            add(&mut y, &self.bias);
        }
        y
    }

    /// The product with x, quantised, without bias: [rows].
    fn times_levels(&self, x: &[Quantised]) -> Vec<f32> {
        let rows = self.levels.chunks(self.columns).zip(&self.scales);
        rows.map(|(levels, scale)| dot(x, levels) * scale).collect()
    }
}

/// What quantisation has lost: x minus the values of its levels.
fn left_over(x: &[f32], quantised: &[Quantised]) -> Vec<f32> {
    let values = quantised.iter().flat_map(|group| {
        let value = |level: &i8| f32::from(*level) * group.scale;
        group.levels.iter().map(value)
    });
    x.iter().zip(values).map(|(x, value)| x - value).collect()
}

/// The dot product of a vector in groups with levels whose scale the caller applies (section 4):
/// exact within each group, then a float sum over the groups in order.
fn dot(x: &[Quantised], levels: &[i8]) -> f32 {
    let mut sum = 0.0;
    for (group, levels) in x.iter().zip(levels.chunks(GROUP)) {
        let mut exact = 0;
        for (a, b) in group.levels.iter().zip(levels) {
            exact += i32::from(*a) * i32::from(*b);
        }
        sum += exact as f32 * group.scale;
    }
    sum
}

/// Quantises with one scale (section 3): `level = round(x * 127 / max |x|)` and
/// `scale = max |x| / 127`.
fn quantise(x: &[f32]) -> Quantised {
    let largest = x.iter().map(|x| x.abs()).fold(0.0, max);
    let (mut levels, mut scale) = (vec![0; x.len()], 0.0);
    if largest >= TINY {
        for (level, x) in levels.iter_mut().zip(x) {
            *level = round(min(max(x * (127.0 / largest), -127.0), 127.0)) as i8;
        }
        scale = largest * (1.0 / 127.0);
    }
    Quantised { levels, scale }
}

/// Quantises each group of 64 values by itself (section 3).
fn quantise_groups(x: &[f32]) -> Vec<Quantised> {
    x.chunks(GROUP).map(quantise).collect()
}

/// Layer norm (section 5): `d / sqrt(mean(d^2) + eps) * weight + bias`, with `d = x - mean(x)`.
fn layer_norm(x: &[f32], weights: &NormWeights, eps: f32) -> Vec<f32> {
    let mean = striped_sum(x.iter().copied()) / x.len() as f32;
    let centred: Vec<f32> = x.iter().map(|x| x - mean).collect();
    let mut normed = rms_norm(&centred, &weights.weight, eps);
    add(&mut normed, &weights.bias);
    normed
}

/// The function in the feed-forward block (section 5).
fn activation(kind: Activation, x: f32) -> f32 {
    match kind {
        Activation::Silu => x * sigmoid(x),
        Activation::Gelu => gelu(x),
        Activation::GeluTanh => gelu_tanh(x),
        Activation::Relu => max(x, 0.0),
        Activation::ReluSquared => {
            let positive = min(max(x, 0.0), 1_073_741_824.0);
            positive * positive
        }
    }
}

/// x += y
fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// Converts logits from natural logarithms to base 2, in units of 2^-16 (section 7), clamped to
/// +-2^29.
fn fixed_point(logits: &[f32]) -> Vec<i32> {
    let limit = 536_870_912.0;
    let units = |y: &f32| min(max(y * (LOG2_E * 65536.0), -limit), limit);
    logits
        .iter()
        .map(|y| units(y).round_ties_even() as i32)
        .collect()
}

/// Turns logits, with a bias added to each, into integer weights from 1 to 2^24 and returns their
/// exclusive prefix sums (section 8): `[vocab + 1]`. The likeliest token has the weight 2^24.
pub fn distribution(logits: &[i32], bias: &[i32]) -> Vec<u64> {
    let biased: Vec<i32> = logits.iter().zip(bias).map(|(l, b)| l + b).collect();
    let best = biased.iter().copied().max().unwrap_or(0);
    let mut sums = vec![0];
    for logit in biased {
        // The weight is 2^(d / 65536) * 2^24, with d / 65536 split into the nearest integer and the
        // rest.
        let d = (logit - best).max(-40 << 16);
        let whole = (d + 32768) >> 16;
        let fraction = (d - (whole << 16)) as f32 * (1.0 / 65536.0);
        let weight = exp2_parts(fraction, whole + 24).round_ties_even() as u64;
        sums.push(sums[sums.len() - 1] + weight.max(1));
    }
    sums
}

impl Stream {
    /// Tokens fed so far, which is the position of the next one.
    pub fn position(&self) -> usize {
        self.start + self.length
    }

    /// Forgets every token from `position` on.
    pub fn truncate(&mut self, position: usize) {
        self.tokens.truncate(position);
        self.forget(position.saturating_sub(self.start));
    }

    /// Forgets what is kept of this context from `position` on.
    fn forget(&mut self, position: usize) {
        for layer in self.keys.iter_mut().chain(&mut self.values) {
            layer.truncate(position);
        }
        for layer in &mut self.recurrent {
            layer.truncate(position);
        }
        self.length = position;
    }
}

impl Reference {
    /// Unpacks the weights of `model`.
    ///
    /// # Errors
    /// If the model lacks a tensor.
    pub fn new(model: &PackedModel) -> Result<Reference, PackedError> {
        let config = model.config().clone();
        let matrix = |name: &str| Matrix::unpack(model, name);
        let norm = |name: &str| NormWeights::read(model, name);
        let mut layers = Vec::new();
        for layer in 0..config.layers {
            let name = |part: &str| format!("layer.{layer}.{part}");
            let norm_if = |present: bool, part| present.then(|| norm(&name(part))).transpose();
            let (before, after) = (config.block.norms.before(), config.block.norms.after());
            layers.push(Layer {
                attn_norm: norm_if(before, "attn_norm")?,
                mixer: match config.block.recurrence(layer) {
                    Some(shape) => Mixer::Recurrence {
                        inputs: matrix(&name("recurrent_in"))?,
                        recurrence: Recurrence::new(model, shape, layer)?,
                        out: matrix(&name("recurrent_out"))?,
                    },
                    None => Mixer::Attention(Attention {
                        qkv: matrix(&name("qkv"))?,
                        qk_norms: norm_if(config.qk_norm, "q_norm")?
                            .zip(norm_if(config.qk_norm, "k_norm")?),
                        rotary_steps: model.steps_of(layer),
                        out: matrix(&name("out"))?,
                    }),
                },
                attn_post_norm: norm_if(after, "attn_post_norm")?,
                ffn_norm: norm_if(before, "ffn_norm")?,
                router: match config.block.mixture {
                    Some(_) => model.floats(&name("router.weight"))?.to_vec(),
                    None => Vec::new(),
                },
                blocks: {
                    let count = config.block.feed_forward_blocks();
                    let gate_up = matrix(&name("gate_up"))?.split(count);
                    let down = matrix(&name("down"))?.split(count);
                    let pairs = gate_up.into_iter().zip(down);
                    pairs
                        .map(|(gate_up, down)| FeedForward { gate_up, down })
                        .collect()
                },
                ffn_post_norm: norm_if(after, "ffn_post_norm")?,
            });
        }
        // A tied head is the first `vocab` rows of the embedding; `times` goes by the scales.
        let mut head = matrix(if config.tied { "embed" } else { "head" })?;
        head.scales.truncate(config.vocab);
        Ok(Reference {
            embedding: matrix("embed")?,
            positions: match config.block.positions {
                0 => Vec::new(),
                _ => model.floats("positions.weight")?.to_vec(),
            },
            layers,
            final_norm: norm("final_norm")?,
            head,
            config,
        })
    }

    /// A stream to which no token has been fed.
    pub fn new_stream(&self) -> Stream {
        Stream {
            tokens: Vec::new(),
            start: 0,
            length: 0,
            keys: vec![Vec::new(); self.config.layers],
            values: vec![Vec::new(); self.config.layers],
            recurrent: vec![Vec::new(); self.config.layers],
        }
    }
}

impl NormWeights {
    fn read(model: &PackedModel, name: &str) -> Result<NormWeights, PackedError> {
        let bias = model.floats(&format!("{name}.bias"));
        Ok(NormWeights {
            weight: model.floats(&format!("{name}.weight"))?.to_vec(),
            bias: bias.map(<[f32]>::to_vec).unwrap_or_default(),
        })
    }
}

impl Matrix {
    /// The matrices of `count` experts, stacked here.
    fn split(self, count: usize) -> Vec<Matrix> {
        if count == 1 {
            return vec![self];
        }
        let rows = self.scales.len() / count;
        let parts = self
            .levels
            .chunks(rows * self.columns)
            .zip(self.scales.chunks(rows));
        let part = |(levels, scales): (&[i8], &[f32])| Matrix {
            levels: levels.to_vec(),
            scales: scales.to_vec(),
            bias: Vec::new(),
            columns: self.columns,
        };
        parts.map(part).collect()
    }

    fn unpack(model: &PackedModel, name: &str) -> Result<Matrix, PackedError> {
        let packed = model.matrix(name)?;
        let mut levels = Vec::new();
        for row in 0..packed.rows {
            for column in 0..packed.columns {
                // Levels are stored plus 128, as unsigned bytes.
                let stored = packed.tiles[tiled_offset(row, column, packed.columns)];
                levels.push((i32::from(stored) - 128) as i8);
            }
        }
        Ok(Matrix {
            levels,
            scales: packed.scales[..packed.rows].to_vec(),
            bias: packed.bias.unwrap_or_default().to_vec(),
            columns: packed.columns,
        })
    }
}
