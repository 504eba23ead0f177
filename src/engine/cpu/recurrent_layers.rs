//! Layers with a recurrence within a pass: the value heads of all streams, shared by the threads.

use super::cache::Cache;
use super::kernels::LANES;
use super::pass::Layers;
use super::weights::Recurrence;
use super::workspace::Workspace;
use crate::engine::passes::{Part, Run};

impl Layers {
    /// The recurrence of one layer: `ws.attended` becomes what the value heads give for the rows of
    /// the projection in `ws.qkv`, [`value_heads`, rows, `value_dim`].
    pub(super) fn recur(
        &self,
        ws: &mut Workspace,
        runs: &mut [Run<'_, Cache>],
        parts: &[Part],
        layer: usize,
        weights: &Recurrence,
    ) {
        let (kernels, eps, shape) = (self.kernels, self.model.config().norm_eps, &weights.shape);
        let stride = shape.rows().next_multiple_of(LANES);
        let (rows, dim) = (ws.qkv.len() / stride, shape.value_dim);
        let inputs = |part: &Part| part.row * stride..(part.row + part.len) * stride;
        ws.attended.resize(rows * shape.values(), 0.0);
        // What is left of the results of each head: those of parts to come.
        let mut outs: Vec<&mut [f32]> = ws.attended.chunks_exact_mut(rows * dim).collect();
        let mut tasks = Vec::with_capacity(parts.len() * shape.value_heads);
        for (index, run) in runs.iter_mut().enumerate() {
            let Some(part) = parts.iter().find(|part| part.run == index) else {
                continue;
            };
            let span = run.span(part);
            let state = run.state.recurrent_mut(layer);
            let mut own = Vec::with_capacity(shape.value_heads);
            for out in &mut outs {
                let (first, rest) = std::mem::take(out).split_at_mut(part.len * dim);
                own.push(first);
                *out = rest;
            }
            let inputs = &ws.qkv[inputs(part)];
            tasks.extend(state.tasks(shape, span, inputs, stride, own.into_iter()));
        }
        self.pool
            .for_each(&mut ws.threads, &mut tasks, |thread, task| {
                task.run(kernels, weights, eps, &mut thread.recurrence);
            });
        for part in parts {
            let run = &mut runs[part.run];
            let span = run.span(part);
            let inputs = ws.qkv[inputs(part)].chunks_exact(stride);
            run.state.recurrent_mut(layer).keep(shape, span, inputs);
        }
    }
}
