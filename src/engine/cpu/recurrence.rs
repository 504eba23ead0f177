//! A layer with a recurrence: what it keeps of a stream, and how one head runs a few rows.
//!
//! `checkpoints` says which rows a call runs and what it keeps.

use super::kernels::{DeltaRows, Kernels, RECURRENT_WIDTH};
use super::weights::Recurrence;
use crate::arch::block::{MOST_TAPS, Recurrent};
use crate::engine::checkpoints::Span;
use crate::engine::runtime::RECURRENT_SLACK;
use crate::machine::MachineError;
use crate::machine::memory::{copied, filled};
use crate::numerics::{LOG2_E, exp2_or_zero, sigmoid, softplus};
use std::ops::Range;

/// What the memory is for, in error messages.
const WHAT: &str = "a stream's recurrent states";

/// Columns of a state that are computed together.
type Columns = [f32; RECURRENT_WIDTH];

/// What one layer keeps of a stream.
#[derive(Debug)]
pub(super) struct RecurrentLayer {
    /// The state at the checkpoint: of each value head, for each block of columns, [`key_dim`].
    checkpoint: Vec<Columns>,
    /// The state behind the last token, unless tokens have been taken back.
    last: Vec<Columns>,
    /// The first numbers of the projection: `taps - 1` rows before the checkpoint, then those
    /// behind it.
    rows: Vec<f32>,
}

/// The number of blocks of columns in a value.
fn blocks(shape: &Recurrent) -> usize {
    shape.value_dim.div_ceil(RECURRENT_WIDTH)
}

/// Bytes that one recurrent layer keeps of a stream.
pub fn recurrent_state_len(shape: &Recurrent) -> u64 {
    let columns = 2 * shape.value_heads * blocks(shape) * shape.key_dim * RECURRENT_WIDTH;
    let rows = (shape.taps - 1 + RECURRENT_SLACK) * shape.kept_rows();
    ((columns + rows) * size_of::<f32>()) as u64
}

impl RecurrentLayer {
    /// The states of a stream of no tokens.
    pub(super) fn new(shape: &Recurrent) -> Result<RecurrentLayer, MachineError> {
        let columns = shape.value_heads * blocks(shape) * shape.key_dim;
        let rows = shape.taps - 1 + RECURRENT_SLACK;
        Ok(RecurrentLayer {
            checkpoint: filled(WHAT, columns, [0.0; RECURRENT_WIDTH])?,
            last: filled(WHAT, columns, [0.0; RECURRENT_WIDTH])?,
            rows: filled(WHAT, rows * shape.kept_rows(), 0.0)?,
        })
    }

    pub(super) fn try_clone(&self) -> Result<RecurrentLayer, MachineError> {
        Ok(RecurrentLayer {
            checkpoint: copied(WHAT, &self.checkpoint, 0)?,
            last: copied(WHAT, &self.last, 0)?,
            rows: copied(WHAT, &self.rows, 0)?,
        })
    }

    /// Forgets everything.
    pub(super) fn reset(&mut self) {
        self.checkpoint.fill([0.0; RECURRENT_WIDTH]);
        self.rows.fill(0.0);
    }
}

/// One value head for the rows of a part.
pub(super) struct Task<'a> {
    head: usize,
    span: Span,
    checkpoint: &'a mut [Columns],
    last: &'a mut [Columns],
    /// Rows kept of the stream, `kept_rows` numbers each.
    kept: &'a [f32],
    /// Rows of the projection of this part, `stride` apart.
    inputs: &'a [f32],
    stride: usize,
    /// [rows, `value_dim`]
    out: &'a mut [f32],
}

/// The buffers of one thread: what a head makes of its rows, [rows] of each.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    keys: Vec<f32>,
    queries: Vec<f32>,
    /// [blocks, rows]
    values: Vec<Columns>,
    kept: Vec<f32>,
    learned: Vec<f32>,
    /// [blocks, rows]
    given: Vec<Columns>,
    row: Vec<f32>,
}

impl RecurrentLayer {
    /// Begins a part of a call: a task for each value head, with its place for results, and the
    /// rows of the projection, `stride` apart.
    pub(super) fn tasks<'a>(
        &'a mut self,
        shape: &Recurrent,
        span: Span,
        inputs: &'a [f32],
        stride: usize,
        outs: impl Iterator<Item = &'a mut [f32]>,
    ) -> impl Iterator<Item = Task<'a>> {
        if span.begins && span.again == 0 && span.kept > 0 {
            std::mem::swap(&mut self.checkpoint, &mut self.last);
        }
        let columns = blocks(shape) * shape.key_dim;
        let (kept, states) = (
            &self.rows[..],
            (self.checkpoint.chunks_exact_mut(columns)).zip(self.last.chunks_exact_mut(columns)),
        );
        let heads = states.zip(outs).enumerate();
        heads.map(move |(head, ((checkpoint, last), out))| Task {
            head,
            span,
            checkpoint,
            last,
            kept,
            inputs,
            stride,
            out,
        })
    }

    /// Keeps the rows that the tokens behind the checkpoint gave, and some before them.
    pub(super) fn keep<'a>(
        &mut self,
        shape: &Recurrent,
        span: Span,
        inputs: impl ExactSizeIterator<Item = &'a [f32]>,
    ) {
        let (width, front) = (shape.kept_rows(), (shape.taps - 1) * shape.kept_rows());
        if span.begins {
            self.rows
                .copy_within(span.kept * width..span.kept * width + front, 0);
        }
        let first = if span.begins { 0 } else { span.kept };
        for (index, input) in inputs.enumerate() {
            let input = &input[..width];
            match index.checked_sub(span.before) {
                Some(behind) => {
                    self.rows[front + (first + behind) * width..][..width].copy_from_slice(input);
                }
                // Only the last rows before the checkpoint stay.
                None if span.before - index < shape.taps => {
                    self.rows.copy_within(width..front, 0);
                    self.rows[front - width..front].copy_from_slice(input);
                }
                None => {}
            }
        }
    }
}

impl Task<'_> {
    /// Computes what the head gives for the rows of the part.
    pub(super) fn run(
        &mut self,
        kernels: Kernels,
        weights: &Recurrence,
        eps: f32,
        scratch: &mut Scratch,
    ) {
        let shape = &weights.shape;
        let rows = self.out.len() / shape.value_dim;
        let all = self.span.again + rows;
        self.prepare(kernels, weights, all, scratch);
        scratch
            .given
            .resize(all * blocks(shape), [0.0; RECURRENT_WIDTH]);
        let first = self.span.again + self.span.before;
        for block in 0..blocks(shape) {
            let columns = block * shape.key_dim..(block + 1) * shape.key_dim;
            let checkpoint = &mut self.checkpoint[columns.clone()];
            let last = &mut self.last[columns];
            let (values, given) = (
                &scratch.values[block * all..][..all],
                &mut scratch.given[block * all..][..all],
            );
            let dim = shape.key_dim;
            let part = |rows: Range<usize>| DeltaRows {
                keys: &scratch.keys[rows.start * dim..rows.end * dim],
                queries: &scratch.queries[rows.start * dim..rows.end * dim],
                values: &values[rows.clone()],
                kept: &scratch.kept[rows.clone()],
                learned: &scratch.learned[rows],
            };
            let (before, behind) = given.split_at_mut(first);
            kernels.delta_rule(checkpoint, &part(0..first), before);
            if self.span.checkpoint.is_some() {
                last.copy_from_slice(checkpoint);
            }
            kernels.delta_rule(last, &part(first..all), behind);
        }
        let gates = shape.kept_rows() + self.head * shape.value_dim;
        let outs = self.out.chunks_exact_mut(shape.value_dim);
        for (row, out) in outs.enumerate() {
            let row_given = (0..blocks(shape))
                .flat_map(|block| &scratch.given[block * all + self.span.again + row]);
            scratch.row.clear();
            scratch.row.extend(row_given.take(shape.value_dim));
            kernels.rms_norm(&scratch.row, &weights.norm, eps, out);
            let gate = &self.inputs[row * self.stride + gates..][..shape.value_dim];
            kernels.gate_silu(out, gate);
        }
    }

    /// Computes what the delta rule takes for `all` rows: those that run again, then the part's.
    fn prepare(&self, kernels: Kernels, weights: &Recurrence, all: usize, scratch: &mut Scratch) {
        let shape = &weights.shape;
        let (dim, width, channels) = (shape.key_dim, shape.kept_rows(), shape.channels());
        let (head, key_head) = (self.head, self.head / (shape.value_heads / shape.key_heads));
        let (query, key, value) = (
            key_head * dim,
            (shape.key_heads + key_head) * dim,
            2 * shape.key_heads * dim + head * shape.value_dim,
        );
        let factor = 1.0 / (dim as f32).sqrt();
        scratch.keys.resize(all * dim, 0.0);
        scratch.queries.resize(all * dim, 0.0);
        scratch
            .values
            .resize(all * blocks(shape), [0.0; RECURRENT_WIDTH]);
        scratch.kept.resize(all, 0.0);
        scratch.learned.resize(all, 0.0);
        scratch.row.resize(shape.value_dim, 0.0);
        // The rows that the convolution sees, from the first one before those that run again on.
        let (front, first) = (shape.taps - 1, self.span.kept - self.span.again);
        let input = |row: usize| match row.checked_sub(front + self.span.again) {
            Some(row) => &self.inputs[row * self.stride..],
            None => &self.kept[(first + row) * width..],
        };
        for row in 0..all {
            let convolve = |from: usize, out: &mut [f32]| {
                let (mut rows, mut of_taps) = ([&[][..]; MOST_TAPS], [&[][..]; MOST_TAPS]);
                for tap in 0..shape.taps {
                    rows[tap] = &input(row + tap)[from..][..out.len()];
                    of_taps[tap] = &weights.conv[tap * channels + from..][..out.len()];
                }
                kernels.convolve(&rows[..shape.taps], &of_taps[..shape.taps], out);
            };
            let queries = &mut scratch.queries[row * dim..][..dim];
            convolve(query, queries);
            kernels.unit(queries, factor);
            let keys = &mut scratch.keys[row * dim..][..dim];
            convolve(key, keys);
            kernels.unit(keys, 1.0);
            convolve(value, &mut scratch.row);
            for (block, values) in scratch.row.chunks(RECURRENT_WIDTH).enumerate() {
                scratch.values[block * all + row][..values.len()].copy_from_slice(values);
            }
            let numbers = &input(row + front)[channels..];
            let (learning, decay) = (numbers[head], numbers[shape.value_heads + head]);
            let rate = weights.rate[head] * -LOG2_E;
            scratch.kept[row] = exp2_or_zero(rate * softplus(decay + weights.shift[head]));
            scratch.learned[row] = sigmoid(learning);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_keeps_as_much_as_is_said() {
        let shape = Recurrent {
            layers: vec![0],
            key_heads: 2,
            value_heads: 6,
            key_dim: 12,
            value_dim: 40,
            taps: 4,
        };
        let layer = RecurrentLayer::new(&shape).unwrap();
        let states = [&layer.checkpoint[..], &layer.last[..]].map(size_of_val);
        let kept = states.iter().sum::<usize>() + size_of_val(&layer.rows[..]);
        assert_eq!(kept as u64, recurrent_state_len(&shape));
    }
}
