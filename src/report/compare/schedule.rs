//! How often each compressor runs, and when.
//!
//! Each compressor runs once to warm up, which is not counted. Then they take turns, one run each,
//! in one order and back, so that a machine that becomes slower or faster treats all alike.

use std::time::Duration;

use super::outcome::{Outcome, Run};
use super::times::Times;

/// Fewest runs that are counted, unless one takes [`LONG`].
pub const MIN_RUNS: usize = 3;
/// Most runs that are counted.
pub const MAX_RUNS: usize = 10;
/// Time that one file may take. The compressors have equal shares; who has used up its share runs
/// [`MIN_RUNS`] times and no more.
pub const BUDGET: Duration = Duration::from_secs(10);
/// A compressor whose first run takes so long does not run again: that run counts, although it was
/// not warm.
pub const LONG: Duration = Duration::from_secs(20);

/// Runs `count` compressors on one file. `run` runs the one with an index.
pub(super) fn measure<E>(
    count: usize,
    mut run: impl FnMut(usize) -> Result<Run, E>,
) -> Result<Vec<Outcome>, E> {
    let mut turns = Vec::new();
    for i in 0..count {
        turns.push(Turn::new(run(i)?));
    }
    let share = BUDGET / count.max(1) as u32;
    for round in 0..MAX_RUNS {
        for place in 0..count {
            let i = if round % 2 == 0 {
                place
            } else {
                count - 1 - place
            };
            if turns[i].wants_another(share) {
                turns[i].push(&run(i)?);
            }
        }
    }
    Ok(turns.into_iter().map(|turn| turn.outcome).collect())
}

/// What one compressor has done so far.
struct Turn {
    outcome: Outcome,
    spent: Duration,
    /// Whether the first run took [`LONG`].
    is_long: bool,
}

impl Turn {
    /// After the first run, which also tells size and memory.
    fn new(first: Run) -> Turn {
        let spent = first.compress + first.decompress;
        let is_long = spent >= LONG;
        let counted = |time| Times::new(if is_long { vec![time] } else { Vec::new() });
        Turn {
            outcome: Outcome {
                compressed: first.compressed,
                compress: counted(first.compress),
                decompress: counted(first.decompress),
                peak_memory: first.peak_memory,
            },
            spent,
            is_long,
        }
    }

    fn wants_another(&self, share: Duration) -> bool {
        let runs = self.outcome.compress.runs().len();
        !self.is_long && (runs < MIN_RUNS || self.spent < share && runs < MAX_RUNS)
    }

    fn push(&mut self, run: &Run) {
        self.outcome.compress.push(run.compress);
        self.outcome.decompress.push(run.decompress);
        self.spent += run.compress + run.decompress;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_compressors_run_less_often_and_all_take_turns() {
        // Seconds of one way: many runs, three runs, and one.
        let seconds = [0.001, 3.0, 12.0];
        let mut order = Vec::new();
        let outcomes = measure(3, |i| {
            order.push(i);
            let time = Duration::from_secs_f64(seconds[i]);
            Ok::<_, ()>(Run {
                compressed: 7,
                compress: time,
                decompress: time,
                peak_memory: Some(order.len() as u64),
            })
        })
        .unwrap();
        let runs: Vec<usize> = outcomes
            .iter()
            .map(|one| one.compress.runs().len())
            .collect();
        assert_eq!(runs, [MAX_RUNS, MIN_RUNS, 1]);
        assert_eq!(order[..3], [0, 1, 2]);
        assert_eq!(order[3..9], [0, 1, 1, 0, 0, 1]);
        assert_eq!(order.len(), 3 + MAX_RUNS + MIN_RUNS);
        // Memory is that of the first run.
        assert_eq!(outcomes[2].peak_memory, Some(3));
        assert_eq!(outcomes[2].compress.median(), Duration::from_secs(12));
    }

    #[test]
    fn the_first_error_ends_it() {
        let found = measure(2, |i| if i == 1 { Err(i) } else { Ok(Run::default()) });
        assert_eq!(found, Err(1));
    }
}
