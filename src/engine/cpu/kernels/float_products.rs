//! Fast f32 products for the quality reference. Their last bits may differ between machines.

use super::operands::LANES;

/// Rows of the second factor multiplied at a time, with one register of sums each.
const BLOCK: usize = 4;

/// `out[n][r] = x[r] . w[n]` for every row of x and w, both of `width` values.
#[inline(always)]
pub(super) fn float_product(x: &[f32], w: &[f32], width: usize, out: &mut [f32]) {
    let rows = x.len() / width;
    for (w, out) in w.chunks(width * BLOCK).zip(out.chunks_mut(rows * BLOCK)) {
        for (r, x) in x.chunks_exact(width).enumerate() {
            if w.len() == width * BLOCK {
                let products = four(x, std::array::from_fn(|n| &w[n * width..][..width]));
                for (n, product) in products.into_iter().enumerate() {
                    out[n * rows + r] = product;
                }
            } else {
                for (n, w) in w.chunks_exact(width).enumerate() {
                    out[n * rows + r] = four(x, [w; BLOCK])[0];
                }
            }
        }
    }
}

/// Four products with one vector. The sums have names, not places in an array, so that they stay in
/// registers.
#[inline(always)]
fn four(x: &[f32], w: [&[f32]; BLOCK]) -> [f32; BLOCK] {
    let (mut sum_a, mut sum_b, mut sum_c, mut sum_d) = (
        [0.0f32; LANES],
        [0.0f32; LANES],
        [0.0f32; LANES],
        [0.0f32; LANES],
    );
    let (chunks, rest) = x.as_chunks::<LANES>();
    let [(a, a_rest), (b, b_rest), (c, c_rest), (d, d_rest)] = w.map(|w| w.as_chunks::<LANES>());
    for ((((x, a), b), c), d) in chunks.iter().zip(a).zip(b).zip(c).zip(d) {
        for lane in 0..LANES {
            sum_a[lane] += x[lane] * a[lane];
            sum_b[lane] += x[lane] * b[lane];
            sum_c[lane] += x[lane] * c[lane];
            sum_d[lane] += x[lane] * d[lane];
        }
    }
    let total = |sums: [f32; LANES], tail: &[f32]| {
        sums.iter().sum::<f32>() + rest.iter().zip(tail).map(|(x, w)| x * w).sum::<f32>()
    };
    [
        total(sum_a, a_rest),
        total(sum_b, b_rest),
        total(sum_c, c_rest),
        total(sum_d, d_rest),
    ]
}

/// `out += sum of weights[j] * values[j]`, each value as long as `out`.
#[inline(always)]
pub(super) fn float_weighted(weights: &[f32], values: &[f32], out: &mut [f32]) {
    for (weight, value) in weights.iter().zip(values.chunks_exact(out.len())) {
        for (out, value) in out.iter_mut().zip(value) {
            *out += weight * value;
        }
    }
}
