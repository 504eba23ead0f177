//! A line on standard error that shows how far a run has come.

use std::fmt;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::text;

/// A line that is redrawn while a file is worked on, and disappears at the end.
pub(super) struct ProgressLine {
    bar: ProgressBar,
    /// Whether the ratio so far is shown. While decompressing it would be wrong, because compressed
    /// bytes are read ahead.
    ratio: bool,
}

impl ProgressLine {
    /// A line for one file of `total` original bytes, if that is known. It is shown only if `show`
    /// is set and standard error is a terminal.
    pub(super) fn new(name: &str, total: Option<u64>, ratio: bool, show: bool) -> ProgressLine {
        let target = if show {
            ProgressDrawTarget::stderr_with_hz(5)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(total, target);
        if let Ok(style) = ProgressStyle::with_template(template(total.is_some())) {
            bar.set_style(
                style
                    .with_key("rate", write_rate)
                    .with_key("left", write_left)
                    .with_key("done", write_done)
                    .with_key("all", write_all),
            );
        }
        bar.set_message(text::printable(name));
        ProgressLine { bar, ratio }
    }

    /// Prints a line of its own above this one, if this one is shown.
    pub(super) fn announce(&self, line: &str) {
        self.bar.println(text::printable(line));
    }

    /// Shows how far a run has come, in original and compressed bytes.
    pub(super) fn update(&self, original: u64, compressed: u64) {
        if self.bar.is_hidden() {
            return;
        }
        if self.ratio && original > 0 && compressed > 0 {
            let percent = 100.0 * compressed as f64 / original as f64;
            self.bar
                .set_prefix(format!(", {percent:.1} % of the original"));
        }
        self.bar.set_position(original);
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A line for one step after the other, such as the files that are fetched.
pub(super) struct StepLine {
    current: Option<(String, ProgressLine)>,
}

impl StepLine {
    pub(super) fn new() -> StepLine {
        StepLine { current: None }
    }

    /// Takes the line away until a step goes on.
    pub(super) fn clear(&mut self) {
        self.current = None;
    }

    /// What shows how far a step is.
    #[cfg(feature = "convert")]
    pub(super) fn step(&mut self, step: &'static str) -> impl FnMut(u64, u64) {
        |done, all| self.update(step, done, all)
    }

    /// Shows that of a step so much is done.
    pub(super) fn update(&mut self, step: &str, done: u64, all: u64) {
        if self.current.as_ref().is_none_or(|(now, _)| *now != step) {
            // The old line must disappear before the new one is drawn.
            self.clear();
            let line = ProgressLine::new(step, Some(all), false, true);
            self.current = Some((step.to_owned(), line));
        }
        if let Some((_, line)) = &self.current {
            line.update(done, 0);
        }
    }
}

/// What the line shows, in the notation of `indicatif`.
fn template(total_known: bool) -> &'static str {
    if total_known {
        "{msg}: {done} of {all} ({percent} %), {rate}, {left}{prefix}"
    } else {
        "{msg}: {done}, {rate}{prefix}"
    }
}

/// The time that is left, once enough is done to tell.
fn write_left(state: &ProgressState, out: &mut dyn fmt::Write) {
    const SOON: Duration = Duration::from_secs(2);
    let known = state.elapsed() >= SOON && state.fraction() >= 0.01;
    let left = match known {
        true => text::duration(state.eta()),
        false => "?".to_owned(),
    };
    let _ = write!(out, "ETA {left}");
}

fn write_done(state: &ProgressState, out: &mut dyn fmt::Write) {
    let _ = out.write_str(&text::size(state.pos()));
}

fn write_all(state: &ProgressState, out: &mut dyn fmt::Write) {
    let _ = out.write_str(&text::size(state.len().unwrap_or(0)));
}

fn write_rate(state: &ProgressState, out: &mut dyn fmt::Write) {
    let elapsed = state.elapsed().max(Duration::from_millis(1));
    let _ = out.write_str(&text::rate(state.pos(), elapsed));
}
