//! f32 products for the quality reference: fast, and free to differ in the last bits from machine to machine.

use super::LANES;

/// Rows and columns multiplied at a time.
const BLOCK: usize = 4;

/// `out[n][r] = x[r] . w[n]` for every row of x and w, both of `width` values.
#[inline(always)]
pub fn float_product(x: &[f32], w: &[f32], width: usize, out: &mut [f32]) {
    let rows = x.len() / width;
    for (n, w) in w.chunks(width * BLOCK).enumerate() {
        for (r, x) in x.chunks(width * BLOCK).enumerate() {
            let out = &mut out[n * BLOCK * rows + r * BLOCK..];
            if w.len() == width * BLOCK && x.len() == width * BLOCK {
                block::<BLOCK, BLOCK>(x, w, width, rows, out);
            } else {
                for (n, w) in w.chunks_exact(width).enumerate() {
                    for (r, x) in x.chunks_exact(width).enumerate() {
                        block::<1, 1>(x, w, width, rows, &mut out[n * rows + r..]);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn block<const R: usize, const N: usize>(
    x: &[f32],
    w: &[f32],
    width: usize,
    rows: usize,
    out: &mut [f32],
) {
    let x: [&[f32]; R] = std::array::from_fn(|r| &x[r * width..][..width]);
    let w: [&[f32]; N] = std::array::from_fn(|n| &w[n * width..][..width]);
    let mut sums = [[[0.0f32; LANES]; R]; N];
    for chunk in 0..width / LANES {
        let at = chunk * LANES;
        for (w, sums) in w.iter().zip(&mut sums) {
            let w: &[f32; LANES] = w[at..at + LANES].as_array().expect("sixteen values");
            for (x, sums) in x.iter().zip(sums) {
                let x: &[f32; LANES] = x[at..at + LANES].as_array().expect("sixteen values");
                for lane in 0..LANES {
                    sums[lane] += x[lane] * w[lane];
                }
            }
        }
    }
    let rest = width / LANES * LANES;
    for (n, (w, sums)) in w.iter().zip(&sums).enumerate() {
        for (r, (x, sums)) in x.iter().zip(sums).enumerate() {
            let tail: f32 = x[rest..].iter().zip(&w[rest..]).map(|(x, w)| x * w).sum();
            out[n * rows + r] = sums.iter().sum::<f32>() + tail;
        }
    }
}

/// `out += sum of weights[j] * values[j]`, each value as long as `out`.
#[inline(always)]
pub fn float_weighted(weights: &[f32], values: &[f32], out: &mut [f32]) {
    for (weight, value) in weights.iter().zip(values.chunks_exact(out.len())) {
        for (out, value) in out.iter_mut().zip(value) {
            *out += weight * value;
        }
    }
}
