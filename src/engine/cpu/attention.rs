//! Attention of a few consecutive rows of one stream over the keys and values of one head.
//!
//! The scores are a product of quantised queries with stored keys, the softmax weights are
//! integers, and the sum of weighted values is exact, so neither the slot of a key in the ring nor
//! the other rows of a task change a bit.

use super::cache::Plane;
use crate::engine::angles::Angles;
use crate::engine::cpu::kernels::reference::MASKED;
use crate::engine::cpu::kernels::{Kernels, LANES, Product, QuantizedRows, Values, levels_of};
use crate::machine::aligned::{Aligned, LINE};
use crate::machine::prefetch::prefetch_range;
use crate::numerics::LOG2_E;

/// Bytes of values that are prefetched before the kernel weighs them; the kernel prefetches the
/// rest.
const FIRST_VALUES: usize = 16 << 10;

/// Rotary angles of the rows of a pass.
#[derive(Debug, Default)]
pub(super) struct RowAngles {
    pub(super) own: Angles,
    /// At the positions that the rows have for sinks that have left the window.
    pub(super) for_sinks: Angles,
}

/// The buffers of one thread for attention.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    rotated: Vec<f32>,
    queries: QuantizedRows,
    sink_queries: QuantizedRows,
    /// For each query the scores of the visible positions, in order, then 16 places for sinks.
    scores: Vec<f32>,
    value_scales: Vec<f32>,
    /// Upper and lower bits of the weights. Those of each query begin at a cache line; what lies
    /// between them is not used.
    high: Aligned<u8>,
    low: Aligned<u8>,
    sums: Vec<i32>,
    factors: Vec<f32>,
}

/// Rows of one stream, and some of the query heads that share one key/value head.
#[derive(Debug)]
pub(super) struct Task<'a> {
    pub(super) plane: &'a Plane,
    /// Position of the first row in the stream.
    pub(super) position: u64,
    /// Rows of `heads` queries each, unrotated, `stride` apart.
    pub(super) queries: &'a [f32],
    pub(super) stride: usize,
    /// Index of the first row in the angles.
    pub(super) first: usize,
    pub(super) rows: usize,
    pub(super) heads: usize,
    pub(super) head_dim: usize,
    /// Whether keys and values are assumed not to be in a cache of the processor.
    pub(super) cold: bool,
    /// Largest integer weight.
    pub(super) top: f32,
    /// Cap of the scores in base 2, or 0.
    pub(super) cap: f32,
    /// Whether queries are quantised to two levels.
    pub(super) wide: bool,
    /// `rows * heads * head_dim` results.
    pub(super) out: &'a mut [f32],
}

impl Task<'_> {
    pub(super) fn run(&mut self, kernels: Kernels, angles: &RowAngles, scratch: &mut Scratch) {
        let (window, sinks) = (self.plane.window as u64, self.plane.sink_count);
        let last = self.position + self.rows as u64 - 1;
        let with_sinks = sinks > 0 && last >= window;
        // Positions in sight of any row, in whole tiles.
        let first_tile = (self.position + 1).saturating_sub(window) / LANES as u64;
        let tiles = (last / LANES as u64 + 1 - first_tile) as usize;
        let base = first_tile * LANES as u64;
        let positions = tiles * LANES;
        let stride = positions + if with_sinks { LANES } else { 0 };
        let queries = self.rows * self.heads;

        // One product scores all queries against a run of tiles; the ring may cut the positions in
        // two runs.
        let ring_tiles = self.plane.ring.tiles();
        let start = (first_tile % ring_tiles as u64) as usize;
        let before_wrap = tiles.min(ring_tiles - start);
        let runs = [
            (start..start + before_wrap, 0),
            (0..tiles - before_wrap, before_wrap * LANES),
        ];

        self.quantize_queries(
            kernels,
            &angles.own,
            &mut scratch.rotated,
            &mut scratch.queries,
        );
        // A wide product needs room for the scores of both levels.
        let rows = queries * levels_of(self.wide);
        scratch.scores.resize(rows * stride, 0.0);
        scratch.value_scales.resize(stride, 0.0);
        for (tiles, column) in &runs {
            let (keys, scales) = self.plane.ring.keys(tiles.clone());
            let product = Product::new(
                keys,
                self.plane.ring.lines,
                scales,
                None,
                scratch.queries.view(),
                stride,
            )
            .cold(self.cold);
            if !tiles.is_empty() {
                kernels.product(&product, &mut scratch.scores[*column..]);
            }
            let (_, scales) = self.plane.ring.values(tiles.clone());
            scratch.value_scales[*column..][..scales.len()].copy_from_slice(scales);
        }
        if with_sinks {
            self.quantize_queries(
                kernels,
                &angles.for_sinks,
                &mut scratch.rotated,
                &mut scratch.sink_queries,
            );
            let (keys, scales) = self.plane.sinks.keys(0..1);
            let rows = scratch.sink_queries.view();
            let product = Product::new(keys, self.plane.sinks.lines, scales, None, rows, stride);
            kernels.product(&product, &mut scratch.scores[positions..]);
            scratch.value_scales[positions..].copy_from_slice(self.plane.sinks.values(0..1).1);
        }

        if self.cold {
            // The values are next; the softmax comes before.
            let first = self.plane.ring.values(runs[0].0.clone()).0;
            prefetch_range(first, 0..FIRST_VALUES);
        }
        let weights = stride.next_multiple_of(LINE);
        scratch.high.resize(queries * weights, 0);
        scratch.low.resize(queries * weights, 0);
        let width = self.plane.ring.width;
        scratch.factors.clear();
        for query in 0..queries {
            let position = self.position + (query / self.heads) as u64;
            let scores = &mut scratch.scores[query * stride..][..stride];
            let left = (position + 1).saturating_sub(window);
            kernels.soft_cap(scores, self.cap);
            scores[..(left - base) as usize].fill(MASKED);
            scores[(position + 1 - base) as usize..positions].fill(MASKED);
            if with_sinks {
                // Sink j is seen here once the window has passed it.
                scores[positions + left.min(sinks as u64) as usize..].fill(MASKED);
            }
            let places = query * weights..query * weights + stride;
            let (high, low) = (&mut scratch.high[places.clone()], &mut scratch.low[places]);
            scratch.factors.push(kernels.softmax(
                scores,
                &scratch.value_scales,
                self.top,
                high,
                low,
            ));
        }

        scratch.sums.clear();
        scratch.sums.resize(queries * width, 0);
        let mut add = |values: &[i8], offset: usize| {
            let (high, low) = (&scratch.high, &scratch.low);
            kernels.values(
                &Values {
                    values,
                    width,
                    queries,
                    high,
                    low,
                    stride: weights,
                    offset,
                    cold: self.cold,
                },
                &mut scratch.sums,
            );
        };
        for (tiles, column) in runs {
            add(self.plane.ring.values(tiles).0, column);
        }
        if with_sinks {
            add(self.plane.sinks.values(0..1).0, positions);
        }
        for (query, out) in self.out.chunks_exact_mut(self.head_dim).enumerate() {
            kernels.scale_sums(
                &scratch.sums[query * width..][..self.head_dim],
                scratch.factors[query],
                out,
            );
        }
    }

    /// Rotates and quantises every query; its scales include `1/sqrt(head_dim)` and the change to
    /// base 2.
    fn quantize_queries(
        &self,
        kernels: Kernels,
        angles: &Angles,
        rotated: &mut Vec<f32>,
        out: &mut QuantizedRows,
    ) {
        let factor = LOG2_E / (self.head_dim as f32).sqrt();
        rotated.resize(self.head_dim, 0.0);
        out.resize(self.rows * self.heads, self.head_dim, 4, self.wide);
        for row in 0..self.rows {
            let (cos, sin) = angles.row(self.first + row, self.head_dim / 2);
            for head in 0..self.heads {
                let query =
                    &self.queries[row * self.stride + head * self.head_dim..][..self.head_dim];
                kernels.rotate(query, cos, sin, rotated);
                let index = row * self.heads + head;
                out.set(kernels, index, rotated);
            }
        }
        out.scale(factor);
    }
}
