//! What a pass tells the device about its rows: where they are in their streams and what they see.

use super::state::{PASS, SINK_SLOTS, Stream, ring_len};
use crate::engine::passes::{Part, Run, Tracked};

/// Queries of a task: they share the keys that a workgroup reads.
const TASK_QUERIES: usize = 32;
/// Workgroups in each dimension that every device can run.
pub(super) const MOST_WORKGROUPS: usize = 65_535;
/// Bytes of the scores of a slice.
pub(super) const SCORE_BYTES: usize = 64 << 20;

/// What the rows of one kind of layer see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) window: usize,
    pub(super) sinks: usize,
    pub(super) query_heads: usize,
    pub(super) key_heads: usize,
}

/// Some tasks whose scores are kept at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    /// The first task, and how many there are.
    pub(super) first_task: usize,
    pub(super) tasks: usize,
    /// Rows of the pass.
    pub(super) first_row: usize,
    pub(super) rows: usize,
    /// Most columns of a task.
    pub(super) columns: usize,
}

/// The rows and tasks of a pass as `shaders/memory.glsl` declares them.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// [rows, 10]
    pub(super) rows: Vec<u32>,
    /// [tasks, 6]
    pub(super) tasks: Vec<u32>,
    pub(super) slices: Vec<Slice>,
}

/// Words of a row and of a task.
pub(super) const ROW_WORDS: usize = 10;
pub(super) const TASK_WORDS: usize = 6;

impl Sight {
    /// Rows of a task.
    fn task_rows(&self) -> usize {
        (TASK_QUERIES * self.key_heads / self.query_heads).max(1)
    }

    /// Elements from the scores of one query to the next.
    pub(super) fn score_stride(&self) -> usize {
        // Columns begin and end at multiples of 4.
        let columns = (self.window + self.task_rows() + 8).min(ring_len(self.window));
        columns.next_multiple_of(4) + SINK_SLOTS
    }

    /// Most rows of a slice.
    pub(super) fn slice_rows(&self) -> usize {
        let row = self.query_heads * self.score_stride() * 4;
        // A workgroup for each query.
        let most = MOST_WORKGROUPS / self.query_heads;
        (SCORE_BYTES / row).clamp(self.task_rows(), PASS.min(most))
    }

    /// The table of a pass.
    pub(super) fn table(&self, runs: &[Run<'_, Stream>], parts: &[Part]) -> Table {
        let mut table = Table::default();
        for part in parts {
            let stream = &*runs[part.run].state;
            let first = stream.position_in_context();
            for begin in (0..part.len).step_by(self.task_rows()) {
                let rows = self.task_rows().min(part.len - begin);
                let position = first + begin as u64;
                self.add_task(
                    &mut table,
                    stream.memory.address,
                    part.row + begin,
                    position,
                    rows,
                );
            }
        }
        table
    }

    /// Adds a task of some rows, the first of which is row `row` of the pass and at `position`.
    fn add_task(&self, table: &mut Table, stream: u64, row: usize, position: u64, rows: usize) {
        let (window, ring) = (self.window as u64, ring_len(self.window) as u64);
        let base = (position + 1).saturating_sub(window) / 4 * 4;
        let end = position + rows as u64;
        let columns = (end - base).next_multiple_of(4) as usize;
        let base_slot = (base % ring) as u32;
        for position in position..end {
            let left = (position + 1).saturating_sub(window);
            let sinks = self.sinks as u64;
            table.rows.extend([stream as u32, (stream >> 32) as u32]);
            table.rows.extend([
                (position % ring) as u32,
                if position < sinks {
                    position as u32
                } else {
                    SINK_SLOTS as u32
                },
                base_slot,
                columns as u32,
                left.saturating_sub(base) as u32,
                (position + 1 - base) as u32,
                left.min(sinks) as u32,
                0,
            ]);
        }
        table.tasks.extend([stream as u32, (stream >> 32) as u32]);
        table
            .tasks
            .extend([row as u32, rows as u32, base_slot, columns as u32]);
        let most = self.slice_rows();
        match table
            .slices
            .last_mut()
            .filter(|slice| slice.rows + rows <= most)
        {
            Some(slice) => {
                slice.tasks += 1;
                slice.rows += rows;
                slice.columns = slice.columns.max(columns);
            }
            None => table.slices.push(Slice {
                first_task: table.tasks.len() / TASK_WORDS - 1,
                tasks: 1,
                first_row: row,
                rows,
                columns,
            }),
        }
    }
}

/// Words of a part.
pub(super) const PART_WORDS: usize = 10;

/// The parts of a pass as `shaders/recurrence.glsl` declares them. Where a call begins without
/// tokens taken back, the last state of a stream becomes that at its checkpoint.
pub(super) fn recurrent_parts(runs: &mut [Run<'_, Stream>], parts: &[Part]) -> Vec<u32> {
    let mut words = Vec::new();
    for part in parts {
        let run = &mut runs[part.run];
        let span = run.span(part);
        if span.begins && span.again == 0 && span.kept > 0 {
            run.state.checkpoint = 1 - run.state.checkpoint;
        }
        run.state.track_mut().set_behind(span.behind());
        let stream = run.state.memory.address;
        words.extend([stream as u32, (stream >> 32) as u32]);
        let numbers = [
            part.row,
            part.len,
            span.kept,
            span.again,
            span.before,
            usize::from(span.begins),
            usize::from(span.checkpoint.is_some()),
            run.state.checkpoint,
        ];
        words.extend(numbers.map(|number| number as u32));
    }
    words
}
