//! One pass through the layers: rows of many streams, in the order of the reference.

use std::sync::Arc;

use super::attention::{RowAngles, Task};
use super::cache::{Cache, Plane};
use super::kernels::{Kernels, LANES, Product, QuantizedRows};
use super::weights::{Attention, Layer, Linear, Mixer, NormWeights, Weights};
use super::workspace::{ThreadBuffers, Workspace};
use crate::arch::block::Norm;
use crate::engine::passes::{Part, Run, Tracked};
use crate::engine::runtime::{Predictions, SLACK};
use crate::machine::pool::Pool;
use crate::numerics::LOG2_E;
use crate::packed::quantize::tiled_offset;
use crate::packed::{Matrix, PackedModel};

/// A packed model smaller than this is assumed to stay in the processor's caches, with its keys and
/// values.
const CACHES: usize = 16 << 20;
/// Rows of one pass.
pub(super) const PASS: usize = SLACK;
/// The number of queries that an attention task should have.
const TASK_QUERIES: usize = 12;
/// Fewer rows than this are not worth waking other threads for.
const SERIAL_ROWS: usize = 8;

/// The new keys and values of one key/value head of one stream.
struct NewKeys<'a> {
    plane: &'a mut Plane,
    head: usize,
    part: Part,
    /// Position of the part's first row.
    position: u64,
}

/// When `projected`, the result of the block before, is added to x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Add {
    /// Never: nothing is waiting.
    Nothing,
    /// Before the norm of x is taken.
    First,
    /// After the norm of x has been taken.
    Afterwards,
}

/// What a pass needs of an engine.
#[derive(Debug)]
pub(super) struct Layers {
    pub(super) model: Arc<PackedModel>,
    pub(super) weights: Weights,
    pub(super) kernels: Kernels,
    pub(super) pool: Pool,
    /// Positions that attention sees: the model's window, except in measurements.
    pub(super) window: usize,
}

impl Layers {
    /// Whether weights, keys and values are too many for the processor's caches.
    pub(super) fn is_cold(&self) -> bool {
        self.model.size() >= CACHES
    }

    /// One pass of at most [`PASS`] rows through all layers. Without `predictions`, it only adds to
    /// the caches.
    pub(super) fn pass(
        &self,
        ws: &mut Workspace,
        runs: &mut [Run<'_, Cache>],
        parts: &[Part],
        predictions: Option<&mut Predictions>,
    ) {
        let config = self.model.config();
        let rows: usize = parts.iter().map(|part| part.len).sum();
        let positions = || {
            parts.iter().flat_map(|part| {
                let first = runs[part.run].state.position_in_context();
                first..first + part.len as u64
            })
        };
        // For sinks that have left the window, a query's position stops here: all sinks have just
        // left.
        let furthest = (self.window + config.sinks).saturating_sub(1) as u64;
        let tables = &self.weights.step_tables;
        ws.angles.resize_with(tables.len(), RowAngles::default);
        for (angles, steps) in ws.angles.iter_mut().zip(tables) {
            angles.own.set(steps, positions());
            let for_sinks = positions().map(|position| position.min(furthest));
            angles.for_sinks.set(steps, for_sinks);
        }

        ws.x.resize(rows * config.hidden, 0.0);
        let embed = self.model.matrix_at(self.weights.embed.index);
        let tokens = parts
            .iter()
            .flat_map(|part| &runs[part.run].tokens[part.start..][..part.len]);
        for (x, token) in ws.x.chunks_exact_mut(config.hidden).zip(tokens) {
            embed_token(&embed, *token, x);
        }
        if !self.weights.positions.is_empty() {
            for (x, position) in ws.x.chunks_exact_mut(config.hidden).zip(positions()) {
                let learned = &self.weights.positions[position as usize * config.hidden..];
                self.kernels.add(x, &learned[..config.hidden]);
            }
        }

        for (index, layer) in self.weights.layers.iter().enumerate() {
            // x += attention(norm(x)), or a recurrence in its place
            let wide = config.block.wide;
            self.norm_and_quantize(ws, layer.attn_norm.as_ref(), Add::Nothing, wide.qkv);
            self.mix(ws, runs, parts, index, layer);
            self.norm_projected(ws, layer.attn_post_norm.as_ref());

            // x += down(f(gate(norm(x))) * up(norm(x)))
            let add = match config.block.parallel {
                true => Add::Afterwards,
                false => Add::First,
            };
            let norm = layer.ffn_norm.as_ref();
            match &layer.router {
                None => {
                    self.norm_and_quantize(ws, norm, add, wide.gate_up);
                    self.linear(&layer.gate_up, &ws.rows, &mut ws.gate_up);
                    self.activate_and_quantize(ws, rows);
                    self.linear(&layer.down, &ws.rows, &mut ws.projected);
                }
                Some(router) => {
                    self.norm_and_route(ws, norm, router, add, wide.gate_up);
                    self.mix_experts(ws, layer, rows);
                }
            }
            self.norm_projected(ws, layer.ffn_post_norm.as_ref());
            self.add_projected(ws);
        }

        if let Some(predictions) = predictions {
            self.predict(ws, parts, predictions);
        }
        for part in parts {
            let run = &mut runs[part.run];
            let behind = run.span(part).behind();
            run.state.track_mut().set_behind(behind);
            run.state.track_mut().advance(part.len);
        }
    }

    /// `projected` becomes what attention or a recurrence makes of the rows in `ws.rows`.
    fn mix(
        &self,
        ws: &mut Workspace,
        runs: &mut [Run<'_, Cache>],
        parts: &[Part],
        index: usize,
        layer: &Layer,
    ) {
        let config = self.model.config();
        match &layer.mixer {
            Mixer::Attention(attention) => {
                self.linear(&attention.qkv, &ws.rows, &mut ws.qkv);
                if let Some((q_norm, k_norm)) = &attention.qk_norms {
                    self.normalize_queries_and_keys(ws, q_norm, k_norm);
                }
                self.store_keys_and_values(ws, runs, parts, index, attention);
                self.attend(ws, runs, parts, index, attention);
                self.quantize_attended(
                    ws,
                    config.kv_heads,
                    config.heads_per_kv() * config.head_dim,
                );
                self.linear(&attention.out, &ws.rows, &mut ws.projected);
            }
            Mixer::Recurrence(recurrence) => {
                self.linear(&recurrence.inputs, &ws.rows, &mut ws.qkv);
                self.recur(ws, runs, parts, index, recurrence);
                let shape = &recurrence.shape;
                self.quantize_attended(ws, shape.value_heads, shape.value_dim);
                self.linear(&recurrence.out, &ws.rows, &mut ws.projected);
            }
        }
    }

    /// The logits and states of all rows of a pass.
    fn predict(&self, ws: &mut Workspace, parts: &[Part], predictions: &mut Predictions) {
        let config = self.model.config();
        let (final_norm, wide) = (Some(&self.weights.final_norm), config.block.wide.head);
        self.norm_and_quantize(ws, final_norm, Add::Nothing, wide);
        self.store_states(ws, parts, predictions);
        let head = self.model.matrix_at(self.weights.head.index);
        let head = Matrix {
            rows: config.vocab,
            ..head
        };
        let stride = config.vocab.next_multiple_of(LANES);
        let bias = self.weights.head.bias.as_deref();
        let product = Product::of(&head, bias, ws.rows.view(), stride).cold(self.is_cold());
        let starts: Vec<usize> = parts
            .iter()
            .flat_map(|part| (0..part.len).map(|row| (part.prediction + row) * stride))
            .collect();
        self.kernels.logits_in(
            &self.pool,
            &product,
            config.block.logit_cap,
            &mut ws.logits,
            &starts,
            predictions.logits_mut(),
        );
    }

    /// `out = rows * matrix`, resized to whole tiles a row.
    fn linear(&self, linear: &Linear, rows: &QuantizedRows, out: &mut Vec<f32>) {
        let matrix = self.model.matrix_at(linear.index);
        self.product(&matrix, linear.bias.as_deref(), rows, out);
    }

    /// As [`Layers::linear`], with a matrix and its padded bias.
    pub(super) fn product(
        &self,
        matrix: &Matrix<'_>,
        bias: Option<&[f32]>,
        rows: &QuantizedRows,
        out: &mut Vec<f32>,
    ) {
        let stride = matrix.rows.next_multiple_of(LANES);
        let product = Product::of(matrix, bias, rows.view(), stride);
        out.resize(product.room(), 0.0);
        self.kernels
            .product_in(&self.pool, &product.cold(self.is_cold()), out);
        out.truncate(rows.count() * stride);
    }

    /// The quantised norm of x, or x without norm, becomes the input of the next product.
    fn norm_and_quantize(
        &self,
        ws: &mut Workspace,
        norm: Option<&NormWeights>,
        add: Add,
        wide: bool,
    ) {
        self.norm_and_route(ws, norm, &[], add, wide);
    }

    /// The same. A router, [scores, hidden], also gives every row its scores of the experts.
    fn norm_and_route(
        &self,
        ws: &mut Workspace,
        norm: Option<&NormWeights>,
        router: &[f32],
        add: Add,
        wide: bool,
    ) {
        let (kernels, config) = (self.kernels, self.model.config());
        let count = ws.x.len() / config.hidden;
        ws.rows.resize(count, config.hidden, config.group, wide);
        let stride = config.hidden.next_multiple_of(LANES);
        ws.projected.resize(count * stride, 0.0);
        let experts = router.len() / config.hidden;
        ws.mixture.scores.resize(count * experts, 0.0);
        let scores = ws.mixture.scores.chunks_exact_mut(experts.max(1));
        let scores = scores.chain(std::iter::repeat_with(Default::default));
        let rows = ws
            .rows
            .slots()
            .zip(ws.x.chunks_exact_mut(config.hidden))
            .zip(ws.projected.chunks_exact(stride))
            .zip(scores);
        self.each_row(
            &mut ws.threads,
            rows,
            |thread, (((slot, x), projected), scores)| {
                if add == Add::First {
                    kernels.add(x, &projected[..config.hidden]);
                }
                let taken = match norm {
                    Some(norm) => {
                        thread.row.resize(config.hidden, 0.0);
                        self.norm(x, norm, &mut thread.row);
                        &thread.row[..]
                    }
                    None => &**x,
                };
                slot.set(kernels, taken);
                kernels.striped_products(taken, router, scores);
                if add == Add::Afterwards {
                    kernels.add(x, &projected[..config.hidden]);
                }
            },
        );
    }

    /// A norm of the residual stream, or of what is added to it.
    fn norm(&self, x: &[f32], norm: &NormWeights, out: &mut [f32]) {
        let (kernels, config) = (self.kernels, self.model.config());
        match config.block.norm {
            Norm::RootMeanSquare => kernels.rms_norm(x, &norm.weight, config.norm_eps, out),
            Norm::Layer => kernels.layer_norm(x, &norm.weight, &norm.bias, config.norm_eps, out),
        }
    }

    /// Replaces each row of `projected` by its norm, if there is one.
    fn norm_projected(&self, ws: &mut Workspace, norm: Option<&NormWeights>) {
        let Some(norm) = norm else {
            return;
        };
        let hidden = self.model.config().hidden;
        let rows = ws
            .projected
            .chunks_exact_mut(hidden.next_multiple_of(LANES));
        self.each_row(&mut ws.threads, rows, |thread, row| {
            thread.row.resize(hidden, 0.0);
            self.norm(&row[..hidden], norm, &mut thread.row);
            row[..hidden].copy_from_slice(&thread.row);
        });
    }

    /// Stores the input of the output layer, each row quantised with one scale.
    fn store_states(&self, ws: &Workspace, parts: &[Part], predictions: &mut Predictions) {
        let (kernels, config) = (self.kernels, self.model.config());
        let mut normed = vec![0.0; config.hidden];
        let rows = (parts.iter()).flat_map(|part| part.prediction..part.prediction + part.len);
        for (row, x) in rows.zip(ws.x.chunks_exact(config.hidden)) {
            self.norm(x, &self.weights.final_norm, &mut normed);
            kernels.quantize_whole(&normed, predictions.state_mut(row));
        }
    }

    /// `x += projected`.
    fn add_projected(&self, ws: &mut Workspace) {
        let hidden = self.model.config().hidden;
        let projected = ws.projected.chunks_exact(hidden.next_multiple_of(LANES));
        for (x, projected) in ws.x.chunks_exact_mut(hidden).zip(projected) {
            self.kernels.add(x, &projected[..hidden]);
        }
    }

    /// Norms queries and keys: as many values at a time as the norm has weights, those of a head or
    /// those of all heads.
    fn normalize_queries_and_keys(
        &self,
        ws: &mut Workspace,
        q_norm: &NormWeights,
        k_norm: &NormWeights,
    ) {
        let (kernels, config) = (self.kernels, self.model.config());
        let stride = config.qkv_rows().next_multiple_of(LANES);
        let (queries, keys) = (
            config.heads * config.head_dim,
            config.kv_heads * config.head_dim,
        );
        self.each_row(
            &mut ws.threads,
            ws.qkv.chunks_exact_mut(stride),
            |thread, row| {
                let (q, rest) = row.split_at_mut(queries);
                for (values, norm) in [(q, q_norm), (&mut rest[..keys], k_norm)] {
                    thread.row.resize(norm.weight.len(), 0.0);
                    for part in values.chunks_exact_mut(norm.weight.len()) {
                        kernels.rms_norm(part, &norm.weight, config.norm_eps, &mut thread.row);
                        part.copy_from_slice(&thread.row);
                    }
                }
            },
        );
    }

    /// Rotates the new keys and stores them and the new values in the caches.
    fn store_keys_and_values(
        &self,
        ws: &mut Workspace,
        runs: &mut [Run<'_, Cache>],
        parts: &[Part],
        layer: usize,
        attention: &Attention,
    ) {
        let (kernels, config) = (self.kernels, self.model.config());
        let stride = config.qkv_rows().next_multiple_of(LANES);
        let angles = &ws.angles[attention.steps].own;
        let (dim, qkv) = (config.head_dim, &ws.qkv);
        let (first_key, first_value) = (config.heads * dim, (config.heads + config.kv_heads) * dim);
        let mut new = Vec::with_capacity(parts.len() * config.kv_heads);
        for (index, run) in runs.iter_mut().enumerate() {
            if let Some(&part) = parts.iter().find(|part| part.run == index) {
                let position = run.state.position_in_context();
                let planes = run.state.planes_mut(layer).iter_mut().enumerate();
                new.extend(planes.map(|(head, plane)| NewKeys {
                    plane,
                    head,
                    part,
                    position,
                }));
            }
        }
        let store = |thread: &mut ThreadBuffers, new: &mut NewKeys<'_>| {
            thread.row.resize(dim, 0.0);
            for row in 0..new.part.len {
                let values = &qkv[(new.part.row + row) * stride..][..stride];
                let (cos, sin) = angles.row(new.part.row + row, dim / 2);
                let key = &values[first_key + new.head * dim..][..dim];
                kernels.rotate(key, cos, sin, &mut thread.row);
                let value = &values[first_value + new.head * dim..][..dim];
                let position = new.position + row as u64;
                let (key, levels) = (&thread.row, &mut thread.levels);
                (new.plane).put(kernels, position, key, value, levels);
            }
        };
        if qkv.len() / stride < SERIAL_ROWS {
            (new.iter_mut()).for_each(|new| store(&mut ws.threads[0], new));
        } else {
            self.pool.for_each(&mut ws.threads, &mut new, store);
        }
    }

    /// Attention of every new row.
    fn attend(
        &self,
        ws: &mut Workspace,
        runs: &[Run<'_, Cache>],
        parts: &[Part],
        layer: usize,
        attention: &Attention,
    ) {
        let (kernels, config) = (self.kernels, self.model.config());
        let stride = config.qkv_rows().next_multiple_of(LANES);
        let (dim, heads) = (config.head_dim, config.heads_per_kv());
        let rows = ws.qkv.len() / stride;
        ws.attended.resize(rows * config.heads * dim, 0.0);
        let top = config.largest_weight();
        // With few rows, a task has one head, so that every thread gets some. With many rows, a
        // task has as many as fill the registers.
        let apart = rows * config.kv_heads < 4 * self.pool.threads();
        let together = if apart {
            1
        } else {
            (TASK_QUERIES / heads).max(1)
        };
        let mut tasks = Vec::new();
        for (kv_head, mut plane_out) in ws.attended.chunks_exact_mut(rows * heads * dim).enumerate()
        {
            for part in parts {
                let cache = &*runs[part.run].state;
                let plane = &cache.planes(layer)[kv_head];
                let mut row = 0;
                while row < part.len {
                    let count = together.min(part.len - row);
                    let per_task = if apart { 1 } else { heads };
                    for head in (0..heads).step_by(per_task) {
                        let (out, rest) = plane_out.split_at_mut(count * per_task * dim);
                        plane_out = rest;
                        tasks.push(Task {
                            plane,
                            position: cache.position_in_context() + row as u64,
                            queries: &ws.qkv
                                [(part.row + row) * stride + (kv_head * heads + head) * dim..],
                            stride,
                            first: part.row + row,
                            rows: count,
                            heads: per_task,
                            head_dim: dim,
                            cold: self.is_cold(),
                            top,
                            cap: config.block.score_cap * LOG2_E,
                            wide: config.block.wide.queries,
                            out,
                        });
                    }
                    row += count;
                }
            }
        }
        let angles = &ws.angles[attention.steps];
        self.pool
            .for_each(&mut ws.threads, &mut tasks, |thread, task| {
                task.run(kernels, angles, &mut thread.attention);
            });
        self.gate_attended(ws);
    }

    /// Multiplies what attention gave by its gates, if there are any.
    fn gate_attended(&self, ws: &mut Workspace) {
        let (kernels, config) = (self.kernels, self.model.config());
        if !config.block.attention_gate {
            return;
        }
        let stride = config.qkv_rows().next_multiple_of(LANES);
        let shared = config.heads_per_kv() * config.head_dim;
        let rows = ws.qkv.len() / stride;
        for (index, attended) in ws.attended.chunks_exact_mut(shared).enumerate() {
            let (kv_head, row) = (index / rows, index % rows);
            let gates = row * stride + config.first_gate() + kv_head * shared;
            kernels.gate_sigmoid(attended, &ws.qkv[gates..][..shared]);
        }
    }

    /// What attention or a recurrence gave, `planes` of `shared` values a row, becomes the input of
    /// the next product, planes in order.
    fn quantize_attended(&self, ws: &mut Workspace, planes: usize, shared: usize) {
        let (kernels, config) = (self.kernels, self.model.config());
        let count = ws.attended.len() / (planes * shared);
        let wide = config.block.wide.out;
        ws.rows.resize(count, planes * shared, config.group, wide);
        let attended = &ws.attended;
        self.each_row(
            &mut ws.threads,
            ws.rows.slots().enumerate(),
            |thread, (row, slot)| {
                thread.row.clear();
                for plane in attended.chunks_exact(count * shared) {
                    thread
                        .row
                        .extend_from_slice(&plane[*row * shared..][..shared]);
                }
                slot.set(kernels, &thread.row);
            },
        );
    }

    /// f(gate) * up, quantised, becomes the input of the next product.
    pub(super) fn activate_and_quantize(&self, ws: &mut Workspace, count: usize) {
        let (kernels, config) = (self.kernels, self.model.config());
        let (width, both, kind) = (
            config.intermediate,
            config.gate_up_rows(),
            config.block.activation,
        );
        ws.rows
            .resize(count, width, config.group, config.block.wide.down);
        let gate_up = ws.gate_up.chunks_exact(both.next_multiple_of(LANES));
        self.each_row(
            &mut ws.threads,
            ws.rows.slots().zip(gate_up),
            |thread, (slot, gate_up)| {
                thread.row.resize(width, 0.0);
                let (gate, up) = gate_up[..both].split_at(width);
                kernels.activate(kind, gate, up, &mut thread.row);
                slot.set(kernels, &thread.row);
            },
        );
    }

    /// Calls `work` for every row: on this thread if there are few rows, shared by the threads if
    /// there are many.
    fn each_row<T: Send>(
        &self,
        threads: &mut [ThreadBuffers],
        rows: impl Iterator<Item = T>,
        work: impl Fn(&mut ThreadBuffers, &mut T) + Sync,
    ) {
        let mut rows: Vec<T> = rows.collect();
        if rows.len() < SERIAL_ROWS {
            rows.iter_mut().for_each(|row| work(&mut threads[0], row));
            return;
        }
        let mut chunks: Vec<&mut [T]> = rows.chunks_mut(4).collect();
        self.pool.for_each(threads, &mut chunks, |thread, rows| {
            rows.iter_mut().for_each(|row| work(thread, row));
        });
    }
}

/// The embedding of one token.
fn embed_token(embed: &Matrix<'_>, token: u32, x: &mut [f32]) {
    let row = token as usize;
    assert!(row < embed.rows, "token {row} of {}", embed.rows);
    let scale = embed.scales[row];
    for (column, x) in x.iter_mut().enumerate() {
        let level = i32::from(embed.tiles[tiled_offset(row, column, embed.columns)]) - 128;
        *x = level as f32 * scale;
    }
}
