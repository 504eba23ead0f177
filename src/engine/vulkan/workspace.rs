//! The buffers of a pass.

use std::sync::Arc;

use super::device::{Buffer, Device, Place};
use super::error::DeviceError;
use super::state::PASS;
use super::table::{PART_WORDS, ROW_WORDS, SCORE_BYTES, Sight, TASK_WORDS};
use crate::arch::Config;
use crate::arch::block::Mixture;
use crate::arch::config::GROUP;

/// Bytes of the logits that are computed before they are read.
const LOGIT_BYTES: usize = 64 << 20;

/// Rows that a product takes: levels and scales on the device.
#[derive(Debug)]
pub(super) struct Levels {
    pub(super) levels: Buffer,
    pub(super) scales: Buffer,
}

/// The buffers of a mixture of experts. A row has a slot for each expert that it takes.
#[derive(Debug)]
pub(super) struct Mixed {
    /// What the experts take, not quantised: [rows, hidden].
    pub(super) taken: Buffer,
    /// [rows, scores]
    pub(super) scores: Buffer,
    /// [rows, slots, 2]
    pub(super) routes: Buffer,
    /// [rows, slots, 2]
    pub(super) pairs: Buffer,
    /// [rows, slots]
    pub(super) shares: Buffer,
    /// What each expert makes of a row: [rows, slots, hidden].
    pub(super) given: Buffer,
}

/// The slots of a row: one without a mixture.
pub(super) fn slots(config: &Config) -> usize {
    let mixture = config.block.mixture.as_ref();
    mixture.map_or(1, |mixture| mixture.used + mixture.shared)
}

/// The buffers of a pass of up to [`PASS`] rows.
#[derive(Debug)]
pub(super) struct Workspace {
    /// Tokens, tables and angles: written here, then copied.
    pub(super) upload: Buffer,
    pub(super) inputs: Buffer,
    /// [rows, hidden]
    pub(super) x: Buffer,
    /// What the next product takes.
    pub(super) levels: Levels,
    /// What a product to queries, keys and values, or to gates, gives.
    pub(super) wide: Buffer,
    /// What is added to the residual stream: [rows, hidden].
    pub(super) projected: Buffer,
    pub(super) queries: Levels,
    pub(super) scores: Buffer,
    pub(super) weights: Buffer,
    pub(super) factors: Buffer,
    /// [rows, heads * `head_dim`], or what a recurrence gives.
    pub(super) attended: Buffer,
    pub(super) mixture: Option<Mixed>,
    /// [rows, hidden rounded up to 4], bytes
    pub(super) states: Buffer,
    /// [`logit_rows`, vocab]
    pub(super) logits: Buffer,
    /// Where the processor reads logits and states.
    pub(super) download: Buffer,
    /// Rows whose logits are computed at once.
    pub(super) logit_rows: usize,
}

/// Bytes of the state of a row.
pub(super) fn state_len(config: &Config) -> usize {
    config.hidden.next_multiple_of(4)
}

impl Workspace {
    pub(super) fn new(
        device: &Arc<Device>,
        config: &Config,
        sights: &[Sight],
        tables: usize,
    ) -> Result<Workspace, DeviceError> {
        const WHAT: &str = "a pass";
        let buffer = |len: usize, place| device.buffer(WHAT, len as u64, place);
        let local = |len: usize| buffer(len, Place::Device);
        let floats = |columns: usize| local(PASS * columns * 4);
        // Of as many rows and columns as the largest of these; twice, for wide rows.
        let levels = |shapes: &[(usize, usize)]| {
            let groups = shapes
                .iter()
                .map(|(rows, columns)| rows * columns.div_ceil(GROUP));
            let groups = groups.max().unwrap_or(0);
            Ok::<_, DeviceError>(Levels {
                levels: local(groups * GROUP * 2)?,
                scales: local(groups * 4 * 2)?,
            })
        };
        let recurrent = config.block.recurrent.as_ref();
        let (recurrent_rows, given) = recurrent.map_or((0, 0), |it| (it.rows(), it.values()));
        let attended = (config.heads * config.head_dim).max(given);
        let slots = slots(config);
        let taken = [
            (PASS, config.hidden),
            (PASS, attended),
            (PASS * slots, config.intermediate),
        ];
        let rows = config.qkv_rows().max(config.gate_up_rows() * slots);
        let strides = sights.iter().map(Sight::score_stride);
        let scores = strides.max().unwrap_or(0) * config.heads * 4;
        // A slice of tasks of the fewest rows may be larger than the usual one.
        let scores = SCORE_BYTES.max(scores * 32).min(PASS * scores);
        let inputs = inputs_len(config, sights.len(), tables);
        let logit_rows = (LOGIT_BYTES / (config.vocab * 4)).clamp(1, PASS);
        let logits = logit_rows * config.vocab * 4;
        Ok(Workspace {
            upload: buffer(inputs, Place::Upload)?,
            inputs: local(inputs)?,
            x: floats(config.hidden)?,
            levels: levels(&taken)?,
            wide: floats(rows.max(recurrent_rows))?,
            projected: floats(config.hidden)?,
            queries: levels(&[(2 * PASS * config.heads, config.head_dim)])?,
            scores: local(scores)?,
            weights: local(scores / 2)?,
            factors: floats(config.heads)?,
            attended: floats(attended)?,
            mixture: match &config.block.mixture {
                Some(mixture) => Some(Mixed::new(device, config, mixture)?),
                None => None,
            },
            states: local(PASS * state_len(config))?,
            logits: local(logits)?,
            download: buffer(logits + PASS * state_len(config), Place::Download)?,
            logit_rows,
        })
    }
}

impl Mixed {
    fn new(device: &Arc<Device>, config: &Config, mixture: &Mixture) -> Result<Mixed, DeviceError> {
        let floats = |columns: usize| {
            let len = (PASS * columns * 4) as u64;
            device.buffer("a pass", len, Place::Device)
        };
        let slots = slots(config);
        Ok(Mixed {
            taken: floats(config.hidden)?,
            scores: floats(mixture.scores())?,
            routes: floats(slots * 2)?,
            pairs: floats(slots * 2)?,
            shares: floats(slots)?,
            given: floats(slots * config.hidden)?,
        })
    }
}

/// Bytes of tokens, tables and angles of a pass.
fn inputs_len(config: &Config, sights: usize, tables: usize) -> usize {
    let tokens = PASS * 2;
    let table = PASS * (ROW_WORDS + TASK_WORDS);
    let angles = PASS * 2 * config.head_dim;
    // Each part begins at a multiple of 16 bytes.
    let parts = PASS * PART_WORDS;
    (tokens + sights * table + tables * angles + parts) * 4 + 16 * (2 + 2 * sights + tables)
}
