//! AVX2: a product of bytes is computed as magnitude times signed value, which cannot saturate
//! because -128 never occurs.

#![allow(
    clippy::needless_range_loop,
    reason = "registers of several arrays are walked side by side"
)]

use std::arch::x86_64::*;
use std::ops::Range;

use super::operands::{LANES, LINE, LINES_PER_GROUP, Product, Values, shares};
use crate::machine::prefetch::{prefetch, prefetch_range};

/// Rows multiplied with one tile at a time.
const ROWS: usize = 4;
/// Cold tiles are prefetched this many lines ahead: 4 kB. The processor's own prefetching comes too
/// late: with it alone, a pass of seven streams waited for the memory before it computed the
/// products.
const LINES_AHEAD: usize = 64;
/// Registers that hold one line of a tile.
const HALVES: usize = 2;
/// Queries that weigh the same values at a time.
const QUERIES: usize = 4;
/// Groups of four positions whose values are weighed by all queries before the next groups: 16 kB
/// of values if heads are 64 wide, half of the nearest cache.
const QUADS: usize = 64;

/// The product of the reference.
///
/// # Safety
/// `p.check` has passed, `tiles` are among its tiles, `out` is its output and no other thread
/// touches these columns.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn product(p: &Product<'_>, tiles: Range<usize>, out: *mut f32) {
    for tile in tiles {
        for Range { start: row, end } in shares(p.rows.count, ROWS) {
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
    // SAFETY: all reads are inside the slices that `p.check` has measured, all writes inside the
    // caller's columns.
    unsafe {
        let weights = p.tiles.as_ptr().add(tile * p.lines * LINE);
        let levels: [*const i8; R] =
            std::array::from_fn(|r| x.levels.as_ptr().add((row + r) * x.width));
        let (offset, ones) = (_mm256_set1_epi8(-128), _mm256_set1_epi16(1));
        let mut sums = [[_mm256_setzero_ps(); HALVES]; R];
        for group in 0..x.groups {
            let first = group * LINES_PER_GROUP;
            // The rows that follow find in the caches what the first ones have asked for.
            if p.cold && row == 0 {
                let start = tile * p.lines + first + LINES_AHEAD;
                prefetch_range(p.tiles, start * LINE..(start + LINES_PER_GROUP) * LINE);
            }
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
pub(super) unsafe fn values(v: &Values<'_>, sums: &mut [i32]) {
    let quads = v.values.len() / (v.width * 4);
    for first in (0..quads).step_by(QUADS) {
        let quads = first..quads.min(first + QUADS);
        for queries in shares(v.queries, QUERIES) {
            let (query, count) = (queries.start, queries.len());
            let mut weights = [[0; QUADS * 4]; QUERIES];
            for (weights, query) in weights.iter_mut().zip(queries) {
                join_weights(v, query, &quads, weights);
            }
            for dimension in (0..v.width).step_by(LANES) {
                // SAFETY: passed on from the caller; quads, queries and dimensions are in range.
                unsafe {
                    match count {
                        1 => values_block::<1>(v, &quads, query, dimension, &weights, sums),
                        2 => values_block::<2>(v, &quads, query, dimension, &weights, sums),
                        3 => values_block::<3>(v, &quads, query, dimension, &weights, sums),
                        _ => values_block::<4>(v, &quads, query, dimension, &weights, sums),
                    }
                }
            }
        }
    }
}

/// The weights that `query` gives to the positions of `quads`: of every four, those at even places
/// before those at odd ones.
#[inline]
#[target_feature(enable = "avx2")]
fn join_weights(v: &Values<'_>, query: usize, quads: &Range<usize>, out: &mut [i16; QUADS * 4]) {
    let start = query * v.stride + v.offset;
    let places = start + quads.start * 4..start + quads.end * 4;
    let (high, low) = (&v.high[places.clone()], &v.low[places]);
    let (high, low) = (high.as_chunks::<LANES>().0, low.as_chunks::<LANES>().0);
    let out = out.as_chunks_mut::<LANES>().0;
    let apart = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15,
    ));
    for ((out, high), low) in out.iter_mut().zip(high).zip(low) {
        // SAFETY: 16 bytes each are read, 32 written.
        unsafe {
            let high = _mm256_cvtepu8_epi16(_mm_loadu_si128(high.as_ptr().cast()));
            let low = _mm256_cvtepu8_epi16(_mm_loadu_si128(low.as_ptr().cast()));
            let both = _mm256_or_si256(_mm256_slli_epi16::<7>(high), low);
            _mm256_storeu_si256(out.as_mut_ptr().cast(), _mm256_shuffle_epi8(both, apart));
        }
    }
}

/// Values of `quads` and 16 dimensions, weighted by `Q` queries.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn values_block<const Q: usize>(
    v: &Values<'_>,
    quads: &Range<usize>,
    query: usize,
    dimension: usize,
    weights: &[[i16; QUADS * 4]; QUERIES],
    sums: &mut [i32],
) {
    // SAFETY: all accesses are inside the slices that `v.check` has measured.
    unsafe {
        let values = v.values.as_ptr().add(dimension * 4);
        let mut exact = [[_mm256_setzero_si256(); 2]; Q];
        for (place, quad) in quads.clone().enumerate() {
            // All dimensions together ask for the next quads, line by line; the queries that follow
            // find them in the caches.
            if v.cold && query == 0 {
                let line = place * (v.width / LANES) + dimension / LANES;
                prefetch(v.values, (quads.start + QUADS) * v.width * 4 + line * LINE);
            }
            let levels: [__m256i; 2] = std::array::from_fn(|half| {
                _mm256_loadu_si256(values.add(quad * v.width * 4 + half * 32).cast())
            });
            let even = levels.map(|x| _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(x)));
            let odd = levels.map(|x| _mm256_srai_epi16::<8>(x));
            for q in 0..Q {
                let pairs = weights[q].as_ptr().add(place * 4).cast::<i32>();
                let w_even = _mm256_set1_epi32(pairs.read_unaligned());
                let w_odd = _mm256_set1_epi32(pairs.add(1).read_unaligned());
                for half in 0..2 {
                    let sum =
                        _mm256_add_epi32(exact[q][half], _mm256_madd_epi16(even[half], w_even));
                    exact[q][half] = _mm256_add_epi32(sum, _mm256_madd_epi16(odd[half], w_odd));
                }
            }
        }
        for q in 0..Q {
            for half in 0..2 {
                let sum = sums
                    .as_mut_ptr()
                    .add((query + q) * v.width + dimension + half * 8);
                let before = _mm256_loadu_si256(sum.cast_const().cast());
                _mm256_storeu_si256(sum.cast(), _mm256_add_epi32(before, exact[q][half]));
            }
        }
    }
}
