//! The operations of numerics v1 in plain Rust: what every other kernel set must equal, bit for
//! bit.
//!
//! Element-wise operations and those over 16 stripes are inlined into the other sets and compiled
//! again for their instructions; IEEE arithmetic gives the same results there. The other sets have
//! their own code for integer products, whose results are exact in any order.
//!
//! Sizes are checked by the callers in [`super`].

#![allow(
    clippy::needless_range_loop,
    reason = "lanes of several arrays are walked side by side"
)]

use super::operands::{LANES, LINES_PER_GROUP, Product, Values};
use crate::arch::block::Activation;
use crate::arch::config::GROUP;
use crate::numerics::{self, LOG2_E, TINY};

/// Score of a key that a query must not see.
pub const MASKED: f32 = -1e30;
/// Largest magnitude that leaves the gated unit; keeps every later product finite.
const GATED_LIMIT: f32 = f32::from_bits(0x5d80_0000); // 2^60
/// The root of that.
const ROOT_LIMIT: f32 = 1_073_741_824.0; // 2^30
/// Fraction bits of the exponentials in the denominator of a softmax.
const SUM_BITS: u32 = 22;
/// Chunks after which the 32-bit sums of a softmax are emptied into 64 bits: 512 * 2^22 < 2^32.
const SUM_CHUNKS: usize = 512;
/// Logits are clamped to this many units of 2^-16 bit on either side.
const LOGIT_LIMIT: f32 = 536_870_912.0; // 2^29

/// Joins 16 stripes pairwise, in halves: l with l + 8, then l + 4, l + 2, l + 1.
#[inline(always)]
fn join(lanes: [f32; LANES], both: impl Fn(f32, f32) -> f32) -> f32 {
    let lanes: [f32; 8] = std::array::from_fn(|lane| both(lanes[lane], lanes[lane + 8]));
    let lanes: [f32; 4] = std::array::from_fn(|lane| both(lanes[lane], lanes[lane + 4]));
    let lanes: [f32; 2] = std::array::from_fn(|lane| both(lanes[lane], lanes[lane + 2]));
    both(lanes[0], lanes[1])
}

#[inline(always)]
fn tree_sum(lanes: [f32; LANES]) -> f32 {
    join(lanes, |a, b| a + b)
}

#[inline(always)]
fn tree_max(lanes: [f32; LANES]) -> f32 {
    // Otherwise the compiler computes the lanes in the pairs in which they are joined, two in a
    // register, from the first value on.
    join(std::hint::black_box(lanes), numerics::max)
}

/// `out = x / sqrt(mean(x^2) + eps) * weight`; element i belongs to stripe i mod 16.
#[inline(always)]
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let inverse = inverse_root_mean_square(x, eps);
    for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
        *out = (x * inverse) * weight;
    }
}

/// `out = d / sqrt(mean(d^2) + eps) * weight + bias`, with `d = x - mean(x)`.
#[inline(always)]
pub fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
    let mean = striped_sum(x, |x| x) / x.len() as f32;
    for (out, x) in out.iter_mut().zip(x) {
        *out = x - mean;
    }
    let inverse = inverse_root_mean_square(out, eps);
    for ((out, weight), bias) in out.iter_mut().zip(weight).zip(bias) {
        *out = (*out * inverse) * weight + bias;
    }
}

#[inline(always)]
fn inverse_root_mean_square(x: &[f32], eps: f32) -> f32 {
    let mean = striped_sum(x, |x| x * x) / x.len() as f32;
    1.0 / (mean + eps).sqrt()
}

#[inline(always)]
pub(super) fn striped_sum(x: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += term(chunk[lane]);
        }
    }
    for (lane, value) in rest.iter().enumerate() {
        sums[lane] += term(*value);
    }
    tree_sum(sums)
}

/// `out[n]` is the striped sum of `x * w[n]`.
#[inline(always)]
pub fn striped_products(x: &[f32], w: &[f32], out: &mut [f32]) {
    for (out, w) in out.iter_mut().zip(w.chunks_exact(x.len().max(1))) {
        let mut sums = [0.0; LANES];
        let ((x, x_rest), (w, w_rest)) = (x.as_chunks::<LANES>(), w.as_chunks::<LANES>());
        for (x, w) in x.iter().zip(w) {
            for lane in 0..LANES {
                sums[lane] += x[lane] * w[lane];
            }
        }
        for ((sum, x), w) in sums.iter_mut().zip(x_rest).zip(w_rest) {
            *sum += x * w;
        }
        *out = tree_sum(sums);
    }
}

/// Quantises one group of up to 64 activations: returns the scale; `levels` has the length of `x`.
#[inline(always)]
fn quantize_group(x: &[f32; GROUP], levels: &mut [i8; GROUP]) -> (f32, i32) {
    let mut largest = [0.0; LANES];
    for chunk in x.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            largest[lane] = numerics::max(chunk[lane].abs(), largest[lane]);
        }
    }
    let amax = tree_max(largest);
    if amax < TINY {
        *levels = [0; GROUP];
        return (0.0, 0);
    }
    let inverse = 127.0 / amax;
    let mut sum = 0;
    for (level, x) in levels.iter_mut().zip(x) {
        let rounded = numerics::round(numerics::min(numerics::max(x * inverse, -127.0), 127.0));
        sum += rounded;
        *level = rounded as i8;
    }
    (amax * (1.0 / 127.0), sum)
}

/// What quantisation in groups of 64 has lost: `x` minus the value of its level.
#[inline(always)]
pub fn left_over(x: &[f32], levels: &[i8], scales: &[f32], out: &mut [f32]) {
    let groups = x.chunks(GROUP).zip(levels.chunks(GROUP)).zip(scales);
    for (((x, levels), scale), out) in groups.zip(out.chunks_mut(GROUP)) {
        for ((x, level), out) in x.iter().zip(levels).zip(out) {
            *out = x - f32::from(*level) * scale;
        }
    }
}

/// Quantises a row in groups of 64: levels (zero beyond the row), one scale a group, and -128 times
/// the sum of the group's levels, which undoes the +128 of stored weights.
#[inline(always)]
pub fn quantize(x: &[f32], levels: &mut [i8], scales: &mut [f32], corrections: &mut [i32]) {
    let (groups, rest) = x.as_chunks::<GROUP>();
    let mut buffer = [0; GROUP];
    for (index, group) in groups.iter().enumerate() {
        let (scale, sum) = quantize_group(group, &mut buffer);
        levels[index * GROUP..][..GROUP].copy_from_slice(&buffer);
        (scales[index], corrections[index]) = (scale, -128 * sum);
    }
    if !rest.is_empty() {
        let mut group = [0.0; GROUP];
        group[..rest.len()].copy_from_slice(rest);
        let (scale, sum) = quantize_group(&group, &mut buffer);
        let (index, tail) = (groups.len(), &mut levels[groups.len() * GROUP..]);
        let len = tail.len();
        tail.copy_from_slice(&buffer[..len]);
        (scales[index], corrections[index]) = (scale, -128 * sum);
    }
}

/// Quantises all of `x`, whatever its length, with one scale, which is returned.
#[inline(always)]
pub fn quantize_whole(x: &[f32], levels: &mut [i8]) -> f32 {
    let mut largest = [0.0; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            largest[lane] = numerics::max(chunk[lane].abs(), largest[lane]);
        }
    }
    for (lane, value) in rest.iter().enumerate() {
        largest[lane] = numerics::max(value.abs(), largest[lane]);
    }
    let amax = tree_max(largest);
    if amax < TINY {
        levels.fill(0);
        return 0.0;
    }
    let inverse = 127.0 / amax;
    for (level, x) in levels.iter_mut().zip(x) {
        *level = numerics::round(numerics::min(numerics::max(x * inverse, -127.0), 127.0)) as i8;
    }
    amax * (1.0 / 127.0)
}

/// The product of quantised rows with tiled weights; see [`Product`] for the definition.
///
/// # Safety
/// `p.check` has passed, `tiles` are among its tiles, `out` is its output and no other thread
/// touches these columns.
pub unsafe fn product(p: &Product<'_>, tiles: std::ops::Range<usize>, out: *mut f32) {
    for row in 0..p.rows.count {
        for tile in tiles.clone() {
            let mut sums = [0.0f32; LANES];
            for group in 0..p.rows.groups {
                let first = group * LINES_PER_GROUP;
                let mut exact = [p.rows.corrections[row * p.rows.groups + group]; LANES];
                for line in first..p.lines.min(first + LINES_PER_GROUP) {
                    let weights = &p.tiles[(tile * p.lines + line) * 64..][..64];
                    let x = &p.rows.levels[row * p.rows.width + line * 4..][..4];
                    for lane in 0..LANES {
                        for k in 0..4 {
                            exact[lane] += i32::from(weights[lane * 4 + k]) * i32::from(x[k]);
                        }
                    }
                }
                let scale = p.rows.scales[row * p.rows.groups + group];
                for lane in 0..LANES {
                    sums[lane] += exact[lane] as f32 * scale;
                }
            }
            for lane in 0..LANES {
                let column = tile * LANES + lane;
                let mut value = sums[lane] * p.scales[column];
                if let Some(bias) = p.bias {
                    value += bias[column];
                }
                // SAFETY: the caller promises that this element exists and that nobody else touches
                // it.
                unsafe { *out.add(row * p.stride + column) = value };
            }
        }
    }
}

/// `out = f(gate) * up`, or `f(gate)` if `up` is empty, clamped to 2^60.
#[inline(always)]
pub fn activate(kind: Activation, gate: &[f32], up: &[f32], out: &mut [f32]) {
    match kind {
        Activation::Silu => gated(gate, up, out, |x| x * numerics::sigmoid(x)),
        Activation::Gelu => gated(gate, up, out, numerics::gelu),
        Activation::GeluTanh => gated(gate, up, out, numerics::gelu_tanh),
        Activation::Relu => gated(gate, up, out, |x| numerics::max(x, 0.0)),
        Activation::ReluSquared => gated(gate, up, out, |x| {
            let positive = numerics::min(numerics::max(x, 0.0), ROOT_LIMIT);
            positive * positive
        }),
    }
}

#[inline(always)]
fn gated(gate: &[f32], up: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32) {
    let clamped = |x| numerics::min(numerics::max(x, -GATED_LIMIT), GATED_LIMIT);
    if up.is_empty() {
        for (out, gate) in out.iter_mut().zip(gate) {
            *out = clamped(f(*gate));
        }
    } else {
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = clamped(f(*gate) * up);
        }
    }
}

/// `x = cap * tanh(x / cap)`.
#[inline(always)]
pub fn soft_cap(x: &mut [f32], cap: f32) {
    for x in x {
        *x = numerics::soft_cap(*x, cap);
    }
}

/// `x += y`.
#[inline(always)]
pub fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// `x += factor * y`, with the product rounded first.
#[inline(always)]
pub fn add_times(x: &mut [f32], factor: f32, y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += factor * y;
    }
}

/// Rotates the pairs (i, i + half) of one head by the angles whose cosines and sines are given.
#[inline(always)]
pub fn rotate(head: &[f32], cos: &[f32], sin: &[f32], out: &mut [f32]) {
    let (a, b) = head.split_at(cos.len());
    let (out_a, out_b) = out.split_at_mut(cos.len());
    for i in 0..cos.len() {
        out_a[i] = a[i] * cos[i] - b[i] * sin[i];
        out_b[i] = b[i] * cos[i] + a[i] * sin[i];
    }
}

/// Turns one query's scores, in log2 units with [`MASKED`] for keys it must not see, into integer
/// weights of its values; returns the factor that turns the weighted sum of integer values into the
/// attention's output.
///
/// `scores` is overwritten. With `e = 2^(score - max)` and `w = e * value_scale`, the weight is
/// `u = round(w * (top / wmax))`, split as `u = 128 high + low`.
#[inline(always)]
pub fn softmax(
    scores: &mut [f32],
    value_scales: &[f32],
    top: f32,
    high: &mut [u8],
    low: &mut [u8],
) -> f32 {
    let (chunks, _) = scores.as_chunks_mut::<LANES>();
    let (value_scales, _) = value_scales.as_chunks::<LANES>();
    let mut best = [MASKED; LANES];
    for chunk in chunks.iter() {
        for lane in 0..LANES {
            best[lane] = numerics::max(chunk[lane], best[lane]);
        }
    }
    let best = tree_max(best);

    let mut total = 0u64;
    let mut largest = [0.0; LANES];
    for (chunks, value_scales) in chunks
        .chunks_mut(SUM_CHUNKS)
        .zip(value_scales.chunks(SUM_CHUNKS))
    {
        let mut sums = [0u32; LANES];
        for (chunk, scales) in chunks.iter_mut().zip(value_scales) {
            for lane in 0..LANES {
                let e = numerics::exp2_or_zero(chunk[lane] - best);
                sums[lane] += numerics::round(e * (1u32 << SUM_BITS) as f32) as u32;
                let weight = e * scales[lane];
                largest[lane] = numerics::max(weight, largest[lane]);
                chunk[lane] = weight;
            }
        }
        total += sums.iter().map(|sum| u64::from(*sum)).sum::<u64>();
    }
    let largest = tree_max(largest);
    if largest < TINY {
        high.fill(0);
        low.fill(0);
        return 0.0;
    }
    let inverse = top / largest;
    let (high, _) = high.as_chunks_mut::<LANES>();
    let (low, _) = low.as_chunks_mut::<LANES>();
    for ((chunk, high), low) in chunks.iter().zip(high).zip(low) {
        for lane in 0..LANES {
            let weight = numerics::round(chunk[lane] * inverse);
            high[lane] = (weight >> 7) as u8;
            low[lane] = (weight & 127) as u8;
        }
    }
    (largest / top) / (total as f32 * (1.0 / (1u32 << SUM_BITS) as f32))
}

/// Adds the values of some positions, weighted, to exact sums; see [`Values`] for the layout.
pub fn values(v: &Values<'_>, sums: &mut [i32]) {
    for query in 0..v.queries {
        let high = &v.high[query * v.stride + v.offset..];
        let low = &v.low[query * v.stride + v.offset..];
        let sums = &mut sums[query * v.width..][..v.width];
        for (quad, values) in v.values.chunks_exact(v.width * 4).enumerate() {
            for (sum, values) in sums.iter_mut().zip(values.chunks_exact(4)) {
                for k in 0..4 {
                    let weight = i32::from(high[quad * 4 + k]) * 128 + i32::from(low[quad * 4 + k]);
                    *sum += weight * i32::from(values[k]);
                }
            }
        }
    }
}

/// Exact sums times a factor.
#[inline(always)]
pub fn scale_sums(sums: &[i32], factor: f32, out: &mut [f32]) {
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = *sum as f32 * factor;
    }
}

/// Logits in nats to units of 2^-16 bit, rounded to even, clamped to 2^29.
#[inline(always)]
pub fn logits(x: &[f32], out: &mut [i32]) {
    for (out, x) in out.iter_mut().zip(x) {
        let units = numerics::min(
            numerics::max(x * (LOG2_E * 65536.0), -LOGIT_LIMIT),
            LOGIT_LIMIT,
        );
        // SAFETY: not a NaN, which `max` replaces, and within the limit. `as` would also say what
        // becomes of others, and keep the loop from being vectorised.
        *out = unsafe { units.round_ties_even().to_int_unchecked() };
    }
}
