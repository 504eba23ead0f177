//! NEON with dot products: both operands signed, 16 products of bytes in one instruction.
//!
//! The dot product is written as inline assembly, since its intrinsic is not stable yet.

#![allow(
    clippy::needless_range_loop,
    reason = "registers of several arrays are walked side by side"
)]

use std::arch::aarch64::*;
use std::arch::asm;
use std::ops::Range;

use super::operands::{LANES, LINE, LINES_PER_GROUP, Product, Values, shares};

/// Rows multiplied with one tile at a time.
const ROWS: usize = 4;
/// Registers that hold one line of a tile.
const QUARTERS: usize = 4;

/// `sum + dot(a, b)` in each of four lanes of four bytes.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: register arithmetic alone; the instruction is part of the enabled feature.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
            sum = inout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

/// Four bytes, repeated four times.
///
/// # Safety
/// `bytes` can be read for four bytes.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn repeat(bytes: *const i8) -> int8x16_t {
    // SAFETY: promised by the caller.
    vreinterpretq_s8_s32(vdupq_n_s32(unsafe { bytes.cast::<i32>().read_unaligned() }))
}

/// The product of the reference.
///
/// # Safety
/// `p.check` has passed, `tiles` are among its tiles, `out` is its output and no other thread
/// touches these columns.
#[target_feature(enable = "neon,dotprod")]
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
#[target_feature(enable = "neon,dotprod")]
unsafe fn block<const R: usize>(p: &Product<'_>, row: usize, tile: usize, out: *mut f32) {
    let x = p.rows;
    // SAFETY: all reads are inside the slices that `p.check` has measured, all writes inside the
    // caller's columns.
    unsafe {
        let weights = p.tiles.as_ptr().add(tile * p.lines * LINE);
        let levels: [*const i8; R] =
            std::array::from_fn(|r| x.levels.as_ptr().add((row + r) * x.width));
        let offset = vdupq_n_u8(128);
        let mut sums = [[vdupq_n_f32(0.0); QUARTERS]; R];
        for group in 0..x.groups {
            let first = group * LINES_PER_GROUP;
            let mut exact = [[vdupq_n_s32(0); QUARTERS]; R];
            for line in first..p.lines.min(first + LINES_PER_GROUP) {
                let mut w = [vdupq_n_s8(0); QUARTERS];
                for quarter in 0..QUARTERS {
                    let stored = vld1q_u8(weights.add(line * LINE + quarter * 16));
                    w[quarter] = vreinterpretq_s8_u8(veorq_u8(stored, offset));
                }
                for r in 0..R {
                    let x = repeat(levels[r].add(line * 4));
                    for quarter in 0..QUARTERS {
                        exact[r][quarter] = dot(exact[r][quarter], w[quarter], x);
                    }
                }
            }
            for r in 0..R {
                let scale = vdupq_n_f32(*x.scales.as_ptr().add((row + r) * x.groups + group));
                for quarter in 0..QUARTERS {
                    let product = vmulq_f32(vcvtq_f32_s32(exact[r][quarter]), scale);
                    sums[r][quarter] = vaddq_f32(sums[r][quarter], product);
                }
            }
        }
        for quarter in 0..QUARTERS {
            let column = tile * LANES + quarter * 4;
            let scale = vld1q_f32(p.scales.as_ptr().add(column));
            let bias = p.bias.map(|bias| vld1q_f32(bias.as_ptr().add(column)));
            for r in 0..R {
                let mut value = vmulq_f32(sums[r][quarter], scale);
                if let Some(bias) = bias {
                    value = vaddq_f32(value, bias);
                }
                vst1q_f32(out.add((row + r) * p.stride + column), value);
            }
        }
    }
}

/// The weighted values of the reference.
///
/// # Safety
/// `v.check` has passed for `sums`.
#[target_feature(enable = "neon,dotprod")]
pub(super) unsafe fn values(v: &Values<'_>, sums: &mut [i32]) {
    for query in 0..v.queries {
        for dimension in (0..v.width).step_by(LANES) {
            // SAFETY: all accesses are inside the slices that `v.check` has measured.
            unsafe {
                let high = v.high.as_ptr().add(query * v.stride + v.offset);
                let low = v.low.as_ptr().add(query * v.stride + v.offset);
                let values = v.values.as_ptr().add(dimension * 4);
                let mut upper = [vdupq_n_s32(0); QUARTERS];
                let mut lower = [vdupq_n_s32(0); QUARTERS];
                for quad in 0..v.values.len() / (v.width * 4) {
                    let values = values.add(quad * v.width * 4);
                    for (weights, sums) in [(high, &mut upper), (low, &mut lower)] {
                        let weights = weights.add(quad * 4);
                        // Upper bytes are zero for most positions.
                        if weights.cast::<u32>().read_unaligned() == 0 {
                            continue;
                        }
                        // Weights are below 128, so they are the same signed and unsigned.
                        let weights = repeat(weights.cast());
                        for d in 0..QUARTERS {
                            let levels = vld1q_s8(values.add(d * 16));
                            sums[d] = dot(sums[d], levels, weights);
                        }
                    }
                }
                for d in 0..QUARTERS {
                    let sum = sums.as_mut_ptr().add(query * v.width + dimension + d * 4);
                    let both = vaddq_s32(vshlq_n_s32::<7>(upper[d]), lower[d]);
                    vst1q_s32(sum, vaddq_s32(vld1q_s32(sum), both));
                }
            }
        }
    }
}
