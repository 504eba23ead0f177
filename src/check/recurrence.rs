//! The recurrence that some layers have in place of attention, in plain f32.

use crate::arch::block::Recurrent;

/// Added to the sum of squares of a query or key.
const NORM_EPS: f32 = 1e-6;

/// The weights of a recurrence between its two projections.
#[derive(Debug)]
pub(super) struct Recurrence {
    pub(super) conv: Vec<f32>,
    pub(super) rate: Vec<f32>,
    pub(super) shift: Vec<f32>,
    pub(super) norm: Vec<f32>,
}

/// What a recurrence keeps of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct RecurrentState {
    /// The channels at the last positions, one fewer than the convolution sees.
    before: Vec<Vec<f32>>,
    /// Of each value head: `key_dim` rows of `value_dim`.
    heads: Vec<Vec<f32>>,
}

impl RecurrentState {
    /// The state of a stream of no tokens.
    pub(super) fn new(shape: &Recurrent) -> RecurrentState {
        RecurrentState {
            before: vec![vec![0.0; shape.channels()]; shape.taps - 1],
            heads: vec![vec![0.0; shape.key_dim * shape.value_dim]; shape.value_heads],
        }
    }
}

impl Recurrence {
    /// What the value heads give for each row of `inputs`.
    pub(super) fn run(
        &self,
        shape: &Recurrent,
        state: &mut RecurrentState,
        inputs: &[f32],
        eps: f32,
    ) -> Vec<f32> {
        let (dim, width) = (shape.key_dim, shape.value_dim);
        let keys = shape.key_heads * dim;
        let mut out = Vec::with_capacity(inputs.len() / shape.rows() * shape.values());
        for row in inputs.chunks_exact(shape.rows()) {
            let (channels, rest) = row.split_at(shape.channels());
            state.before.push(channels.to_vec());
            let convolved = self.convolve(shape.taps, &state.before);
            state.before.remove(0);
            for (head, cells) in state.heads.iter_mut().enumerate() {
                let key_head = head / (shape.value_heads / shape.key_heads);
                let mut query = unit(&convolved[key_head * dim..][..dim]);
                let scale = (dim as f32).sqrt();
                query.iter_mut().for_each(|q| *q /= scale);
                let key = unit(&convolved[keys + key_head * dim..][..dim]);
                let value = &convolved[2 * keys + head * width..][..width];
                let decay = rest[shape.value_heads + head] + self.shift[head];
                let softplus = decay.max(0.0) + (-decay.abs()).exp().ln_1p();
                let kept = (-self.rate[head] * softplus).exp();
                let learned = 1.0 / (1.0 + (-rest[head]).exp());
                let given = delta_rule(cells, &query, &key, value, kept, learned);
                let gates = &rest[2 * shape.value_heads + head * width..];
                let mean = given.iter().map(|y| y * y).sum::<f32>() / width as f32;
                let inverse = 1.0 / (mean + eps).sqrt();
                let gated = given.iter().zip(&self.norm).zip(gates);
                out.extend(gated.map(|((y, w), z)| y * inverse * w * (z / (1.0 + (-z).exp()))));
            }
        }
        out
    }

    /// The channels at the last of `rows`, convolved, then times their sigmoid.
    fn convolve(&self, taps: usize, rows: &[Vec<f32>]) -> Vec<f32> {
        let channel = |(channel, weights): (usize, &[f32])| {
            let products = weights.iter().zip(rows).map(|(w, row)| w * row[channel]);
            let sum: f32 = products.sum();
            sum / (1.0 + (-sum).exp())
        };
        self.conv
            .chunks_exact(taps)
            .enumerate()
            .map(channel)
            .collect()
    }
}

/// One step of the gated delta rule; gives what the new state has for the query.
fn delta_rule(
    cells: &mut [f32],
    query: &[f32],
    key: &[f32],
    value: &[f32],
    kept: f32,
    learned: f32,
) -> Vec<f32> {
    let width = value.len();
    let mut missing = value.to_vec();
    for (row, k) in cells.chunks_exact_mut(width).zip(key) {
        for (cell, missing) in row.iter_mut().zip(&mut missing) {
            *cell *= kept;
            *missing -= *cell * k;
        }
    }
    let mut given = vec![0.0; width];
    for ((row, k), q) in cells.chunks_exact_mut(width).zip(key).zip(query) {
        for ((cell, missing), given) in row.iter_mut().zip(&missing).zip(&mut given) {
            *cell += k * (missing * learned);
            *given += *cell * q;
        }
    }
    given
}

/// A query or key of length 1.
fn unit(x: &[f32]) -> Vec<f32> {
    let squares: f32 = x.iter().map(|x| x * x).sum();
    let inverse = 1.0 / (squares + NORM_EPS).sqrt();
    x.iter().map(|x| x * inverse).collect()
}
