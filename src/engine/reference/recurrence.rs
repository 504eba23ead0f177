//! The recurrence that some layers have in place of attention (section 10 of `docs/NUMERICS.md`):
//! the gated delta rule behind a short convolution.
//!
//! Square brackets give shapes, in the fields of [`Recurrent`]. The *channels* are the query heads,
//! then the key heads, then the value heads.

use super::operations::{clamped, rms_norm, striped_sum};
use crate::arch::block::Recurrent;
use crate::numerics::{LOG2_E, exp2_or_zero, sigmoid, softplus};
use crate::packed::{PackedError, PackedModel};

/// Added to the sum of squares of a query or key.
const NORM_EPS: f32 = 1e-6;

/// The weights of a recurrence between its two projections.
#[derive(Debug)]
pub(super) struct Recurrence {
    shape: Recurrent,
    /// The weights of each channel, the present position last: [channels, taps].
    conv: Vec<f32>,
    /// [`value_heads`]
    rate: Vec<f32>,
    /// [`value_heads`]
    shift: Vec<f32>,
    /// [`value_dim`]
    norm: Vec<f32>,
}

/// What is kept behind one position.
#[derive(Clone, Debug)]
pub(super) struct RecurrentState {
    /// The channels at this position, before the convolution.
    channels: Vec<f32>,
    /// One matrix for each value head: [`value_heads`][`key_dim`][`value_dim`].
    heads: Vec<Vec<Vec<f32>>>,
}

impl Recurrence {
    pub(super) fn new(
        model: &PackedModel,
        shape: &Recurrent,
        layer: usize,
    ) -> Result<Recurrence, PackedError> {
        let name = |part: &str| format!("layer.{layer}.recurrent_{part}");
        let floats = |part: &str| {
            let values = model.floats(&name(&format!("{part}.weight")));
            values.map(<[f32]>::to_vec)
        };
        Ok(Recurrence {
            shape: shape.clone(),
            conv: floats("conv")?,
            rate: floats("rate")?,
            shift: floats("shift")?,
            norm: floats("norm")?,
        })
    }

    /// The outputs of all value heads at the next position, [`value_heads` * `value_dim`], whose
    /// projection gave `inputs`: the channels, then a number for the rate of learning of each value
    /// head, then one for its decay, then the gates of all values. `states` has those behind all
    /// positions before, and gets that behind this one.
    pub(super) fn step(
        &self,
        inputs: &[f32],
        states: &mut Vec<RecurrentState>,
        norm_eps: f32,
    ) -> Vec<f32> {
        let Recurrent {
            key_heads,
            value_heads,
            key_dim,
            value_dim,
            ..
        } = self.shape;
        let (channels, rest) = inputs.split_at(self.shape.channels());
        let (learning, rest) = rest.split_at(value_heads);
        let (decay, gates) = rest.split_at(value_heads);
        let convolved = self.convolved(channels, states);
        let (queries, rest) = convolved.split_at(key_heads * key_dim);
        let (keys, values) = rest.split_at(key_heads * key_dim);

        let mut heads = match states.last() {
            Some(state) => state.heads.clone(),
            None => vec![vec![vec![0.0; value_dim]; key_dim]; value_heads],
        };
        let mut output = Vec::new();
        for (h, state) in heads.iter_mut().enumerate() {
            // value_heads / key_heads value heads use one query and key head.
            let key_head = h / (value_heads / key_heads);
            let factor = 1.0 / (key_dim as f32).sqrt();
            let query = unit(&queries[key_head * key_dim..][..key_dim]);
            let query: Vec<f32> = query.iter().map(|q| q * factor).collect();
            let key = unit(&keys[key_head * key_dim..][..key_dim]);
            let value = &values[h * value_dim..][..value_dim];
            let kept = (self.rate[h] * -LOG2_E) * softplus(decay[h] + self.shift[h]);
            let learned = sigmoid(learning[h]);
            let given = delta_rule(state, &query, &key, value, exp2_or_zero(kept), learned);

            let normed = rms_norm(&given, &self.norm, norm_eps);
            for (y, z) in normed.iter().zip(&gates[h * value_dim..]) {
                output.push(y * (z * sigmoid(*z)));
            }
        }
        states.push(RecurrentState {
            channels: channels.to_vec(),
            heads,
        });
        output
    }

    /// Each channel convolved with its values at the positions before, then z * sigmoid(z).
    fn convolved(&self, channels: &[f32], states: &[RecurrentState]) -> Vec<f32> {
        let taps = self.shape.taps;
        let mut convolved = Vec::new();
        for (i, weights) in self.conv.chunks(taps).enumerate() {
            let mut sum = 0.0;
            for (tap, weight) in weights.iter().enumerate() {
                // Positions before the stream are 0.
                let back = taps - 1 - tap;
                let value = match (back, states.len().checked_sub(back)) {
                    (0, _) => channels[i],
                    (_, Some(position)) => states[position].channels[i],
                    (_, None) => 0.0,
                };
                sum += value * weight;
            }
            convolved.push(sum * sigmoid(sum));
        }
        convolved
    }
}

/// One step of the gated delta rule: `state`, [`key_dim`][`value_dim`], decays by `kept`; what it
/// then gives for the key moves towards `value` by the share `learned`. Returns what it then gives
/// for the query: [`value_dim`].
fn delta_rule(
    state: &mut [Vec<f32>],
    query: &[f32],
    key: &[f32],
    value: &[f32],
    kept: f32,
    learned: f32,
) -> Vec<f32> {
    let mut found = vec![0.0; value.len()];
    for (row, k) in state.iter_mut().zip(key) {
        for (cell, found) in row.iter_mut().zip(&mut found) {
            *cell *= kept;
            *found += *cell * k;
        }
    }
    let missing = value.iter().zip(&found);
    let step: Vec<f32> = missing
        .map(|(value, found)| clamped((value - found) * learned))
        .collect();
    let mut given = vec![0.0; value.len()];
    for ((row, k), q) in state.iter_mut().zip(key).zip(query) {
        for ((cell, step), given) in row.iter_mut().zip(&step).zip(&mut given) {
            *cell += k * step;
            *given += *cell * q;
        }
    }
    given
}

/// A query or key of length 1.
fn unit(x: &[f32]) -> Vec<f32> {
    let squares = striped_sum(x.iter().map(|x| x * x));
    let inverse = 1.0 / (squares + NORM_EPS).sqrt();
    x.iter().map(|x| x * inverse).collect()
}
