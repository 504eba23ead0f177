//! What the kernels take: rows of activations, tiles of weights, values and their softmax weights.
//!
//! [`Product`] and [`Values`] check every size, and that no product of sizes overflows, before a
//! kernel reads through a pointer.

use std::ops::Range;

use crate::arch::config::{GROUP, TILE};
use crate::machine::aligned::Aligned;
use crate::packed::Matrix;

/// Stripes of every reduction, and output rows of a tile.
pub const LANES: usize = 16;
const _: () = assert!(LANES == TILE);
/// Lines of a tile, of four columns each, that make one quantisation group.
pub(super) const LINES_PER_GROUP: usize = GROUP / 4;
/// Bytes of one line of a tile.
pub(super) const LINE: usize = LANES * 4;

/// Cuts `0..count` into as few ranges of at most `most` as possible, of nearly equal length: 8 in
/// ranges of at most 6 are 4 and 4, not 6 and 2.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
pub(super) fn shares(count: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = count.div_ceil(most);
    (0..parts).map(move |part| count * part / parts..count * (part + 1) / parts)
}

/// Rows of levels that a row of activations has.
pub fn levels_of(wide: bool) -> usize {
    1 + usize::from(wide)
}

/// Activation rows, quantised in groups of 64: to one level for each value, or, if they are wide,
/// to a second one of what the first has left over.
#[derive(Clone, Debug, Default)]
pub struct QuantizedRows {
    /// Rows of levels: those of wide rows are the first levels of all, then the second of all.
    pub(super) count: usize,
    wide: bool,
    /// Values of a row.
    pub(super) columns: usize,
    /// Bytes of a row: `columns`, padded as the columns of the weights are.
    pub(super) width: usize,
    pub(super) groups: usize,
    pub(super) levels: Aligned<i8>,
    pub(super) scales: Vec<f32>,
    pub(super) corrections: Vec<i32>,
}

impl QuantizedRows {
    /// Makes room for `count` rows of `columns` values, padded to a multiple of `pad`: 4 or 64, or
    /// the width of rows to be copied.
    pub fn resize(&mut self, count: usize, columns: usize, pad: usize, wide: bool) {
        let count = area(count, levels_of(wide));
        (self.count, self.columns, self.wide) = (count, columns, wide);
        self.width = columns.next_multiple_of(pad);
        self.groups = columns.div_ceil(GROUP);
        self.levels.resize(area(count, self.width), 0);
        self.scales.resize(area(count, self.groups), 0.0);
        self.corrections.resize(area(count, self.groups), 0);
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.count / levels_of(self.wide)
    }

    /// Multiplies all scales by `factor`.
    pub fn scale(&mut self, factor: f32) {
        self.scales.iter_mut().for_each(|scale| *scale *= factor);
    }

    /// Becomes a copy of some rows of `all`.
    pub fn gather(&mut self, all: &QuantizedRows, rows: &[usize]) {
        self.resize(rows.len(), all.columns, all.width.max(1), all.wide);
        let count = all.count();
        let taken: Vec<usize> = match all.wide {
            true => rows
                .iter()
                .copied()
                .chain(rows.iter().map(|row| count + row))
                .collect(),
            false => rows.to_vec(),
        };
        gather(&mut self.levels, &all.levels, self.width, &taken);
        gather(&mut self.scales, &all.scales, self.groups, &taken);
        gather(&mut self.corrections, &all.corrections, self.groups, &taken);
    }

    /// The rows, to be filled in any order.
    pub fn slots(&mut self) -> impl Iterator<Item = QuantizedRowMut<'_>> {
        let (columns, count) = (self.columns, self.count());
        let (width, groups) = (self.width, self.groups);
        let levels = self.levels.split_at_mut(count * width);
        let scales = self.scales.split_at_mut(count * groups);
        let corrections = self.corrections.split_at_mut(count * groups);
        let mut second = row_levels(levels.1, scales.1, corrections.1, width, groups);
        row_levels(levels.0, scales.0, corrections.0, width, groups).map(move |first| {
            QuantizedRowMut {
                columns,
                first,
                second: second.next(),
            }
        })
    }

    /// All rows, to be multiplied.
    pub fn view(&self) -> QuantizedRowsRef<'_> {
        QuantizedRowsRef {
            count: self.count,
            wide: self.wide,
            width: self.width,
            groups: self.groups,
            levels: &self.levels,
            scales: &self.scales,
            corrections: &self.corrections,
        }
    }
}

/// Copies rows of `width` values.
fn gather<T: Copy>(to: &mut [T], from: &[T], width: usize, rows: &[usize]) {
    for (to, row) in to.chunks_exact_mut(width.max(1)).zip(rows) {
        to.copy_from_slice(&from[row * width..][..width]);
    }
}

/// One row, to be filled.
#[derive(Debug)]
pub struct QuantizedRowMut<'a> {
    pub(super) columns: usize,
    pub(super) first: RowLevels<'a>,
    /// Of a wide row.
    pub(super) second: Option<RowLevels<'a>>,
}

/// One row of levels, to be filled.
#[derive(Debug)]
pub(super) struct RowLevels<'a> {
    pub(super) levels: &'a mut [i8],
    pub(super) scales: &'a mut [f32],
    pub(super) corrections: &'a mut [i32],
}

/// Rows of `width` levels in `groups` groups.
fn row_levels<'a>(
    levels: &'a mut [i8],
    scales: &'a mut [f32],
    corrections: &'a mut [i32],
    width: usize,
    groups: usize,
) -> impl Iterator<Item = RowLevels<'a>> {
    let scales = scales.chunks_exact_mut(groups.max(1));
    let corrections = corrections.chunks_exact_mut(groups.max(1));
    levels
        .chunks_exact_mut(width.max(1))
        .zip(scales.zip(corrections))
        .map(|(levels, (scales, corrections))| RowLevels {
            levels,
            scales,
            corrections,
        })
}

/// Quantised rows to be multiplied.
#[derive(Clone, Copy, Debug)]
pub struct QuantizedRowsRef<'a> {
    pub(super) count: usize,
    pub(super) wide: bool,
    pub(super) width: usize,
    pub(super) groups: usize,
    pub(super) levels: &'a [i8],
    pub(super) scales: &'a [f32],
    pub(super) corrections: &'a [i32],
}

/// A product of quantised rows with tiled weights.
///
/// Element (row, column) is
/// `(0 + f32(dot_0) * row_scale_0 + f32(dot_1) * row_scale_1 + ...) * scales[column]`, plus
/// `bias[column]` if there is a bias. `dot_g` is the exact scalar product of the levels of group g.
/// Groups are added in ascending order, and every operation rounds on its own. For wide rows, the
/// same is added with their second levels before the bias is. Weights are stored plus 128; the
/// corrections of the rows undo that.
#[derive(Clone, Copy, Debug)]
pub struct Product<'a> {
    pub(super) tiles: &'a [u8],
    /// Lines of 64 bytes of one tile.
    pub(super) lines: usize,
    pub(super) scales: &'a [f32],
    pub(super) bias: Option<&'a [f32]>,
    pub(super) rows: QuantizedRowsRef<'a>,
    /// Elements from one row of the output to the next.
    pub(super) stride: usize,
    /// Whether the tiles probably lie in no cache, so that a kernel should prefetch them.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "other kernels leave it to the processor")
    )]
    pub(super) cold: bool,
}

impl<'a> Product<'a> {
    /// Tiles of `lines` lines times `rows`.
    pub fn new(
        tiles: &'a [u8],
        lines: usize,
        scales: &'a [f32],
        bias: Option<&'a [f32]>,
        rows: QuantizedRowsRef<'a>,
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

    /// The same product; `cold` says whether its tiles probably lie in no cache. The result does
    /// not depend on it.
    pub fn cold(self, cold: bool) -> Product<'a> {
        Product { cold, ..self }
    }

    /// The product of `rows` and a matrix whose rows are padded to whole tiles. `bias` is padded in
    /// the same way.
    pub fn of(
        matrix: &Matrix<'a>,
        bias: Option<&'a [f32]>,
        rows: QuantizedRowsRef<'a>,
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

    /// The product of some of the tiles; their first column becomes column 0.
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

    /// Rows of the result. A wide product needs room for twice as many, of which the second half is
    /// left undefined.
    pub(super) fn rows(&self) -> usize {
        self.rows.count / levels_of(self.rows.wide)
    }

    /// Elements of the output, with what a wide product leaves undefined.
    pub fn room(&self) -> usize {
        area(self.rows.count, self.stride)
    }

    pub(super) fn tile_count(&self) -> usize {
        self.scales.len() / LANES
    }

    /// Panics unless everything holds that the kernels take for granted.
    pub(super) fn check(&self, out: usize) {
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
pub(super) fn area(rows: usize, columns: usize) -> usize {
    rows.checked_mul(columns).expect("a size fits")
}

/// Values of consecutive positions and the weights that several queries give them.
///
/// The number of positions is a multiple of 16. `values` holds `width * 4` levels for every four
/// positions, the four of one dimension together. The weight that query q gives to position i is
/// `128 * high + low`, both below 128, at index `q * stride + offset + i`.
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
    /// Whether the values probably lie in no cache, so that a kernel should prefetch them.
    pub cold: bool,
}

impl Values<'_> {
    /// Panics unless everything holds that the kernels take for granted.
    pub(super) fn check(&self, sums: usize) {
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
