//! Operations of both the pass and the recurrence.

use crate::numerics::{max, min};

/// Root-mean-square norm (section 5): `x / sqrt(mean(x^2) + eps) * weight`.
pub(super) fn rms_norm(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    let squares = striped_sum(x.iter().map(|x| x * x));
    let inverse = 1.0 / (squares / x.len() as f32 + eps).sqrt();
    x.iter()
        .zip(weight)
        .map(|(x, weight)| (x * inverse) * weight)
        .collect()
}

/// A float sum whose order is part of the result (section 1): value i goes to stripe i mod 16, then
/// the upper half of the stripes is added to the lower half until one is left.
pub(super) fn striped_sum(values: impl Iterator<Item = f32>) -> f32 {
    let mut stripes = [0.0f32; 16];
    for (i, value) in values.enumerate() {
        stripes[i % 16] += value;
    }
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            stripes[i] += stripes[i + half];
        }
    }
    stripes[0]
}

/// Clamps to +-2^60, so that every later product is finite.
pub(super) fn clamped(x: f32) -> f32 {
    let limit = f32::from_bits(0x5d80_0000);
    min(max(x, -limit), limit)
}
