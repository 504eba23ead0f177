//! Printing: results to standard output, everything else to standard error.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use super::failure::Failure;

static ERRORS_SILENCED: AtomicBool = AtomicBool::new(false);

/// Decides whether errors are printed from now on. The exit code still tells of them.
pub(super) fn silence_errors(silence: bool) {
    ERRORS_SILENCED.store(silence, Ordering::Relaxed);
}

/// Prints a result to standard output.
pub(super) fn result(text: &str) -> Result<(), Failure> {
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(Failure::from_write)
}

/// Prints one line to standard error. If that fails, the line is lost.
pub(super) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints an error line that is known beforehand, without allocating.
pub(super) fn fixed_error(line: &'static str) {
    if !ERRORS_SILENCED.load(Ordering::Relaxed) {
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

/// Prints an error as `llmzip: MESSAGE` on one line, without control characters.
pub(super) fn error(message: &str) {
    if ERRORS_SILENCED.load(Ordering::Relaxed) {
        return;
    }
    let line: String = message
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    note(&format!("llmzip: {line}"));
}
