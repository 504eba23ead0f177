//! Ctrl-C: whatever is unfinished disappears.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The temporary file that is being written, if any.
static UNFINISHED: Mutex<Option<PathBuf>> = Mutex::new(None);

/// What a shell reports for a program that Ctrl-C ended: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// From now on an interrupt (or a request to terminate) removes the unfinished file and ends the program.
pub(super) fn install() {
    // Without a handler an interrupt still ends the program; a temporary file may then stay behind.
    let _ = ctrlc::set_handler(|| {
        let unfinished = unfinished();
        if let Some(path) = unfinished.as_ref() {
            let _ = std::fs::remove_file(path);
        }
        std::process::exit(INTERRUPTED);
    });
}

/// The place where the unfinished file is noted. While it is held, no interrupt is acted upon.
pub(super) fn unfinished() -> MutexGuard<'static, Option<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}
