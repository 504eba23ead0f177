//! AVX-512 with VNNI: 64 products of bytes in one instruction.
//!
//! Weights (stored plus 128) are the unsigned operand. Activations are the signed operand, and four
//! of them are broadcast at a time. The accumulators start at the value that undoes the 128, so
//! they end at the exact integer.

#![allow(
    clippy::needless_range_loop,
    reason = "registers of several arrays are walked side by side"
)]

use std::arch::x86_64::*;
use std::ops::Range;

use crate::machine::prefetch::{prefetch_range, prefetch_range_for_later};

use super::operands::{LANES, LINE, LINES_PER_GROUP, Product, Values, shares};

/// Rows multiplied with two tiles at a time: 24 of the 32 registers are accumulators.
const ROWS: usize = 6;

/// No more rows than these are multiplied with one cold tile after the other, so that weights are
/// read once and in the order in which they lie in memory, which is then what takes the time.
const FEW: usize = 8;

/// Cold tiles are prefetched this many lines ahead.
const LINES_AHEAD: usize = 128;

/// The product of the reference.
///
/// # Safety
/// `p.check` has passed, `tiles` are among its tiles, `out` is its output and no other thread
/// touches these columns.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub(super) unsafe fn product(p: &Product<'_>, tiles: Range<usize>, out: *mut f32) {
    let rows = p.rows.count;
    if rows == 0 {
        return;
    }
    if p.cold && rows <= FEW {
        // SAFETY: passed on from the caller.
        unsafe { few_rows(p, tiles, out) };
        return;
    }
    let wide = if rows <= 3 { 4 } else { 2 };
    let bytes = p.lines * LINE;
    let mut tile = tiles.start;
    while tile < tiles.end {
        let width = if tiles.end - tile >= wide { wide } else { 1 };
        let next = (tile + width) * bytes..tiles.end.min(tile + 2 * width) * bytes;
        for Range { start: row, end } in shares(rows, ROWS) {
            if p.cold {
                // Each share of the rows asks for as much of the tiles that come next.
                let part = |row: usize| next.start + next.len() * row / rows;
                prefetch_range_for_later(p.tiles, part(row)..part(end));
            }
            // SAFETY: passed on from the caller; the rows are in range.
            unsafe {
                match (width, end - row) {
                    (4, 1) => block::<1, 4, false>(p, row, tile, out),
                    (4, 2) => block::<2, 4, false>(p, row, tile, out),
                    (4, _) => block::<3, 4, false>(p, row, tile, out),
                    (2, 2) => block::<2, 2, false>(p, row, tile, out),
                    (2, 3) => block::<3, 2, false>(p, row, tile, out),
                    (2, 4) => block::<4, 2, false>(p, row, tile, out),
                    (2, 5) => block::<5, 2, false>(p, row, tile, out),
                    (2, _) => block::<6, 2, false>(p, row, tile, out),
                    (_, 1) => block::<1, 1, false>(p, row, tile, out),
                    (_, 2) => block::<2, 1, false>(p, row, tile, out),
                    (_, 3) => block::<3, 1, false>(p, row, tile, out),
                    (_, 4) => block::<4, 1, false>(p, row, tile, out),
                    (_, 5) => block::<5, 1, false>(p, row, tile, out),
                    (_, _) => block::<6, 1, false>(p, row, tile, out),
                }
            }
        }
        tile += width;
    }
}

/// The product of the reference for at most [`FEW`] rows and cold tiles.
///
/// # Safety
/// As for [`product`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn few_rows(p: &Product<'_>, tiles: Range<usize>, out: *mut f32) {
    for tile in tiles {
        // SAFETY: passed on from the caller; there are as many rows.
        unsafe {
            match p.rows.count {
                1 => block::<1, 1, true>(p, 0, tile, out),
                2 => block::<2, 1, true>(p, 0, tile, out),
                3 => block::<3, 1, true>(p, 0, tile, out),
                4 => block::<4, 1, true>(p, 0, tile, out),
                5 => block::<5, 1, true>(p, 0, tile, out),
                6 => block::<6, 1, true>(p, 0, tile, out),
                7 => block::<7, 1, true>(p, 0, tile, out),
                _ => block::<8, 1, true>(p, 0, tile, out),
            }
        }
    }
}

/// `R` rows times `T` tiles; with `AHEAD`, the lines that come later are prefetched.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn block<const R: usize, const T: usize, const AHEAD: bool>(
    p: &Product<'_>,
    row: usize,
    tile: usize,
    out: *mut f32,
) {
    let x = p.rows;
    // SAFETY: all reads are inside the slices that `p.check` has measured, all writes inside the
    // caller's columns.
    unsafe {
        let weights: [*const u8; T] =
            std::array::from_fn(|t| p.tiles.as_ptr().add((tile + t) * p.lines * LINE));
        let levels: [*const i8; R] =
            std::array::from_fn(|r| x.levels.as_ptr().add((row + r) * x.width));
        let mut sums = [[_mm512_setzero_ps(); T]; R];
        for group in 0..x.groups {
            let first = group * LINES_PER_GROUP;
            if AHEAD {
                let start = tile * p.lines + first + LINES_AHEAD;
                prefetch_range(p.tiles, start * LINE..(start + LINES_PER_GROUP) * LINE);
            }
            let mut exact = [[_mm512_setzero_si512(); T]; R];
            for r in 0..R {
                exact[r] =
                    [_mm512_set1_epi32(*x.corrections.as_ptr().add((row + r) * x.groups + group));
                        T];
            }
            if p.lines - first >= LINES_PER_GROUP {
                for line in first..first + LINES_PER_GROUP {
                    accumulate(&weights, &levels, line, &mut exact);
                }
            } else {
                for line in first..p.lines {
                    accumulate(&weights, &levels, line, &mut exact);
                }
            }
            for r in 0..R {
                let scale = _mm512_set1_ps(*x.scales.as_ptr().add((row + r) * x.groups + group));
                for t in 0..T {
                    sums[r][t] = _mm512_add_ps(
                        sums[r][t],
                        _mm512_mul_ps(_mm512_cvtepi32_ps(exact[r][t]), scale),
                    );
                }
            }
        }
        for t in 0..T {
            let column = (tile + t) * LANES;
            let scale = _mm512_loadu_ps(p.scales.as_ptr().add(column));
            let bias = p
                .bias
                .map(|bias| _mm512_loadu_ps(bias.as_ptr().add(column)));
            for r in 0..R {
                let mut value = _mm512_mul_ps(sums[r][t], scale);
                if let Some(bias) = bias {
                    value = _mm512_add_ps(value, bias);
                }
                _mm512_storeu_ps(out.add((row + r) * p.stride + column), value);
            }
        }
    }
}

/// One line of each tile, four activations of each row.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn accumulate<const R: usize, const T: usize>(
    weights: &[*const u8; T],
    levels: &[*const i8; R],
    line: usize,
    exact: &mut [[__m512i; T]; R],
) {
    // SAFETY: the caller's pointers are to at least `line + 1` lines.
    unsafe {
        let mut w = [_mm512_setzero_si512(); T];
        for t in 0..T {
            w[t] = _mm512_loadu_si512(weights[t].add(line * LINE).cast());
        }
        for r in 0..R {
            let x = _mm512_set1_epi32(levels[r].add(line * 4).cast::<i32>().read_unaligned());
            for t in 0..T {
                exact[r][t] = _mm512_dpbusd_epi32(exact[r][t], w[t], x);
            }
        }
    }
}

/// The weighted values of the reference.
///
/// # Safety
/// `v.check` has passed for `sums`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub(super) unsafe fn values(v: &Values<'_>, sums: &mut [i32]) {
    let mut query = 0;
    while query < v.queries {
        let several = v.queries - query >= 3;
        let mut dimension = 0;
        while dimension < v.width {
            let wide = v.width - dimension >= 64;
            // SAFETY: passed on from the caller; queries and dimensions are in range.
            unsafe {
                match (several, wide) {
                    (true, true) => values_block::<3, 4>(v, query, dimension, sums),
                    (true, false) => values_block::<3, 1>(v, query, dimension, sums),
                    (false, true) => values_block::<1, 4>(v, query, dimension, sums),
                    (false, false) => values_block::<1, 1>(v, query, dimension, sums),
                }
            }
            dimension += if wide { 64 } else { 16 };
        }
        query += if several { 3 } else { 1 };
    }
}

/// Adds the values of `count` quads of positions, at most 16, from number `first` on, with one byte
/// of the weights of each query. Quads to which no query gives weight are passed over: upper bytes
/// are zero for most positions.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn add_weighted<const Q: usize, const D: usize>(
    weights: &[*const u8; Q],
    first: usize,
    count: usize,
    values: *const i8,
    width: usize,
    sums: &mut [[__m512i; D]; Q],
) {
    // SAFETY: the caller's pointers are to `first + count` quads of weights and `count` of values.
    unsafe {
        let inside = (1u32 << count).wrapping_sub(1) as __mmask16;
        let mut any = _mm512_setzero_si512();
        for q in 0..Q {
            let quads = weights[q].add(first * 4).cast();
            any = _mm512_or_si512(any, _mm512_maskz_loadu_epi32(inside, quads));
        }
        let mut left = u32::from(_mm512_test_epi32_mask(any, any));
        while left != 0 {
            let quad = left.trailing_zeros() as usize;
            left &= left - 1;
            let line = values.add(quad * width * 4);
            let mut levels = [_mm512_setzero_si512(); D];
            for d in 0..D {
                levels[d] = _mm512_loadu_si512(line.add(d * LINE).cast());
            }
            for q in 0..Q {
                let four = weights[q].add((first + quad) * 4).cast::<i32>();
                let four = _mm512_set1_epi32(four.read_unaligned());
                for d in 0..D {
                    sums[q][d] = _mm512_dpbusd_epi32(sums[q][d], four, levels[d]);
                }
            }
        }
    }
}

/// `Q` queries, `D` times 16 dimensions.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn values_block<const Q: usize, const D: usize>(
    v: &Values<'_>,
    query: usize,
    dimension: usize,
    sums: &mut [i32],
) {
    // SAFETY: all accesses are inside the slices that `v.check` has measured.
    unsafe {
        let start = |q: usize| (query + q) * v.stride + v.offset;
        let highs: [*const u8; Q] = std::array::from_fn(|q| v.high.as_ptr().add(start(q)));
        let lows: [*const u8; Q] = std::array::from_fn(|q| v.low.as_ptr().add(start(q)));
        let values = v.values.as_ptr().add(dimension * 4);
        let mut high = [[_mm512_setzero_si512(); D]; Q];
        let mut low = [[_mm512_setzero_si512(); D]; Q];
        let quads = v.values.len() / (v.width * 4);
        for first in (0..quads).step_by(LANES) {
            let count = LANES.min(quads - first);
            // The first queries ask for the values that come next; the others find them in a cache.
            if v.cold && query == 0 && dimension == 0 {
                let next = (first + LANES) * v.width * 4;
                prefetch_range(v.values, next..next + LANES * v.width * 4);
            }
            let values = values.add(first * v.width * 4);
            add_weighted(&highs, first, count, values, v.width, &mut high);
            add_weighted(&lows, first, count, values, v.width, &mut low);
        }
        for q in 0..Q {
            for d in 0..D {
                let sum = sums
                    .as_mut_ptr()
                    .add((query + q) * v.width + dimension + d * LANES);
                let before = _mm512_loadu_si512(sum.cast_const().cast());
                let both = _mm512_add_epi32(_mm512_slli_epi32::<7>(high[q][d]), low[q][d]);
                _mm512_storeu_si512(sum.cast(), _mm512_add_epi32(before, both));
            }
        }
    }
}
