//! The buffers of a pass, kept from one pass to the next.

use super::attention::{RowAngles, Scratch};
use super::kernels::{LANES, QuantizedRows};
use super::recurrence;
use crate::arch::Config;
use crate::arch::block::Recurrent;
use crate::machine::{MachineError, memory};

/// Buffers of a pass of R rows. Rows of products are padded to whole tiles of 16.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// Residual stream: [R, hidden].
    pub(super) x: Vec<f32>,
    /// Queries, keys and values, or what a recurrence takes: [R, rows of the projection, padded].
    pub(super) qkv: Vec<f32>,
    /// Output of attention, [`kv_heads`, R, `heads_per_kv` * `head_dim`], or of a recurrence,
    /// [`value_heads`, R, `value_dim`].
    pub(super) attended: Vec<f32>,
    /// Output of a projection back to the residual stream: [R, hidden, padded].
    pub(super) projected: Vec<f32>,
    /// Gate and up: [R, 2 intermediate, padded].
    pub(super) gate_up: Vec<f32>,
    /// Input of the next product, quantised.
    pub(super) rows: QuantizedRows,
    pub(super) mixture: MixtureBuffers,
    /// For each table of rotary steps, the angles of each row at its position, and at the position
    /// that it has for sinks.
    pub(super) angles: Vec<RowAngles>,
    pub(super) threads: Vec<ThreadBuffers>,
    /// For each thread, some columns of logits.
    pub(super) logits: Vec<Vec<f32>>,
}

impl Workspace {
    /// Makes room for `rows` rows, so that a pass need not ask for any.
    pub(super) fn reserve(&mut self, config: &Config, rows: usize) -> Result<(), MachineError> {
        let hidden = config.hidden.next_multiple_of(LANES);
        let recurrence = |size: fn(&Recurrent) -> usize| {
            let recurrent = config.block.recurrent.as_ref();
            recurrent.map_or(0, size)
        };
        let mixed = config.qkv_rows().max(recurrence(Recurrent::rows));
        let given = (config.heads * config.head_dim).max(recurrence(Recurrent::values));
        for (buffer, width) in [
            (&mut self.x, config.hidden),
            (&mut self.qkv, mixed.next_multiple_of(LANES)),
            (&mut self.attended, given),
            (&mut self.projected, hidden),
            (
                &mut self.gate_up,
                config.gate_up_rows().next_multiple_of(LANES),
            ),
        ] {
            let more = (rows * width).saturating_sub(buffer.len());
            memory::reserve(buffer, "the rows of a pass", more)?;
        }
        Ok(())
    }
}

/// Buffers of a mixture of experts.
#[derive(Debug, Default)]
pub(super) struct MixtureBuffers {
    /// What the router says: [R, scores].
    pub(super) scores: Vec<f32>,
    /// What the experts take: all rows, quantised.
    pub(super) rows: QuantizedRows,
    /// What one expert gives: [rows that take it, hidden, padded].
    pub(super) given: Vec<f32>,
}

/// Buffers of one thread.
#[derive(Debug, Default)]
pub(super) struct ThreadBuffers {
    pub(super) row: Vec<f32>,
    pub(super) levels: Vec<i8>,
    pub(super) attention: Scratch,
    pub(super) recurrence: recurrence::Scratch,
}
