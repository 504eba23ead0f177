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

use crate::arch::Config;
use crate::arch::config::GROUP;
use crate::machine::float_environment::FloatEnvironment;
use crate::numerics::{LOG2_E, TINY, cos_sin, exp2_or_zero, exp2_parts, max, min, round, sigmoid};
use crate::packed::quantize::tiled_offset;
use crate::packed::{PackedError, PackedModel};

/// Softmax weights are summed in integer units of `1 / TWO_TO_22`.
const TWO_TO_22: f32 = 4_194_304.0;

/// A model with its weights unpacked into plain rows.
#[derive(Debug)]
pub struct Reference {
    config: Config,
    /// One row for each token that can be fed: [inputs, hidden].
    embedding: Matrix,
    layers: Vec<Layer>,
    /// [hidden]
    final_norm: Vec<f32>,
    /// One row for each token that can be predicted: [vocab, hidden].
    head: Matrix,
    /// The angle by which each pair of a head turns per position, in units of 2^-64 of a full
    /// turn: [`head_dim` / 2].
    rotary_steps: Vec<u64>,
}

/// The weights of one transformer layer.
#[derive(Debug)]
struct Layer {
    /// [hidden]
    attn_norm: Vec<f32>,
    /// Query, key and value projections, stacked: [(heads + 2 `kv_heads`) * `head_dim`, hidden].
    qkv: Matrix,
    /// Norm weights shared by all query heads and by all key heads, in models that normalise
    /// heads: [`head_dim`] each.
    head_norms: Option<(Vec<f32>, Vec<f32>)>,
    /// [hidden, heads * `head_dim`]
    out: Matrix,
    /// [hidden]
    ffn_norm: Vec<f32>,
    /// Gate and up projections, stacked: [2 intermediate, hidden].
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

/// The key/value cache of one stream of tokens: every position is kept, in order.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Rotated keys, one scale a head: [layers][positions][`kv_heads`] of [`head_dim`].
    keys: Vec<Vec<Vec<Quantised>>>,
    /// Values, in the same layout.
    values: Vec<Vec<Vec<Quantised>>>,
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
        let config = &self.config;

        // The residual stream: [hidden].
        let mut x = self.embedding.row(token as usize);
        for (index, layer) in self.layers.iter().enumerate() {
            // x += out * attention(qkv * norm(x))
            let h = norm(&x, &layer.attn_norm, config.norm_eps);
            let qkv = layer.qkv.times(&h);
            let attended = self.attention(layer, &qkv, stream, index);
            add(&mut x, &layer.out.times(&attended));

            // x += down * (silu(gate) . up), with (gate, up) = gate_up * norm(x)
            let h = norm(&x, &layer.ffn_norm, config.norm_eps);
            let gate_up = layer.gate_up.times(&h);
            let (gate, up) = gate_up.split_at(config.intermediate);
            add(&mut x, &layer.down.times(&gated(gate, up)));
        }

        let h = norm(&x, &self.final_norm, config.norm_eps);
        Output {
            logits: fixed_point(&self.head.times(&h)),
            state: quantise(&h).levels,
        }
    }

    /// Attention in layer `index` (section 6): stores the keys and values of the next position,
    /// then computes the outputs of its query heads: [heads * `head_dim`].
    ///
    /// `qkv` holds the query heads, then the key heads, then the value heads, each [`head_dim`].
    fn attention(&self, layer: &Layer, qkv: &[f32], stream: &mut Stream, index: usize) -> Vec<f32> {
        let Config {
            heads,
            kv_heads,
            head_dim,
            norm_eps,
            ..
        } = self.config;
        let position = stream.keys[index].len();
        let mut parts: Vec<Vec<f32>> = qkv.chunks(head_dim).map(<[f32]>::to_vec).collect();
        if let Some((q_norm, k_norm)) = &layer.head_norms {
            for (i, part) in parts[..heads + kv_heads].iter_mut().enumerate() {
                *part = norm(part, if i < heads { q_norm } else { k_norm }, norm_eps);
            }
        }
        let (queries, rest) = parts.split_at(heads);
        let (keys, values) = rest.split_at(kv_heads);
        let rotated = keys.iter().map(|key| self.rotate(key, position));
        stream.keys[index].push(rotated.map(|key| quantise(&key)).collect());
        stream.values[index].push(values.iter().map(|value| quantise(value)).collect());

        let mut output = Vec::new();
        for (i, query) in queries.iter().enumerate() {
            // Grouped-query attention: heads / kv_heads query heads use one key/value head.
            let kv_head = i / (heads / kv_heads);
            let keys: Vec<_> = stream.keys[index].iter().map(|at| &at[kv_head]).collect();
            let values: Vec<_> = stream.values[index].iter().map(|at| &at[kv_head]).collect();
            output.extend(self.attend(query, &keys, &values));
        }
        output
    }

    /// The output of one query head: [`head_dim`]. `keys` and `values` hold all positions so far;
    /// the query is at the last one.
    fn attend(&self, query: &[f32], keys: &[&Quantised], values: &[&Quantised]) -> Vec<f32> {
        let Config { window, sinks, .. } = self.config;
        // The query sees the last `window` positions and the sinks, the first positions of the
        // stream. For sinks that have left the window its position stops at window + sinks - 1, the
        // first at which all of them have left, so that no distance grows without bound.
        let position = keys.len() - 1;
        let first = (position + 1).saturating_sub(window);
        let visible: Vec<usize> = (0..sinks.min(first)).chain(first..=position).collect();
        let at_position = self.scaled_query(query, position);
        let at_sinks = self.scaled_query(query, position.min((window + sinks).saturating_sub(1)));

        // Scores: t_j = query . key_j * log2(e) / sqrt(head_dim).
        let mut t = Vec::new();
        for &j in &visible {
            let query = if j < first { &at_sinks } else { &at_position };
            t.push(dot(query, &keys[j].levels) * keys[j].scale);
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

    /// Rotary embedding: turns each pair (j, j + `head_dim` / 2) of a head by `position * step_j`.
    /// The product wraps at 2^64, which is a full turn.
    fn rotate(&self, head: &[f32], position: usize) -> Vec<f32> {
        let (a, b) = head.split_at(head.len() / 2);
        let mut rotated = vec![0.0; head.len()];
        for (j, step) in self.rotary_steps.iter().enumerate() {
            let (cos, sin) = cos_sin((position as u64).wrapping_mul(*step));
            rotated[j] = a[j] * cos - b[j] * sin;
            rotated[a.len() + j] = b[j] * cos + a[j] * sin;
        }
        rotated
    }

    /// A query rotated to `position` and quantised in groups; its scales include the factor
    /// log2(e) / `sqrt(head_dim)` of the scores.
    fn scaled_query(&self, query: &[f32], position: usize) -> Vec<Quantised> {
        let mut groups = quantise_groups(&self.rotate(query, position));
        for group in &mut groups {
            group.scale *= LOG2_E / (query.len() as f32).sqrt();
        }
        groups
    }
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

    /// The product with x, [columns], after quantising x in groups (section 4): [rows].
    fn times(&self, x: &[f32]) -> Vec<f32> {
        let x = quantise_groups(x);
        let mut y = Vec::new();
        for (row, scale) in self.scales.iter().enumerate() {
            let levels = &self.levels[row * self.columns..][..self.columns];
            y.push(dot(&x, levels) * scale);
        }
        if !self.bias.is_empty() {
            add(&mut y, &self.bias);
        }
        y
    }
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

/// Root-mean-square norm (section 5): `x / sqrt(mean(x^2) + eps) * weight`.
fn norm(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    // The order of this float sum is part of the result: element i goes to stripe i mod 16, then
    // the upper half of the stripes is added to the lower half until one is left.
    let mut stripes = [0.0f32; 16];
    for (i, x) in x.iter().enumerate() {
        stripes[i % 16] += x * x;
    }
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            stripes[i] += stripes[i + half];
        }
    }
    let inverse = 1.0 / (stripes[0] / x.len() as f32 + eps).sqrt();
    x.iter()
        .zip(weight)
        .map(|(x, weight)| (x * inverse) * weight)
        .collect()
}

/// `silu(gate) * up` (section 5), clamped to +-2^60 so that every later product is finite.
fn gated(gate: &[f32], up: &[f32]) -> Vec<f32> {
    let limit = f32::from_bits(0x5d80_0000);
    let value = |gate: f32, up: f32| (gate * sigmoid(gate)) * up;
    let clamped = |(gate, up): (&f32, &f32)| min(max(value(*gate, *up), -limit), limit);
    gate.iter().zip(up).map(clamped).collect()
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
        self.keys[0].len()
    }

    /// Forgets every token from `position` on.
    pub fn truncate(&mut self, position: usize) {
        for layer in self.keys.iter_mut().chain(&mut self.values) {
            layer.truncate(position);
        }
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
        let vector = |name: &str| model.floats(name).map(<[f32]>::to_vec);
        let mut layers = Vec::new();
        for layer in 0..config.layers {
            let name = |part: &str| format!("layer.{layer}.{part}");
            let mut head_norms = None;
            if config.qk_norm {
                let q_norm = vector(&name("q_norm.weight"))?;
                head_norms = Some((q_norm, vector(&name("k_norm.weight"))?));
            }
            layers.push(Layer {
                attn_norm: vector(&name("attn_norm.weight"))?,
                qkv: matrix(&name("qkv"))?,
                head_norms,
                out: matrix(&name("out"))?,
                ffn_norm: vector(&name("ffn_norm.weight"))?,
                gate_up: matrix(&name("gate_up"))?,
                down: matrix(&name("down"))?,
            });
        }
        // A tied head is the first `vocab` rows of the embedding; `times` goes by the scales.
        let mut head = matrix(if config.tied { "embed" } else { "head" })?;
        head.scales.truncate(config.vocab);
        Ok(Reference {
            embedding: matrix("embed")?,
            layers,
            final_norm: vector("final_norm.weight")?,
            head,
            rotary_steps: model.rope_steps(),
            config,
        })
    }

    /// A stream to which no token has been fed.
    pub fn new_stream(&self) -> Stream {
        Stream {
            keys: vec![Vec::new(); self.config.layers],
            values: vec![Vec::new(); self.config.layers],
        }
    }
}

impl Matrix {
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
