//! Integer products and fixed-order float operations: a reference and one file an instruction set that equals it.
//!
//! [`reference`] defines the results. The code for AVX2, AVX-512 VNNI and NEON with dot products is chosen by an
//! [`InstructionSet`] and gives the same bits. This module checks every size, so that the kernels may trust
//! what they are given; it knows slices, and nothing of transformers.

mod float;
pub mod reference;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512vnni;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::arch::config::{GROUP, TILE};
use crate::machine::instructions::{Family, InstructionSet, compile_for_each};
use crate::machine::pool::{Pool, Raw};
use crate::packed::Matrix;

/// Stripes of every reduction, and output rows of a tile.
pub const LANES: usize = 16;
const _: () = assert!(LANES == TILE);
/// Lines of a tile, of four columns each, that make one quantisation group.
const LINES_PER_GROUP: usize = GROUP / 4;
/// Bytes of one line of a tile.
const LINE: usize = LANES * 4;

/// The operations of the engine, in code compiled for one instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernels(InstructionSet);

// The operations that every instruction set compiles from the reference's safe code.
compile_for_each! {
    fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) = reference::rms_norm;
    fn quantize(
        x: &[f32],
        levels: &mut [i8],
        scales: &mut [f32],
        corrections: &mut [i32],
    ) = reference::quantize;
    fn quantize_whole(x: &[f32], levels: &mut [i8]) -> f32 = reference::quantize_whole;
    fn gated(gate: &[f32], up: &[f32], out: &mut [f32]) = reference::gated;
    fn add(x: &mut [f32], y: &[f32]) = reference::add;
    fn rotate(head: &[f32], cos: &[f32], sin: &[f32], out: &mut [f32]) = reference::rotate;
    fn softmax(
        scores: &mut [f32],
        value_scales: &[f32],
        top: f32,
        high: &mut [u8],
        low: &mut [u8],
    ) -> f32 = reference::softmax;
    fn scale_sums(sums: &[i32], factor: f32, out: &mut [f32]) = reference::scale_sums;
    fn logits(x: &[f32], out: &mut [i32]) = reference::logits;
    fn float_product(x: &[f32], w: &[f32], width: usize, out: &mut [f32]) = float::float_product;
    fn float_weighted(weights: &[f32], values: &[f32], out: &mut [f32]) = float::float_weighted;
}

/// Calls the function of this name in the module written for the instruction set.
macro_rules! dispatch {
    ($kernels:expr, $operation:ident ( $($argument:expr),* $(,)? )) => {
        // SAFETY: an `InstructionSet` is proof that the processor has the instructions; what the operation itself asks
        // for is said where it is called.
        unsafe {
            match $kernels.0.family() {
                Family::Portable => reference::$operation($($argument),*),
                #[cfg(target_arch = "x86_64")]
                Family::Avx2 => avx2::$operation($($argument),*),
                #[cfg(target_arch = "x86_64")]
                Family::Avx512 => avx512vnni::$operation($($argument),*),
                #[cfg(target_arch = "aarch64")]
                Family::Neon => neon::$operation($($argument),*),
            }
        }
    };
}

/// Cuts `count` into as few ranges as there can be of at most `most`, all about as long: 8 by 6 are 4 and 4, not 6 and 2.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
fn shares(count: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = count.div_ceil(most);
    (0..parts).map(move |part| count * part / parts..count * (part + 1) / parts)
}

impl Kernels {
    /// The definition: plain Rust, compiled for what every processor of the architecture has.
    pub const REFERENCE: Kernels = Kernels(InstructionSet::PORTABLE);

    /// The operations in code compiled for `instructions`.
    pub fn new(instructions: InstructionSet) -> Kernels {
        Kernels(instructions)
    }

    /// The instruction set that the operations are compiled for.
    pub fn instructions(self) -> InstructionSet {
        self.0
    }

    /// Root-mean-square norm of `x` times `weight`; all of one length.
    pub fn rms_norm(self, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
        assert!(x.len() == weight.len() && x.len() == out.len());
        rms_norm(self.0, x, weight, eps, out);
    }

    /// Quantises `x` in groups of 64. `levels` is at least as long as `x` and shorter than the next group;
    /// `scales` and `corrections` have one value a group.
    pub fn quantize(
        self,
        x: &[f32],
        levels: &mut [i8],
        scales: &mut [f32],
        corrections: &mut [i32],
    ) {
        let groups = x.len().div_ceil(GROUP);
        assert!(levels.len() >= x.len() && levels.len() <= groups * GROUP);
        assert!(scales.len() == groups && corrections.len() == groups);
        quantize(self.0, x, levels, scales, corrections);
    }

    /// Quantises `x` with one scale, which is returned.
    pub fn quantize_whole(self, x: &[f32], levels: &mut [i8]) -> f32 {
        assert!(x.len() == levels.len());
        quantize_whole(self.0, x, levels)
    }

    /// `gate * sigmoid(gate) * up`; all of one length.
    pub fn gated(self, gate: &[f32], up: &[f32], out: &mut [f32]) {
        assert!(gate.len() == up.len() && up.len() == out.len());
        gated(self.0, gate, up, out);
    }

    /// `x += y`; both of one length.
    pub fn add(self, x: &mut [f32], y: &[f32]) {
        assert!(x.len() == y.len());
        add(self.0, x, y);
    }

    /// Rotary embedding of one head; `cos` and `sin` have one value for each pair (i, i + half).
    pub fn rotate(self, head: &[f32], cos: &[f32], sin: &[f32], out: &mut [f32]) {
        assert!(cos.len() == sin.len() && head.len() == 2 * cos.len() && out.len() == head.len());
        rotate(self.0, head, cos, sin, out);
    }

    /// Scores of one query to integer weights; see [`reference::softmax`]. All slices have one length, a multiple of
    /// 16; at least one score is not masked.
    pub fn softmax(
        self,
        scores: &mut [f32],
        value_scales: &[f32],
        top: f32,
        high: &mut [u8],
        low: &mut [u8],
    ) -> f32 {
        let len = scores.len();
        assert!(
            len.is_multiple_of(LANES)
                && value_scales.len() == len
                && high.len() == len
                && low.len() == len
        );
        softmax(self.0, scores, value_scales, top, high, low)
    }

    /// `sums * factor`; both of one length.
    pub fn scale_sums(self, sums: &[i32], factor: f32, out: &mut [f32]) {
        assert!(sums.len() == out.len());
        scale_sums(self.0, sums, factor, out);
    }

    /// Logits in nats to fixed-point log2 units of 2^-16 bit; both of one length.
    pub fn logits(self, x: &[f32], out: &mut [i32]) {
        assert!(x.len() == out.len());
        logits(self.0, x, out);
    }

    /// `out[n][r] = x[r] . w[n]` in f32, rows of `width` values; not exact, see [`crate::check::float`].
    pub fn float_product(self, x: &[f32], w: &[f32], width: usize, out: &mut [f32]) {
        assert!(x.len().is_multiple_of(width) && w.len().is_multiple_of(width));
        assert!(out.len() == x.len() / width * (w.len() / width));
        float_product(self.0, x, w, width, out);
    }

    /// `out += sum of weights[j] * values[j]` in f32; not exact, see [`crate::check::float`].
    pub fn float_weighted(self, weights: &[f32], values: &[f32], out: &mut [f32]) {
        assert!(values.len() == weights.len() * out.len());
        float_weighted(self.0, weights, values, out);
    }

    /// One product on this thread: columns of `tiles`, written to `out` from column 0 on.
    pub fn product(self, product: &Product<'_>, out: &mut [f32]) {
        product.check(out.len());
        // `check` has seen every slice long enough, and `out` is ours alone.
        dispatch!(
            self,
            product(product, 0..product.tile_count(), out.as_mut_ptr())
        );
    }

    /// One product, shared by the threads of `pool`.
    pub fn product_in(self, pool: &Pool, product: &Product<'_>, out: &mut [f32]) {
        product.check(out.len());
        let tiles = product.tile_count();
        // Shares of at least 32 kB of weights, at most eight a thread.
        let smallest = (512 / product.lines.max(1)).max(4);
        let share = tiles
            .div_ceil(pool.threads() * 8)
            .max(smallest)
            .next_multiple_of(4);
        let out = Raw(out.as_mut_ptr());
        pool.run(tiles.div_ceil(share), &|_, task| {
            let range = task * share..tiles.min((task + 1) * share);
            // `check` has seen every slice long enough; the tasks write different columns.
            dispatch!(self, product(product, range, out.at(0)));
        });
    }

    /// One product, shared by the threads of `pool`, turned into logits: row i of the product goes to `out` from
    /// `starts[i]` on, in fixed-point log2 units. `scratch` has one buffer a thread.
    pub fn logits_in(
        self,
        pool: &Pool,
        product: &Product<'_>,
        scratch: &mut [Vec<f32>],
        starts: &[usize],
        out: &mut [i32],
    ) {
        let columns = product.tile_count() * LANES;
        let rows = product.rows.count;
        // The last start that leaves room for a row; sums with it cannot overflow.
        let last = out.len().checked_sub(columns);
        assert!(starts.len() == rows);
        assert!(last.is_some_and(|last| starts.iter().all(|start| *start <= last)));
        assert!(starts.windows(2).all(|pair| pair[0] + columns <= pair[1]));
        assert!(scratch.len() >= pool.threads());
        let tiles = product.tile_count();
        let share = (4096 / rows.max(1)).clamp(4, 64).next_multiple_of(4);
        let (scratch, out) = (Raw(scratch.as_mut_ptr()), Raw(out.as_mut_ptr()));
        pool.run(tiles.div_ceil(share), &|thread, task| {
            let range = task * share..tiles.min((task + 1) * share);
            // SAFETY: no two calls at the same time have the same thread number.
            let buffer = unsafe { &mut *scratch.at(thread) };
            let stride = range.len() * LANES;
            buffer.resize(rows * stride, 0.0);
            self.product(&product.part(range.clone(), stride), buffer);
            for (start, values) in starts.iter().zip(buffer.chunks_exact(stride)) {
                // SAFETY: in bounds and apart from every other row by the checks above, from every other task by its
                // columns.
                let out = unsafe {
                    std::slice::from_raw_parts_mut(out.at(start + range.start * LANES), stride)
                };
                self.logits(values, out);
            }
        });
    }

    /// Adds weighted values to `sums`, `values.width` for each query.
    pub fn values(self, values: &Values<'_>, sums: &mut [i32]) {
        values.check(sums.len());
        // `check` has seen every slice long enough.
        dispatch!(self, values(values, sums));
    }
}

/// Activation rows, quantised in groups of 64.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    count: usize,
    /// Values of a row.
    columns: usize,
    /// Bytes of a row: `columns` rounded up as the weights are.
    width: usize,
    groups: usize,
    levels: Vec<i8>,
    scales: Vec<f32>,
    corrections: Vec<i32>,
}

impl Rows {
    /// Makes room for `count` rows of `columns` values, padded to a multiple of `pad`, which is 4 or 64.
    pub fn resize(&mut self, count: usize, columns: usize, pad: usize) {
        (self.count, self.columns) = (count, columns);
        self.width = columns.next_multiple_of(pad);
        self.groups = columns.div_ceil(GROUP);
        self.levels.resize(area(count, self.width), 0);
        self.scales.resize(area(count, self.groups), 0.0);
        self.corrections.resize(area(count, self.groups), 0);
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Quantises `x` into row `row`.
    pub fn set(&mut self, kernels: Kernels, row: usize, x: &[f32]) {
        self.slots().nth(row).expect("row in range").set(kernels, x);
    }

    /// Multiplies the scales of row `row` by `factor`.
    pub fn scale(&mut self, row: usize, factor: f32) {
        for scale in &mut self.scales[row * self.groups..][..self.groups] {
            *scale *= factor;
        }
    }

    /// The places of the rows, to be filled in any order.
    pub fn slots(&mut self) -> impl Iterator<Item = RowSlot<'_>> {
        let columns = self.columns;
        let levels = self.levels.chunks_exact_mut(self.width.max(1));
        let scales = self.scales.chunks_exact_mut(self.groups.max(1));
        let corrections = self.corrections.chunks_exact_mut(self.groups.max(1));
        levels
            .zip(scales.zip(corrections))
            .map(move |(levels, (scales, corrections))| RowSlot {
                columns,
                levels,
                scales,
                corrections,
            })
    }

    /// All rows, to be multiplied.
    pub fn view(&self) -> RowsView<'_> {
        self.view_of(0..self.count)
    }

    /// Some of the rows, to be multiplied.
    pub fn view_of(&self, rows: Range<usize>) -> RowsView<'_> {
        RowsView {
            count: rows.len(),
            width: self.width,
            groups: self.groups,
            levels: &self.levels[rows.start * self.width..rows.end * self.width],
            scales: &self.scales[rows.start * self.groups..rows.end * self.groups],
            corrections: &self.corrections[rows.start * self.groups..rows.end * self.groups],
        }
    }
}

/// The place of one quantised row.
#[derive(Debug)]
pub struct RowSlot<'a> {
    columns: usize,
    levels: &'a mut [i8],
    scales: &'a mut [f32],
    corrections: &'a mut [i32],
}

impl RowSlot<'_> {
    /// Quantises `x` into this row.
    pub fn set(&mut self, kernels: Kernels, x: &[f32]) {
        assert!(x.len() == self.columns);
        let used = self.levels.len().min(self.columns.div_ceil(GROUP) * GROUP);
        kernels.quantize(x, &mut self.levels[..used], self.scales, self.corrections);
    }
}

/// Quantised rows to be multiplied.
#[derive(Clone, Copy, Debug)]
pub struct RowsView<'a> {
    count: usize,
    width: usize,
    groups: usize,
    levels: &'a [i8],
    scales: &'a [f32],
    corrections: &'a [i32],
}

/// A product of quantised rows with tiled weights.
///
/// Element (row, column) is, with the sums over groups in ascending order and every operation rounded on its own,
/// `(0 + f32(dot_0) * row_scale_0 + f32(dot_1) * row_scale_1 + ...) * scales[column] (+ bias[column])`, where `dot_g`
/// is the exact integer product of the levels of group g. Weights are stored plus 128; the corrections of the rows
/// undo that.
#[derive(Clone, Copy, Debug)]
pub struct Product<'a> {
    tiles: &'a [u8],
    /// Lines of 64 bytes of one tile.
    lines: usize,
    scales: &'a [f32],
    bias: Option<&'a [f32]>,
    rows: RowsView<'a>,
    /// Elements from one row of the output to the next.
    stride: usize,
    /// Whether the tiles are taken to lie in no cache: a kernel may ask for them ahead.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "other kernels leave it to the processor")
    )]
    cold: bool,
}

impl<'a> Product<'a> {
    /// Tiles of `lines` lines times `rows`.
    pub fn new(
        tiles: &'a [u8],
        lines: usize,
        scales: &'a [f32],
        bias: Option<&'a [f32]>,
        rows: RowsView<'a>,
        stride: usize,
    ) -> Product<'a> {
        Product {
            tiles,
            lines,
            scales,
            bias,
            rows,
            stride,
            cold: false,
        }
    }

    /// The same product, whose tiles are in no cache if `cold` is right. It is a matter of time alone.
    pub fn cold(self, cold: bool) -> Product<'a> {
        Product { cold, ..self }
    }

    /// The first `tiles` tiles of a matrix times `rows`; `bias` is padded to whole tiles.
    pub fn of(
        matrix: &Matrix<'a>,
        bias: Option<&'a [f32]>,
        rows: RowsView<'a>,
        stride: usize,
    ) -> Product<'a> {
        let lines = matrix.columns.next_multiple_of(GROUP) / 4;
        let tiles = matrix.rows.div_ceil(LANES);
        Product::new(
            &matrix.tiles[..tiles * lines * LINE],
            lines,
            &matrix.scales[..tiles * LANES],
            bias,
            rows,
            stride,
        )
    }

    /// The same product for some of the tiles alone, their columns beginning at 0.
    pub fn part(&self, tiles: Range<usize>, stride: usize) -> Product<'a> {
        let columns = tiles.start * LANES..tiles.end * LANES;
        let bytes = self.lines * LINE;
        Product {
            tiles: &self.tiles[tiles.start * bytes..tiles.end * bytes],
            scales: &self.scales[columns.clone()],
            bias: self.bias.map(|bias| &bias[columns]),
            stride,
            ..*self
        }
    }

    fn tile_count(&self) -> usize {
        self.scales.len() / LANES
    }

    /// Panics unless everything holds that the kernels take for granted.
    fn check(&self, out: usize) {
        let tiles = self.tile_count();
        let columns = tiles * LANES;
        assert!(self.scales.len() == columns);
        assert!(self.tiles.len() == area(tiles, area(self.lines, LINE)));
        assert!(self.bias.is_none_or(|bias| bias.len() >= columns));
        let rows = &self.rows;
        assert!(rows.width >= area(self.lines, 4));
        assert!(rows.groups == self.lines.div_ceil(LINES_PER_GROUP));
        assert!(rows.levels.len() >= area(rows.count, rows.width));
        assert!(rows.scales.len() >= area(rows.count, rows.groups));
        assert!(rows.corrections.len() >= area(rows.count, rows.groups));
        if let Some(before) = rows.count.checked_sub(1) {
            assert!(columns <= self.stride || before == 0);
            let last = area(before, self.stride);
            assert!(out.checked_sub(last).is_some_and(|left| left >= columns));
        }
    }
}

/// The product of two sizes.
///
/// # Panics
/// If it does not fit, so that no check passes because a product wrapped.
fn area(rows: usize, columns: usize) -> usize {
    rows.checked_mul(columns).expect("a size fits")
}

/// Values of consecutive positions and the weights that several queries give them.
///
/// `values` holds, for every four of the positions, which are a multiple of 16, `width` times four levels: all four of one
/// dimension together. The weight of position i for query q is `128 * high + low`, both below 128, at
/// `q * stride + offset + i`.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// Levels, `width * 4` bytes for every four positions.
    pub values: &'a [i8],
    /// Dimensions of a value, a multiple of 16.
    pub width: usize,
    /// Queries.
    pub queries: usize,
    /// Upper seven bits of the weights.
    pub high: &'a [u8],
    /// Lower seven bits of the weights.
    pub low: &'a [u8],
    /// Weights from one query to the next.
    pub stride: usize,
    /// Index of the first position's weight.
    pub offset: usize,
    /// Whether the values are taken to lie in no cache: a kernel may ask for them ahead.
    pub cold: bool,
}

impl Values<'_> {
    /// Panics unless everything holds that the kernels take for granted.
    fn check(&self, sums: usize) {
        assert!(self.width > 0 && self.width.is_multiple_of(LANES));
        let positions = self.values.len() / self.width;
        assert!(self.values.len() == positions * self.width && positions.is_multiple_of(LANES));
        let left = self.stride.checked_sub(self.offset);
        assert!(left.is_some_and(|left| left >= positions));
        assert!(self.high.len() >= area(self.queries, self.stride));
        assert!(self.low.len() >= area(self.queries, self.stride));
        assert!(sums >= area(self.queries, self.width));
    }
}
