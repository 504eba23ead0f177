//! The forward pass of the Llama family (Llama, SmolLM2, Mistral; Qwen2's biases; Qwen3's head norms).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::attention::{Angles, Scratch, Task};
use super::cache::Cache;
use super::kernels::{Kernels, LANES, Product, Rows};
use crate::arch::config::Config;
use crate::arch::family::{Attention, GatedFeedForward, TensorSpec};
use crate::engine::runtime::{EngineError, Helper, Predictions, Runtime, SLACK, Segment, State};
use crate::machine::float_environment::FloatEnvironment;
use crate::machine::instructions::InstructionSet;
use crate::machine::pool::{self, Pool};
use crate::machine::{MachineError, memory};
use crate::packed::quantize::tiled_offset;
use crate::packed::{Matrix, MatrixIndex, PackedError, PackedModel};

/// Rows of one pass through the layers.
const PASS: usize = SLACK;
/// Queries that one attention task aims at.
const TASK_QUERIES: usize = 12;
/// Bytes of a packed model whose weights, keys and values are taken to stay in the processor's caches.
const CACHES: usize = 16 << 20;
/// What one more row adds to a pass, in units of a pass of one row, where the weights come from memory:
/// SmolLM2-135M on two cores with AVX2.
const ROW_COST_FROM_MEMORY: f32 = 0.25;
/// The same where the weights stay in the caches: the largest embedded models.
const ROW_COST_FROM_CACHE: f32 = 0.6;

/// How to run; no option changes a bit of the result.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineOptions {
    /// Instructions to run with; by default those that `LLMZIP_KERNELS` names, or the fastest.
    pub instructions: Option<InstructionSet>,
    /// Threads; 0 for as many as there are processors.
    pub threads: usize,
}

/// A model ready to run.
#[derive(Debug)]
pub struct Engine {
    model: Arc<PackedModel>,
    kernels: Kernels,
    pool: Pool,
    weights: Weights,
    /// Positions that attention sees; the model's own but for measurements.
    window: usize,
    /// Workspaces not in use.
    idle: Mutex<Vec<Workspace>>,
}

/// Tokens to run behind those in a cache.
struct Run<'a> {
    cache: &'a mut Cache,
    tokens: &'a [u32],
}

/// A matrix of the packed model and its bias, padded to whole tiles.
#[derive(Debug)]
struct Linear {
    index: MatrixIndex,
    bias: Option<Vec<f32>>,
}

#[derive(Debug)]
struct Layer {
    attn_norm: Vec<f32>,
    qkv: Linear,
    /// Weights of the query and key norms, if the model has them.
    head_norms: Option<(Vec<f32>, Vec<f32>)>,
    out: Linear,
    ffn_norm: Vec<f32>,
    gate_up: Linear,
    down: Linear,
}

#[derive(Debug)]
struct Weights {
    embed: Linear,
    layers: Vec<Layer>,
    final_norm: Vec<f32>,
    head: Linear,
    rope_steps: Vec<u64>,
}

impl Weights {
    fn new(model: &PackedModel) -> Result<Weights, PackedError> {
        let (config, family) = (model.config(), model.family());
        let Attention {
            norm: attn_norm,
            qkv,
            q_norm,
            k_norm,
            out,
        } = &family.layer.attention;
        let GatedFeedForward {
            norm: ffn_norm,
            gate_up,
            down,
        } = &family.layer.feed_forward;
        let linear = |tensor: &TensorSpec, layer: Option<usize>| -> Result<Linear, PackedError> {
            let index = model.find_matrix(&tensor.name(layer))?;
            let bias = model.matrix_at(index).bias.map(|bias| {
                let mut bias = bias.to_vec();
                bias.resize(bias.len().next_multiple_of(LANES), 0.0);
                bias
            });
            Ok(Linear { index, bias })
        };
        let floats = |tensor: &TensorSpec, layer: Option<usize>| {
            let name = format!("{}.weight", tensor.name(layer));
            model.floats(&name).map(<[f32]>::to_vec)
        };
        let layers = (0..config.layers).map(|layer| {
            let layer = Some(layer);
            let head_norms = match (q_norm.present)(config) {
                true => Some((floats(q_norm, layer)?, floats(k_norm, layer)?)),
                false => None,
            };
            Ok(Layer {
                attn_norm: floats(attn_norm, layer)?,
                qkv: linear(qkv, layer)?,
                head_norms,
                out: linear(out, layer)?,
                ffn_norm: floats(ffn_norm, layer)?,
                gate_up: linear(gate_up, layer)?,
                down: linear(down, layer)?,
            })
        });
        let has_head = (family.head.present)(config);
        let head = if has_head {
            &family.head
        } else {
            &family.embedding
        };
        Ok(Weights {
            layers: layers.collect::<Result<_, PackedError>>()?,
            embed: linear(&family.embedding, None)?,
            final_norm: floats(&family.final_norm, None)?,
            head: linear(head, None)?,
            rope_steps: model.rope_steps(),
        })
    }
}

/// Buffers of one pass; R rows.
#[derive(Debug, Default)]
struct Workspace {
    /// Residual stream, R x hidden.
    x: Vec<f32>,
    /// Queries, keys and values, R x qkv rows (padded to 16).
    qkv: Vec<f32>,
    /// Attention's output, kv_heads x R x (heads_per_kv * head_dim).
    attended: Vec<f32>,
    /// Output of a projection back to the residual stream, R x hidden (padded to 16).
    projected: Vec<f32>,
    /// Gate and up, R x 2 intermediate (padded to 16).
    wide: Vec<f32>,
    /// Input of the next product.
    rows: Rows,
    angles: Angles,
    sink_angles: Angles,
    threads: Vec<ThreadSpace>,
    logits: Vec<Vec<f32>>,
}

impl Workspace {
    /// Makes room for `rows` rows, so that a pass need not ask for any.
    fn reserve(&mut self, config: &Config, rows: usize) -> Result<(), MachineError> {
        let hidden = config.hidden.next_multiple_of(LANES);
        for (buffer, width) in [
            (&mut self.x, config.hidden),
            (&mut self.qkv, config.qkv_rows().next_multiple_of(LANES)),
            (&mut self.attended, config.heads * config.head_dim),
            (&mut self.projected, hidden),
            (
                &mut self.wide,
                (2 * config.intermediate).next_multiple_of(LANES),
            ),
        ] {
            let more = (rows * width).saturating_sub(buffer.len());
            memory::reserve(buffer, "the rows of a pass", more)?;
        }
        Ok(())
    }
}

/// Buffers of one thread.
#[derive(Debug, Default)]
struct ThreadSpace {
    row: Vec<f32>,
    levels: Vec<i8>,
    attention: Scratch,
}

/// Consecutive tokens of one run within a pass.
#[derive(Clone, Copy, Debug)]
struct Part {
    run: usize,
    /// First token, within the run.
    start: usize,
    len: usize,
    /// First row, within the pass.
    row: usize,
    /// First row, within the predictions.
    prediction: usize,
}

impl Runtime for Engine {
    fn model(&self) -> &Arc<PackedModel> {
        &self.model
    }

    fn new_state(&self) -> Result<Box<dyn State>, EngineError> {
        Ok(Box::new(Cache::new(self.model.config(), self.window)?))
    }

    fn forward(
        &self,
        segments: &mut [Segment<'_>],
        predictions: &mut Predictions,
    ) -> Result<(), EngineError> {
        let _environment = FloatEnvironment::enter();
        let config = self.model.config();
        let rows = segments.iter().map(|segment| segment.tokens.len()).sum();
        let stride = config.vocab.next_multiple_of(LANES);
        predictions.resize(rows, config.vocab, stride, config.hidden)?;
        let mut runs: Vec<Run<'_>> = (segments.iter_mut())
            .map(|segment| Run {
                cache: (segment.state.as_any().downcast_mut()).expect("a state of this runtime"),
                tokens: segment.tokens,
            })
            .collect();
        self.run(&mut runs, predictions)
    }

    fn row_cost(&self) -> f32 {
        match self.is_cold() {
            true => ROW_COST_FROM_MEMORY,
            false => ROW_COST_FROM_CACHE,
        }
    }

    fn helper(&self) -> Option<Box<dyn Helper + '_>> {
        let helper = self.pool.helper()?;
        Some(Box::new(helper))
    }
}

impl Helper for pool::Helper<'_> {
    fn help_until(&mut self, done: &mut dyn FnMut() -> bool) {
        self.work_until(|| done().then_some(()));
    }
}

impl Engine {
    /// Prepares `model` to run.
    ///
    /// # Errors
    /// If the model lacks a tensor or the instruction set cannot be had.
    pub fn new(model: Arc<PackedModel>, options: EngineOptions) -> Result<Engine, EngineError> {
        let instructions = match options.instructions {
            Some(instructions) => instructions,
            None => InstructionSet::choose().map_err(MachineError::from)?,
        };
        let threads = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let weights = Weights::new(&model)?;
        Ok(Engine {
            window: model.config().window,
            model,
            kernels: Kernels::new(instructions),
            pool: Pool::new(threads),
            weights,
            idle: Mutex::default(),
        })
    }

    /// The instructions in use.
    pub fn instructions(&self) -> InstructionSet {
        self.kernels.instructions()
    }

    /// Whether weights, keys and values are too many for the processor's caches.
    fn is_cold(&self) -> bool {
        self.model.size() >= CACHES
    }

    /// Threads that take part in a forward pass.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// The same engine with a window of at most `window` positions, at least one. For measurements: what is coded with it
    /// is in no format.
    #[must_use]
    pub fn with_window(self, window: usize) -> Engine {
        let window = window.clamp(1, self.window);
        Engine { window, ..self }
    }

    /// Runs all tokens in passes of at most [`PASS`] rows.
    fn run(&self, runs: &mut [Run<'_>], predictions: &mut Predictions) -> Result<(), EngineError> {
        let mut workspace = self.take_workspace();
        workspace.reserve(self.model.config(), predictions.len().min(PASS))?;
        let mut parts: Vec<Part> = Vec::new();
        let (mut rows, mut first) = (0, 0);
        for index in 0..runs.len() {
            let mut start = 0;
            while start < runs[index].tokens.len() {
                // A stream's rows follow one another, so a pass never holds two parts of one run.
                let len = (runs[index].tokens.len() - start).min(PASS - rows);
                parts.push(Part {
                    run: index,
                    start,
                    len,
                    row: rows,
                    prediction: first,
                });
                (start, rows, first) = (start + len, rows + len, first + len);
                if rows == PASS {
                    self.pass(&mut workspace, runs, &parts, predictions);
                    parts.clear();
                    rows = 0;
                }
            }
        }
        if rows > 0 {
            self.pass(&mut workspace, runs, &parts, predictions);
        }
        self.idle().push(workspace);
        Ok(())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Workspace>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_workspace(&self) -> Workspace {
        let mut workspace = self.idle().pop().unwrap_or_default();
        (workspace.threads).resize_with(self.threads(), Default::default);
        workspace.logits.resize_with(self.threads(), Vec::new);
        workspace
    }

    /// One pass of at most [`PASS`] rows through all layers.
    fn pass(
        &self,
        ws: &mut Workspace,
        runs: &mut [Run<'_>],
        parts: &[Part],
        predictions: &mut Predictions,
    ) {
        let config = self.model.config();
        let rows: usize = parts.iter().map(|part| part.len).sum();
        let positions = || {
            parts.iter().flat_map(|part| {
                let first = runs[part.run].cache.position();
                first..first + part.len as u64
            })
        };
        // A sink that the window has passed keeps the distance it had then.
        let furthest = (self.window + config.sinks).saturating_sub(1) as u64;
        ws.angles.set(&self.weights.rope_steps, positions());
        ws.sink_angles.set(
            &self.weights.rope_steps,
            positions().map(|position| position.min(furthest)),
        );

        ws.x.resize(rows * config.hidden, 0.0);
        let embed = self.model.matrix_at(self.weights.embed.index);
        let tokens = parts
            .iter()
            .flat_map(|part| &runs[part.run].tokens[part.start..][..part.len]);
        for (x, token) in ws.x.chunks_exact_mut(config.hidden).zip(tokens) {
            embed_token(&embed, *token, x);
        }

        for (index, layer) in self.weights.layers.iter().enumerate() {
            // x += attention(norm(x))
            self.norm_and_quantize(ws, &layer.attn_norm, false);
            self.linear(&layer.qkv, &ws.rows, &mut ws.qkv);
            if let Some((q_norm, k_norm)) = &layer.head_norms {
                self.normalize_heads(ws, q_norm, k_norm);
            }
            self.store_keys_and_values(ws, runs, parts, index);
            self.attend(ws, runs, parts, index);
            self.quantize_attended(ws, rows);
            self.linear(&layer.out, &ws.rows, &mut ws.projected);

            // x += down(silu(gate(norm(x))) * up(norm(x)))
            self.norm_and_quantize(ws, &layer.ffn_norm, true);
            self.linear(&layer.gate_up, &ws.rows, &mut ws.wide);
            self.gate_and_quantize(ws, rows);
            self.linear(&layer.down, &ws.rows, &mut ws.projected);
            self.add_projected(ws);
        }

        self.norm_and_quantize(ws, &self.weights.final_norm, false);
        self.store_states(ws, parts, predictions);
        let head = self.model.matrix_at(self.weights.head.index);
        let head = Matrix {
            rows: config.vocab,
            ..head
        };
        let stride = config.vocab.next_multiple_of(LANES);
        let product = Product::of(&head, None, ws.rows.view(), stride).cold(self.is_cold());
        let starts: Vec<usize> = parts
            .iter()
            .flat_map(|part| (0..part.len).map(|row| (part.prediction + row) * stride))
            .collect();
        self.kernels.logits_in(
            &self.pool,
            &product,
            &mut ws.logits,
            &starts,
            predictions.logits_mut(),
        );

        for part in parts {
            runs[part.run].cache.advance(part.len);
        }
    }

    /// `out = rows * matrix`, resized to whole tiles a row.
    fn linear(&self, linear: &Linear, rows: &Rows, out: &mut Vec<f32>) {
        let matrix = self.model.matrix_at(linear.index);
        let stride = matrix.rows.next_multiple_of(LANES);
        let view = rows.view();
        out.resize(rows.count() * stride, 0.0);
        self.kernels.product_in(
            &self.pool,
            &Product::of(&matrix, linear.bias.as_deref(), view, stride).cold(self.is_cold()),
            out,
        );
    }

    /// `x += projected` if `add`; then the norm of x, quantised, becomes the input of the next product.
    fn norm_and_quantize(&self, ws: &mut Workspace, weight: &[f32], add: bool) {
        let (kernels, config) = (self.kernels, self.model.config());
        let count = ws.x.len() / config.hidden;
        ws.rows.resize(count, config.hidden, config.group);
        let stride = config.hidden.next_multiple_of(LANES);
        ws.projected.resize(count * stride, 0.0);
        let rows = ws
            .rows
            .slots()
            .zip(ws.x.chunks_exact_mut(config.hidden))
            .zip(ws.projected.chunks_exact(stride));
        self.each_row(&mut ws.threads, rows, |thread, ((slot, x), projected)| {
            if add {
                kernels.add(x, &projected[..config.hidden]);
            }
            thread.row.resize(config.hidden, 0.0);
            kernels.rms_norm(x, weight, config.norm_eps, &mut thread.row);
            slot.set(kernels, &thread.row);
        });
    }

    /// Keeps what the output layer sees, each row in whole levels.
    fn store_states(&self, ws: &Workspace, parts: &[Part], predictions: &mut Predictions) {
        let (kernels, config) = (self.kernels, self.model.config());
        let mut normed = vec![0.0; config.hidden];
        let rows = (parts.iter()).flat_map(|part| part.prediction..part.prediction + part.len);
        for (row, x) in rows.zip(ws.x.chunks_exact(config.hidden)) {
            kernels.rms_norm(x, &self.weights.final_norm, config.norm_eps, &mut normed);
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

    /// Norms every query and key head on its own.
    fn normalize_heads(&self, ws: &mut Workspace, q_norm: &[f32], k_norm: &[f32]) {
        let (kernels, config) = (self.kernels, self.model.config());
        let stride = config.qkv_rows().next_multiple_of(LANES);
        let heads = config.heads;
        self.each_row(
            &mut ws.threads,
            ws.qkv.chunks_exact_mut(stride),
            |thread, row| {
                thread.row.resize(config.head_dim, 0.0);
                let normed = row
                    .chunks_exact_mut(config.head_dim)
                    .take(heads + config.kv_heads);
                for (index, head) in normed.enumerate() {
                    let weight = if index < heads { q_norm } else { k_norm };
                    kernels.rms_norm(head, weight, config.norm_eps, &mut thread.row);
                    head.copy_from_slice(&thread.row);
                }
            },
        );
    }

    /// Rotates the new keys and stores them and the new values in the caches.
    fn store_keys_and_values(
        &self,
        ws: &mut Workspace,
        runs: &mut [Run<'_>],
        parts: &[Part],
        layer: usize,
    ) {
        let (kernels, config) = (self.kernels, self.model.config());
        let stride = config.qkv_rows().next_multiple_of(LANES);
        let (dim, qkv, angles) = (config.head_dim, &ws.qkv, &ws.angles);
        let (first_key, first_value) = (config.heads * dim, (config.heads + config.kv_heads) * dim);
        let mut planes = Vec::with_capacity(parts.len() * config.kv_heads);
        for (index, run) in runs.iter_mut().enumerate() {
            let Some(part) = parts.iter().find(|part| part.run == index) else {
                continue;
            };
            let (position, sinks) = (run.cache.position(), config.sinks);
            let heads = run.cache.layer_mut(layer).iter_mut().enumerate();
            planes.extend(heads.map(|(head, plane)| (plane, head, *part, position, sinks)));
        }
        let store = |thread: &mut ThreadSpace, item: &mut (_, usize, Part, u64, usize)| {
            let (plane, head, part, position, sinks): &mut (&mut super::cache::Plane, _, _, _, _) =
                item;
            thread.row.resize(dim, 0.0);
            for row in 0..part.len {
                let values = &qkv[(part.row + row) * stride..][..stride];
                let (cos, sin) = angles.row(part.row + row, dim / 2);
                kernels.rotate(
                    &values[first_key + *head * dim..][..dim],
                    cos,
                    sin,
                    &mut thread.row,
                );
                let value = &values[first_value + *head * dim..][..dim];
                plane.put(
                    kernels,
                    *position + row as u64,
                    *sinks,
                    &thread.row,
                    value,
                    &mut thread.levels,
                );
            }
        };
        if qkv.len() / stride < SERIAL_ROWS {
            planes
                .iter_mut()
                .for_each(|item| store(&mut ws.threads[0], item));
        } else {
            self.pool.for_each(&mut ws.threads, &mut planes, store);
        }
    }

    /// Attention of every new row.
    fn attend(&self, ws: &mut Workspace, runs: &[Run<'_>], parts: &[Part], layer: usize) {
        let (kernels, config) = (self.kernels, self.model.config());
        let stride = config.qkv_rows().next_multiple_of(LANES);
        let (dim, heads) = (config.head_dim, config.heads_per_kv());
        let rows = ws.qkv.len() / stride;
        ws.attended.resize(rows * config.heads * dim, 0.0);
        let top = self.largest_weight();
        // Few rows: heads apart, so that every thread has some. Many: as many rows together as fill the registers.
        let apart = rows * config.kv_heads < 4 * self.threads();
        let together = if apart {
            1
        } else {
            (TASK_QUERIES / heads).max(1)
        };
        let mut tasks = Vec::new();
        for (kv_head, mut plane_out) in ws.attended.chunks_exact_mut(rows * heads * dim).enumerate()
        {
            for part in parts {
                let cache = &*runs[part.run].cache;
                let plane = &cache.layer(layer)[kv_head];
                let mut row = 0;
                while row < part.len {
                    let count = together.min(part.len - row);
                    let per_task = if apart { 1 } else { heads };
                    for head in (0..heads).step_by(per_task) {
                        let (out, rest) = plane_out.split_at_mut(count * per_task * dim);
                        plane_out = rest;
                        tasks.push(Task {
                            cache,
                            plane,
                            position: cache.position() + row as u64,
                            queries: &ws.qkv
                                [(part.row + row) * stride + (kv_head * heads + head) * dim..],
                            stride,
                            first: part.row + row,
                            rows: count,
                            heads: per_task,
                            head_dim: dim,
                            cold: self.is_cold(),
                            top,
                            out,
                        });
                    }
                    row += count;
                }
            }
        }
        let (angles, sink_angles) = (&ws.angles, &ws.sink_angles);
        self.pool
            .for_each(&mut ws.threads, &mut tasks, |thread, task| {
                task.run(kernels, angles, sink_angles, &mut thread.attention);
            });
    }

    /// Largest integer softmax weight: `2^b - 1` with b at most 14, such that no sum of weighted values overflows.
    fn largest_weight(&self) -> f32 {
        let config = self.model.config();
        let keys = (config.window + config.sinks) as i64;
        let bits = (1..=14)
            .rev()
            .find(|bits| keys * 127 * ((1i64 << bits) - 1) < 1 << 31)
            .unwrap_or(1);
        ((1u32 << bits) - 1) as f32
    }

    /// The attention's output, heads in order, becomes the input of the next product.
    fn quantize_attended(&self, ws: &mut Workspace, count: usize) {
        let (kernels, config) = (self.kernels, self.model.config());
        let shared = config.heads_per_kv() * config.head_dim;
        ws.rows
            .resize(count, config.heads * config.head_dim, config.group);
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

    /// silu(gate) * up, quantised, becomes the input of the next product.
    fn gate_and_quantize(&self, ws: &mut Workspace, count: usize) {
        let (kernels, width) = (self.kernels, self.model.config().intermediate);
        ws.rows.resize(count, width, self.model.config().group);
        let wide = ws.wide.chunks_exact((2 * width).next_multiple_of(LANES));
        self.each_row(
            &mut ws.threads,
            ws.rows.slots().zip(wide),
            |thread, (slot, wide)| {
                thread.row.resize(width, 0.0);
                kernels.gated(&wide[..width], &wide[width..2 * width], &mut thread.row);
                slot.set(kernels, &thread.row);
            },
        );
    }

    /// Does the same for every row: at once where there are few, shared by the threads where there are many.
    fn each_row<T: Send>(
        &self,
        threads: &mut [ThreadSpace],
        rows: impl Iterator<Item = T>,
        work: impl Fn(&mut ThreadSpace, &mut T) + Sync,
    ) {
        let mut rows: Vec<T> = rows.collect();
        if rows.len() < SERIAL_ROWS {
            rows.iter_mut().for_each(|row| work(&mut threads[0], row));
            return;
        }
        let mut chunks: Vec<&mut [T]> = rows.chunks_mut(4).collect();
        self.pool.for_each(threads, &mut chunks, |thread, rows| {
            rows.iter_mut().for_each(|row| work(thread, row))
        });
    }
}

/// Fewer rows than this are not worth waking other threads for.
const SERIAL_ROWS: usize = 8;

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
