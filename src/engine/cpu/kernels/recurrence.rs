//! The operations of a recurrence. As those of [`super::reference`], they are safe code that is
//! compiled for each instruction set. Their sums have the order of the document in each element of
//! a value, so they go over many elements at a time.

use super::reference::striped_sum;
use crate::numerics::{self, sigmoid};

/// Elements of a value that are computed together.
pub const WIDTH: usize = 32;

/// Added to the sum of squares of a query or key.
const NORM_EPS: f32 = 1e-6;
/// Largest magnitude of a step, which keeps every state finite.
const STEP_LIMIT: f32 = f32::from_bits(0x5d80_0000); // 2^60

/// Some columns of a step for several rows in turn: what `delta_rule` takes besides the state.
#[derive(Clone, Copy, Debug)]
pub struct DeltaRows<'a> {
    /// [rows, `key_dim`]
    pub keys: &'a [f32],
    /// [rows, `key_dim`]
    pub queries: &'a [f32],
    /// `[rows]`
    pub values: &'a [[f32; WIDTH]],
    /// What the state is multiplied by before each row: `[rows]`.
    pub kept: &'a [f32],
    /// The rate of learning: `[rows]`.
    pub learned: &'a [f32],
}

/// `out = z * sigmoid(z)`, with z the sum of `rows[tap] * weights[tap]` in the order of the taps.
#[inline(always)]
pub(super) fn convolve(rows: &[&[f32]], weights: &[&[f32]], out: &mut [f32]) {
    out.fill(0.0);
    for (row, weights) in rows.iter().zip(weights) {
        for ((out, x), w) in out.iter_mut().zip(*row).zip(*weights) {
            *out += x * w;
        }
    }
    for out in out {
        *out *= sigmoid(*out);
    }
}

/// `x = (x / sqrt(sum of x^2 + 1e-6)) * factor`
#[inline(always)]
pub(super) fn unit(x: &mut [f32], factor: f32) {
    let inverse = 1.0 / (striped_sum(x, |x| x * x) + NORM_EPS).sqrt();
    for x in x {
        *x = (*x * inverse) * factor;
    }
}

/// Runs the gated delta rule over rows: [`WIDTH`] columns of the state, [`key_dim`], decay; what
/// they then have for the key moves towards the value; `out` gets what they have for the query.
#[inline(always)]
pub(super) fn delta_rule(
    state: &mut [[f32; WIDTH]],
    rows: &DeltaRows<'_>,
    out: &mut [[f32; WIDTH]],
) {
    let dim = state.len();
    for (row, out) in out.iter_mut().enumerate() {
        let keys = &rows.keys[row * dim..][..dim];
        let queries = &rows.queries[row * dim..][..dim];
        let (kept, learned) = (rows.kept[row], rows.learned[row]);
        let mut found = [0.0; WIDTH];
        for (cells, key) in state.iter().zip(keys) {
            for lane in 0..WIDTH {
                found[lane] += (cells[lane] * kept) * key;
            }
        }
        let mut step = rows.values[row];
        for lane in 0..WIDTH {
            let wanted = (step[lane] - found[lane]) * learned;
            step[lane] = numerics::min(numerics::max(wanted, -STEP_LIMIT), STEP_LIMIT);
        }
        let mut given = [0.0; WIDTH];
        for ((cells, key), query) in state.iter_mut().zip(keys).zip(queries) {
            for lane in 0..WIDTH {
                let cell = cells[lane] * kept + key * step[lane];
                cells[lane] = cell;
                given[lane] += cell * query;
            }
        }
        *out = given;
    }
}

/// `x = x * (gate * sigmoid(gate))`
#[inline(always)]
pub(super) fn gate_silu(x: &mut [f32], gate: &[f32]) {
    for (x, gate) in x.iter_mut().zip(gate) {
        *x *= gate * sigmoid(*gate);
    }
}

/// `x = x * sigmoid(gate)`
#[inline(always)]
pub(super) fn gate_sigmoid(x: &mut [f32], gate: &[f32]) {
    for (x, gate) in x.iter_mut().zip(gate) {
        *x *= sigmoid(*gate);
    }
}
