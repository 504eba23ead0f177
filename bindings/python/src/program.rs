//! The command line: the same code as the program's.

use std::ffi::OsString;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use llmzip::cli::{self, Call};
use llmzip::machine::inherited;
use pyo3::prelude::*;

/// Whether this process is the program.
static IS_PROGRAM: AtomicBool = AtomicBool::new(false);

/// Ends the process where memory is refused: the program as always, an interpreter as Rust does.
pub(crate) extern "C" fn end_without_memory() -> ! {
    match IS_PROGRAM.load(Ordering::Relaxed) {
        true => cli::end_without_memory(),
        false => process::abort(),
    }
}

/// Notes which of the standard streams are open, and whether SIGPIPE is ignored.
#[pyfunction]
pub(crate) fn note_standard_streams() {
    #[cfg(unix)]
    inherited::record();
}

/// Runs the command line ``words``, of which the first is the name of the program, and ends the
/// process with its exit code. ``program`` are the words that start it again.
#[pyfunction]
pub(crate) fn run_program(py: Python<'_>, words: Vec<OsString>, program: Vec<OsString>) {
    IS_PROGRAM.store(true, Ordering::Relaxed);
    py.detach(|| {
        let code = cli::start(Call { words, program });
        process::exit(code.into())
    });
}
