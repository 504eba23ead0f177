//! AVX2: bytes are multiplied as magnitude times signed value, which cannot saturate because -128 never occurs.

#![allow(
    clippy::needless_range_loop,
    reason = "registers of several arrays are walked side by side"
)]

use std::arch::x86_64::*;
use std::ops::Range;

use super::{LANES, LINE, LINES_PER_GROUP, Product, Values, instantiate};

instantiate!("avx2,sse4.1");

/// Rows multiplied with one tile at a time.
const ROWS: usize = 4;
/// Registers that hold one line of a tile.
const HALVES: usize = 2;

/// The product of the reference.
///
/// # Safety
/// `p.check` has passed, `tiles` are among its tiles, `out` is its output and no other thread touches these columns.
#[target_feature(enable = "avx2")]
pub unsafe fn product(p: &Product<'_>, tiles: Range<usize>, out: *mut f32) {
    let rows = p.rows.count;
    let blocks = rows.div_ceil(ROWS);
    for tile in tiles {
        for index in 0..blocks {
            let (row, end) = (rows * index / blocks, rows * (index + 1) / blocks);
            // SAFETY: passed on from the caller; the rows are in range.
            unsafe {
                match end - row {
                    1 => block::<1>(p, row, tile, out),
                    2 => block::<2>(p, row, tile, out),
                    3 => block::<3>(p, row, tile, out),
                    _ => block::<4>(p, row, tile, out),
                }
            }
        }
    }
}

/// `R` rows times one tile.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn block<const R: usize>(p: &Product<'_>, row: usize, tile: usize, out: *mut f32) {
    let x = p.rows;
    // SAFETY: all reads are inside the slices that `p.check` has measured, all writes inside the caller's columns.
    unsafe {
        let weights = p.tiles.as_ptr().add(tile * p.lines * LINE);
        let levels: [*const i8; R] =
            std::array::from_fn(|r| x.levels.as_ptr().add((row + r) * x.width));
        let (offset, ones) = (_mm256_set1_epi8(-128), _mm256_set1_epi16(1));
        let mut sums = [[_mm256_setzero_ps(); HALVES]; R];
        for group in 0..x.groups {
            let first = group * LINES_PER_GROUP;
            let mut exact = [[_mm256_setzero_si256(); HALVES]; R];
            for line in first..p.lines.min(first + LINES_PER_GROUP) {
                for half in 0..HALVES {
                    let stored =
                        _mm256_loadu_si256(weights.add(line * LINE + half * LINE / HALVES).cast());
                    let w = _mm256_xor_si256(stored, offset);
                    let magnitude = _mm256_abs_epi8(w);
                    for r in 0..R {
                        let x = _mm256_set1_epi32(
                            levels[r].add(line * 4).cast::<i32>().read_unaligned(),
                        );
                        let pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(x, w));
                        exact[r][half] =
                            _mm256_add_epi32(exact[r][half], _mm256_madd_epi16(pairs, ones));
                    }
                }
            }
            for r in 0..R {
                let scale = _mm256_set1_ps(*x.scales.as_ptr().add((row + r) * x.groups + group));
                for half in 0..HALVES {
                    let product = _mm256_mul_ps(_mm256_cvtepi32_ps(exact[r][half]), scale);
                    sums[r][half] = _mm256_add_ps(sums[r][half], product);
                }
            }
        }
        for half in 0..HALVES {
            let column = tile * LANES + half * LANES / HALVES;
            let scale = _mm256_loadu_ps(p.scales.as_ptr().add(column));
            let bias = p
                .bias
                .map(|bias| _mm256_loadu_ps(bias.as_ptr().add(column)));
            for r in 0..R {
                let mut value = _mm256_mul_ps(sums[r][half], scale);
                if let Some(bias) = bias {
                    value = _mm256_add_ps(value, bias);
                }
                _mm256_storeu_ps(out.add((row + r) * p.stride + column), value);
            }
        }
    }
}

/// The weighted values of the reference.
///
/// # Safety
/// `v.check` has passed for `sums`.
#[target_feature(enable = "avx2")]
pub unsafe fn values(v: &Values<'_>, sums: &mut [i32]) {
    for query in 0..v.queries {
        let mut dimension = 0;
        while dimension < v.width {
            let wide = v.width - dimension >= 32;
            // SAFETY: passed on from the caller; queries and dimensions are in range.
            unsafe {
                if wide {
                    values_block::<4>(v, query, dimension, sums);
                } else {
                    values_block::<2>(v, query, dimension, sums);
                }
            }
            dimension += if wide { 32 } else { 16 };
        }
    }
}

/// One query, `D` times 8 dimensions.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn values_block<const D: usize>(
    v: &Values<'_>,
    query: usize,
    dimension: usize,
    sums: &mut [i32],
) {
    // SAFETY: all accesses are inside the slices that `v.check` has measured.
    unsafe {
        let high = v.high.as_ptr().add(query * v.stride + v.offset);
        let low = v.low.as_ptr().add(query * v.stride + v.offset);
        let values = v.values.as_ptr().add(dimension * 4);
        let ones = _mm256_set1_epi16(1);
        let mut upper = [_mm256_setzero_si256(); D];
        let mut lower = [_mm256_setzero_si256(); D];
        for quad in 0..v.values.len() / (v.width * 4) {
            let high = _mm256_set1_epi32(high.add(quad * 4).cast::<i32>().read_unaligned());
            let low = _mm256_set1_epi32(low.add(quad * 4).cast::<i32>().read_unaligned());
            for d in 0..D {
                let levels = _mm256_loadu_si256(values.add(quad * v.width * 4 + d * 32).cast());
                // Weights are below 128, so a pair is at most 2 * 127 * 127 and does not saturate.
                let pairs = _mm256_maddubs_epi16(high, levels);
                upper[d] = _mm256_add_epi32(upper[d], _mm256_madd_epi16(pairs, ones));
                let pairs = _mm256_maddubs_epi16(low, levels);
                lower[d] = _mm256_add_epi32(lower[d], _mm256_madd_epi16(pairs, ones));
            }
        }
        for d in 0..D {
            let sum = sums.as_mut_ptr().add(query * v.width + dimension + d * 8);
            let before = _mm256_loadu_si256(sum.cast_const().cast());
            let both = _mm256_add_epi32(_mm256_slli_epi32::<7>(upper[d]), lower[d]);
            _mm256_storeu_si256(sum.cast(), _mm256_add_epi32(before, both));
        }
    }
}
