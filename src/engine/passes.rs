//! How the tokens of a call are divided into passes, whatever runs them.

use super::checkpoints::Span;
use super::contexts::Track;
use super::runtime::{Segment, State};

/// A state that says how far its stream has come.
pub(crate) trait Tracked: State {
    /// How far the stream has come.
    fn track(&self) -> &Track;

    /// The same, to be changed.
    fn track_mut(&mut self) -> &mut Track;

    /// Tokens of the present context so far.
    fn position_in_context(&self) -> u64 {
        self.track().in_context()
    }
}

/// Tokens to run after those that a state has seen.
#[derive(Debug)]
pub(crate) struct Run<'a, S> {
    pub(crate) state: &'a mut S,
    pub(crate) tokens: &'a [u32],
    /// Row of its first token within the predictions.
    pub(crate) prediction: usize,
}

/// Consecutive tokens of one run within a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) run: usize,
    /// First token, within the run.
    pub(crate) start: usize,
    pub(crate) len: usize,
    /// First row, within the pass.
    pub(crate) row: usize,
    /// First row, within the predictions.
    pub(crate) prediction: usize,
}

impl<S: Tracked> Run<'_, S> {
    /// How the rows of a part of this run lie to the checkpoints of its recurrent layers.
    pub(crate) fn span(&self, part: &Part) -> Span {
        let tokens = part.start..part.start + part.len;
        Span::new(tokens, self.tokens.len(), self.state.track().behind())
    }
}

/// Divides the tokens of `runs` into passes of at most `most` rows. A stream's rows follow one
/// another, so a pass never holds two parts of one run.
pub(crate) fn divide<S>(runs: &[Run<'_, S>], most: usize) -> Vec<Vec<Part>> {
    let mut passes = Vec::new();
    let mut parts = Vec::new();
    let mut rows = 0;
    for (index, run) in runs.iter().enumerate() {
        let mut start = 0;
        while start < run.tokens.len() {
            let len = (run.tokens.len() - start).min(most - rows);
            parts.push(Part {
                run: index,
                start,
                len,
                row: rows,
                prediction: run.prediction + start,
            });
            (start, rows) = (start + len, rows + len);
            if rows == most {
                passes.push(std::mem::take(&mut parts));
                rows = 0;
            }
        }
    }
    if rows > 0 {
        passes.push(parts);
    }
    passes
}

/// Runs the tokens of `segments`, whose states are of type `S`. `run` runs all tokens of some runs
/// and, if told so, writes their predictions. A model with learned positions (`in_contexts`) takes
/// as many of every run as its context has room for, then those that the next context has in
/// common with it, and so on.
///
/// # Errors
/// Those of `run`.
///
/// # Panics
/// If a state is of another type.
pub(crate) fn run_segments<S: Tracked + 'static, E>(
    segments: &mut [Segment<'_>],
    in_contexts: bool,
    mut run: impl FnMut(&mut [Run<'_, S>], bool) -> Result<(), E>,
) -> Result<(), E> {
    let mut prediction = 0;
    let mut runs: Vec<Run<'_, S>> = (segments.iter_mut())
        .map(|segment| {
            let run = Run {
                state: (segment.state.as_any().downcast_mut()).expect("a state of this runtime"),
                tokens: segment.tokens,
                prediction,
            };
            prediction += segment.tokens.len();
            run
        })
        .collect();
    if !in_contexts {
        return run(&mut runs, true);
    }
    while runs.iter().any(|run| !run.tokens.is_empty()) {
        let mut now = Vec::new();
        for left in runs.iter_mut().filter(|left| !left.tokens.is_empty()) {
            let again = left.state.track_mut().enter_context();
            if !again.is_empty() {
                let again = Run {
                    state: &mut *left.state,
                    tokens: &again,
                    prediction: 0,
                };
                run(&mut [again], false)?;
            }
            let room = left.state.track().room().min(left.tokens.len());
            let (tokens, rest) = left.tokens.split_at(room);
            left.state.track_mut().remember(tokens);
            now.push(Run {
                state: &mut *left.state,
                tokens,
                prediction: left.prediction,
            });
            (left.tokens, left.prediction) = (rest, left.prediction + tokens.len());
        }
        run(&mut now, true)?;
    }
    Ok(())
}
