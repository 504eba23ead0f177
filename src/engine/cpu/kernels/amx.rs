//! AMX: 16 rows of activations times a tile of weights in one instruction for each group.
//!
//! The layout of weights is that of the right operand of a tile product: one group of a tile is 16
//! lines of 64 bytes, so it is loaded as it lies. The exact sums of a group go through a buffer in
//! the nearest cache to AVX-512, which turns them into floats and adds them. Products with few rows
//! or lines, or with a part of a group, are left to [`avx512vnni`].
//!
//! Nothing stays in a tile register from one block of assembly to the next; only the shapes of the
//! registers do, as long as a [`Tiles`] lives.

#![allow(
    clippy::needless_range_loop,
    reason = "registers of several arrays are walked side by side"
)]

use std::arch::asm;
use std::arch::x86_64::*;
use std::mem::MaybeUninit;
use std::ops::Range;

use crate::arch::config::GROUP;
use crate::machine::prefetch::prefetch_range_for_later;

use super::avx512vnni;
use super::operands::{LANES, LINE, LINES_PER_GROUP, Product, QuantizedRowsRef, Values};

/// Rows of a tile register.
const ROWS: usize = 16;
const _: () = assert!(
    GROUP == LINE,
    "a group of levels is a row of a tile register"
);
/// Fewer rows than these are faster without tiles.
const FEW: usize = 8;
/// So are products of fewer lines, the scores of short heads, where the sums of each group are
/// stored, converted and scaled for little work.
const FEWEST_LINES: usize = 2 * LINES_PER_GROUP;
/// Fewer queries than these weigh values faster without tiles.
const FEW_QUERIES: usize = 6;
/// Rows whose totals stay in registers.
const HALF: usize = 8;
/// Groups multiplied before their sums are converted: 16 kB of sums, a third of the nearest cache.
const GROUPS: usize = 8;

/// What `ldtilecfg` loads: rows and bytes of a row of each tile register.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Shapes {
    /// For products: registers 0 and 1 for sums, 2 for a left operand, 3 and 4 for right operands.
    fn of_product() -> Shapes {
        let (sums, left, right) = ((ROWS, LINE), (ROWS, GROUP), (LINES_PER_GROUP, LINE));
        Shapes::new(&[sums, sums, left, right, right])
    }

    /// For values: registers 0 and 1 for sums, 2 and 3 for weights of `queries` queries, 4 for
    /// values of 64 positions; 5, 6 and 7 for those of the last `rest` positions.
    fn of_values(queries: usize, rest: usize) -> Shapes {
        let (sums, weights, values) = ((queries, LINE), (queries, GROUP), (LANES, LINE));
        // A register that is not used has neither rows nor bytes.
        let (last_weights, last_values) = match rest {
            0 => ((0, 0), (0, 0)),
            _ => ((queries, rest), (rest / 4, LINE)),
        };
        Shapes::new(&[
            sums,
            sums,
            weights,
            weights,
            values,
            last_weights,
            last_weights,
            last_values,
        ])
    }

    /// Takes rows, and bytes of a row, of the first registers; the others are not used.
    fn new(registers: &[(usize, usize)]) -> Shapes {
        let mut shapes = Shapes {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [0; 16],
            rows: [0; 16],
        };
        for (register, (rows, bytes)) in registers.iter().enumerate() {
            shapes.rows[register] = *rows as u8;
            shapes.row_bytes[register] = *bytes as u16;
        }
        shapes
    }
}

/// While it lives, the tile registers of this thread have shapes.
struct Tiles;

impl Tiles {
    /// # Safety
    /// The processor has AMX, this process may use it, and no other `Tiles` lives on this thread.
    unsafe fn new(shapes: &Shapes) -> Tiles {
        // SAFETY: passed on from the caller; the shapes are those of palette 1.
        unsafe {
            asm!(
                "ldtilecfg [{}]",
                in(reg) shapes,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, readonly),
            );
        }
        Tiles
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: the constructor's caller has shown that there are tile registers.
        unsafe {
            asm!(
                "tilerelease",
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, nomem),
            );
        }
    }
}

/// Some groups of 16 rows, the rows of each group together, whatever lies between them in memory:
/// no row begins in the middle of a cache line. Rows that do not exist are zero or what was there
/// before; they are multiplied with the others, and their products are not used.
#[repr(C, align(64))]
struct Block {
    levels: [[[i8; GROUP]; ROWS]; GROUPS],
    scales: [[f32; ROWS]; GROUPS],
    corrections: [[i32; ROWS]; GROUPS],
}

impl Block {
    fn empty() -> Block {
        Block {
            levels: [[[0; GROUP]; ROWS]; GROUPS],
            scales: [[0.0; ROWS]; GROUPS],
            corrections: [[0; ROWS]; GROUPS],
        }
    }

    /// Copies the rows `first` to `first + count`.
    fn set(
        &mut self,
        rows: &QuantizedRowsRef<'_>,
        first: usize,
        count: usize,
        groups: Range<usize>,
    ) {
        for r in 0..count {
            let levels = &rows.levels[(first + r) * rows.width..][..rows.width];
            let (levels, _) = levels.as_chunks::<GROUP>();
            let start = (first + r) * rows.groups;
            for (index, group) in groups.clone().enumerate() {
                self.levels[index][r] = levels[group];
                self.scales[index][r] = rows.scales[start + group];
                self.corrections[index][r] = rows.corrections[start + group];
            }
        }
    }
}

/// The exact sums of 16 rows and the columns of two tiles, for some groups.
#[repr(C, align(64))]
struct Sums([[[[i32; LANES]; ROWS]; 2]; GROUPS]);

/// The product of the reference.
///
/// # Safety
/// The processor has AMX, this process may use it, `p.check` has passed, `tiles` are among its
/// tiles, `out` is its output and no other thread touches these columns.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub(super) unsafe fn product(p: &Product<'_>, tiles: Range<usize>, out: *mut f32) {
    let rows = p.rows.count;
    let groups_are_whole = p.lines.is_multiple_of(LINES_PER_GROUP);
    if rows < FEW || p.lines < FEWEST_LINES || !groups_are_whole {
        // SAFETY: passed on from the caller.
        unsafe { avx512vnni::product(p, tiles, out) };
        return;
    }
    let (mut block, mut sums) = (Block::empty(), MaybeUninit::uninit());
    // SAFETY: promised by the caller.
    let _tiles = unsafe { Tiles::new(&Shapes::of_product()) };
    for row in (0..rows).step_by(ROWS) {
        let count = ROWS.min(rows - row);
        for first in (0..p.rows.groups).step_by(GROUPS) {
            let groups = first..p.rows.groups.min(first + GROUPS);
            block.set(&p.rows, row, count, groups.clone());
            for tile in tiles.clone().step_by(2) {
                let groups = groups.clone();
                if p.cold && row == 0 {
                    ask_for(p, (tile + 2..tiles.end).take(2), &groups);
                }
                // SAFETY: passed on from the caller; the rows and tiles are in range.
                unsafe {
                    match tiles.end - tile {
                        1 => multiply::<1>(p, row, &block, tile, groups, &mut sums, out),
                        _ => multiply::<2>(p, row, &block, tile, groups, &mut sums, out),
                    }
                }
            }
        }
    }
}

/// Asks for some groups of tiles that are multiplied later.
fn ask_for(p: &Product<'_>, tiles: impl Iterator<Item = usize>, groups: &Range<usize>) {
    for tile in tiles {
        let byte = |group: usize| (tile * p.lines + group * LINES_PER_GROUP) * LINE;
        prefetch_range_for_later(p.tiles, byte(groups.start)..byte(groups.end));
    }
}

/// Up to 16 rows times `T` tiles, one or two: the products of `groups` are added to what `out` has
/// of the groups before. The tile registers have the shapes of products.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn multiply<const T: usize>(
    p: &Product<'_>,
    row: usize,
    block: &Block,
    tile: usize,
    groups: Range<usize>,
    sums: &mut MaybeUninit<Sums>,
    out: *mut f32,
) {
    let x = &p.rows;
    // SAFETY: all reads are inside the slices that `p.check` has measured, all writes inside the
    // caller's columns. `multiply_group` writes the sums of all 16 rows.
    unsafe {
        let sums = sums.as_mut_ptr().cast::<i32>();
        let sums_of = |index: usize| sums.add(index * 2 * ROWS * LANES);
        let bytes = p.lines * LINE;
        for (index, group) in groups.clone().enumerate() {
            let weights = p.tiles.as_ptr().add(tile * bytes + group * GROUP * LANES);
            let second = weights.add((T - 1) * bytes);
            let levels = block.levels[index].as_ptr().cast();
            multiply_group(levels, weights, second, sums_of(index));
        }
        for first in (0..ROWS.min(x.count - row)).step_by(HALF) {
            let count = HALF.min(x.count - row - first);
            let column = out.add((row + first) * p.stride + tile * LANES);
            let mut totals = [[_mm512_setzero_ps(); T]; HALF];
            if groups.start > 0 {
                for r in 0..count {
                    for t in 0..T {
                        totals[r][t] = _mm512_loadu_ps(column.add(r * p.stride + t * LANES));
                    }
                }
            }
            for index in 0..groups.len() {
                let (scales, corrections) = (&block.scales[index], &block.corrections[index]);
                let exact = sums_of(index).add(first * LANES);
                for r in 0..HALF {
                    let scale = _mm512_set1_ps(scales[first + r]);
                    let correction = _mm512_set1_epi32(corrections[first + r]);
                    for t in 0..T {
                        let dot = exact.add((t * ROWS + r) * LANES);
                        let dot = _mm512_add_epi32(_mm512_load_si512(dot.cast()), correction);
                        let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(dot), scale);
                        totals[r][t] = _mm512_add_ps(totals[r][t], scaled);
                    }
                }
            }
            if groups.end == x.groups {
                finish(p, tile, &mut totals);
            }
            for r in 0..count {
                for t in 0..T {
                    _mm512_storeu_ps(column.add(r * p.stride + t * LANES), totals[r][t]);
                }
            }
        }
    }
}

/// Turns the totals of all groups into elements of the output.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn finish<const T: usize>(p: &Product<'_>, tile: usize, totals: &mut [[__m512; T]; HALF]) {
    for t in 0..T {
        let column = (tile + t) * LANES;
        // SAFETY: `p.check` has seen a scale, and a bias if there are any, for every column.
        let (scale, bias) = unsafe {
            let load = |values: &[f32]| _mm512_loadu_ps(values.as_ptr().add(column));
            (load(p.scales), p.bias.map(load))
        };
        for r in 0..HALF {
            totals[r][t] = _mm512_mul_ps(totals[r][t], scale);
            if let Some(bias) = bias {
                totals[r][t] = _mm512_add_ps(totals[r][t], bias);
            }
        }
    }
}

/// The exact products of one group: 16 rows of levels, one after the other, times that group of two
/// tiles, which may be the same. The tile registers have the shapes of products.
#[inline(always)]
unsafe fn multiply_group(levels: *const i8, weights: *const u8, second: *const u8, sums: *mut i32) {
    // SAFETY: the caller's pointers are to as much as the registers hold.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tileloadd tmm2, [{levels} + {line}*1]",
            "tileloadd tmm3, [{weights} + {line}*1]",
            "tileloadd tmm4, [{second} + {line}*1]",
            "tdpbsud tmm0, tmm2, tmm3",
            "tdpbsud tmm1, tmm2, tmm4",
            "tilestored [{sums} + {line}*1], tmm0",
            "tilestored [{sums} + {line}*1 + {next}], tmm1",
            levels = in(reg) levels,
            weights = in(reg) weights,
            second = in(reg) second,
            line = in(reg) LINE,
            sums = in(reg) sums,
            next = const ROWS * LINE,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _, out("tmm4") _,
            options(nostack, preserves_flags),
        );
    }
}

/// The weighted values of the reference.
///
/// # Safety
/// The processor has AMX, this process may use it, and `v.check` has passed for `sums`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub(super) unsafe fn values(v: &Values<'_>, sums: &mut [i32]) {
    let positions = v.values.len() / v.width;
    if v.queries < FEW_QUERIES || positions == 0 {
        // SAFETY: passed on from the caller.
        unsafe { avx512vnni::values(v, sums) };
        return;
    }
    let mut parts = MaybeUninit::uninit();
    for query in (0..v.queries).step_by(ROWS) {
        let count = ROWS.min(v.queries - query);
        // SAFETY: promised by the caller.
        let _tiles = unsafe { Tiles::new(&Shapes::of_values(count, positions % GROUP)) };
        for dimension in (0..v.width).step_by(LANES) {
            // SAFETY: passed on from the caller; queries and dimensions are in range.
            unsafe { weigh(v, query, count, dimension, &mut parts, sums) };
        }
    }
}

/// What 16 queries have with the upper and with the lower bits of their weights.
#[repr(C, align(64))]
struct Parts([[[i32; LANES]; ROWS]; 2]);

/// Adds 16 dimensions of the weighted values to the sums of `count` queries.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn weigh(
    v: &Values<'_>,
    query: usize,
    count: usize,
    dimension: usize,
    parts: &mut MaybeUninit<Parts>,
    sums: &mut [i32],
) {
    let positions = v.values.len() / v.width;
    // SAFETY: all accesses are inside the slices that `v.check` has measured.
    unsafe {
        let start = query * v.stride + v.offset;
        let parts = parts.as_mut_ptr().cast::<i32>();
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "test {whole}, {whole}",
            "jz 3f",
            "2:",
            "tileloadd tmm4, [{values} + {width}*1]",
            "tileloadd tmm2, [{high} + {stride}*1]",
            "tileloadd tmm3, [{low} + {stride}*1]",
            "tdpbusd tmm0, tmm2, tmm4",
            "tdpbusd tmm1, tmm3, tmm4",
            "add {values}, {next}",
            "add {high}, {group}",
            "add {low}, {group}",
            "dec {whole}",
            "jnz 2b",
            "3:",
            "test {rest}, {rest}",
            "jz 4f",
            "tileloadd tmm7, [{values} + {width}*1]",
            "tileloadd tmm5, [{high} + {stride}*1]",
            "tileloadd tmm6, [{low} + {stride}*1]",
            "tdpbusd tmm0, tmm5, tmm7",
            "tdpbusd tmm1, tmm6, tmm7",
            "4:",
            "tilestored [{parts} + {line}*1], tmm0",
            "tilestored [{parts} + {line}*1 + {second}], tmm1",
            whole = inout(reg) positions / GROUP => _,
            rest = in(reg) positions % GROUP,
            values = inout(reg) v.values.as_ptr().add(dimension * 4) => _,
            width = in(reg) v.width * 4,
            next = in(reg) v.width * GROUP,
            high = inout(reg) v.high.as_ptr().add(start) => _,
            low = inout(reg) v.low.as_ptr().add(start) => _,
            stride = in(reg) v.stride,
            parts = in(reg) parts,
            line = in(reg) LINE,
            group = const GROUP,
            second = const ROWS * LINE,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
        for q in 0..count {
            let high = _mm512_load_si512(parts.add(q * LANES).cast());
            let low = _mm512_load_si512(parts.add((ROWS + q) * LANES).cast());
            let both = _mm512_add_epi32(_mm512_slli_epi32::<7>(high), low);
            let sum = sums.as_mut_ptr().add((query + q) * v.width + dimension);
            let before = _mm512_loadu_si512(sum.cast_const().cast());
            _mm512_storeu_si512(sum.cast(), _mm512_add_epi32(before, both));
        }
    }
}
