//! How far a run has come, on standard error, while somebody is looking.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use llmzip::Progress;

/// A line that is redrawn as a file is worked on, and disappears at the end.
pub(super) struct Bar {
    bar: ProgressBar,
    /// Whether compressed bytes keep step with original ones. Read ahead of a decoder, they do not.
    ratio: bool,
}

impl Bar {
    /// A bar for one file of `total` original bytes, if that is known. `show` it, if standard error
    /// is a terminal; with the `ratio` so far.
    pub(super) fn new(name: &str, total: Option<u64>, ratio: bool, show: bool) -> Bar {
        let target = if show {
            ProgressDrawTarget::stderr_with_hz(5)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(total, target);
        let template = match total {
            Some(_) => {
                "{msg}: {decimal_bytes} of {decimal_total_bytes} ({percent} %), {rate}, ETA {eta}{prefix}"
            }
            None => "{msg}: {decimal_bytes}, {rate}{prefix}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key(
                "rate",
                |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let elapsed = state.elapsed().max(Duration::from_millis(1));
                    let _ = out.write_str(&super::text::rate(state.pos(), elapsed));
                },
            ));
        }
        bar.set_message(name.to_owned());
        Bar { bar, ratio }
    }

    /// Prints a line above the bar, if there is one.
    pub(super) fn announce(&self, line: &str) {
        self.bar.println(line);
    }

    pub(super) fn update(&self, progress: Progress) {
        if self.bar.is_hidden() {
            return;
        }
        if self.ratio && progress.original > 0 && progress.compressed > 0 {
            let percent = 100.0 * progress.compressed as f64 / progress.original as f64;
            self.bar
                .set_prefix(format!(", {percent:.1} % of the original"));
        }
        self.bar.set_position(progress.original);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
