//! Printing: results to standard output, everything else to standard error.
//!
//! Names from outside may hold what a terminal obeys. Whatever goes to standard error is escaped
//! here; results escape names with [`text::path`] where they show them.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use llmzip::machine::inherited::{self, Stream};
use llmzip::machine::patient::Patient;
use serde::Serialize;

use super::failure::Failure;
use super::text;

/// How often `-q` was given.
static QUIET: AtomicU8 = AtomicU8::new(0);

/// Whether `-v` was given.
static VERBOSE: AtomicBool = AtomicBool::new(false);

/// From now on details are printed, or not.
pub(super) fn set_verbose(verbose: bool) {
    VERBOSE.store(verbose, Ordering::Relaxed);
}

/// From now on warnings are printed if `quiet` is 0, and errors if it is at most 1. The exit code
/// still tells of errors.
pub(super) fn set_quiet(quiet: u8) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Prints a result to standard output.
pub(super) fn result(text: &str) -> Result<(), Failure> {
    if inherited::was_closed(Stream::Output) {
        return Err(Failure::message("standard output is closed"));
    }
    let mut stdout = Patient(io::stdout().lock());
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(Failure::from_write)
}

/// Prints a result in which names and text from outside are as they are. On a terminal they are
/// escaped.
pub(super) fn raw_result(text: &str) -> Result<(), Failure> {
    match io::stdout().is_terminal() {
        true => result(&text::printable_lines(text)),
        false => result(text),
    }
}

/// Prints a result in JSON.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|error| Failure::Message(error.to_string()))?;
    raw_result(&(text + "\n"))
}

/// Prints one line to standard error. If that fails, the line is lost. Of a line that is as long as
/// only text from outside makes it, the middle is left out.
pub(super) fn note(line: &str) {
    /// Longer than a sentence with the longest of paths.
    const MOST: usize = 5_000;
    let line = text::printable(line);
    let line = text::shortened(&line, MOST);
    let _ = writeln!(Patient(io::stderr()), "{line}");
}

/// As [`note`], unless nothing but errors is to be printed.
pub(super) fn note_unless_quiet(line: &str) {
    if QUIET.load(Ordering::Relaxed) == 0 {
        note(line);
    }
}

/// As [`note`], if details are to be printed.
pub(super) fn detail(line: &str) {
    if VERBOSE.load(Ordering::Relaxed) {
        note(line);
    }
}

/// Prints a warning as `llmzip: MESSAGE` on one line.
pub(super) fn warning(message: &str) {
    if QUIET.load(Ordering::Relaxed) == 0 {
        note(&format!("llmzip: warning: {message}"));
    }
}

/// Prints an error as `llmzip: MESSAGE` on one line.
pub(super) fn error(message: &str) {
    if QUIET.load(Ordering::Relaxed) <= 1 {
        note(&format!("llmzip: {message}"));
    }
}

/// Prints an error line that is known beforehand, without allocating.
pub(super) fn fixed_error(line: &'static str) {
    if QUIET.load(Ordering::Relaxed) <= 1 {
        let _ = Patient(io::stderr()).write_all(line.as_bytes());
    }
}
