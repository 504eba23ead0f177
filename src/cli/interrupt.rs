//! Ctrl-C: whatever is unfinished disappears.

use std::path::PathBuf;
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The temporary file that is being written, if any.
static UNFINISHED: Mutex<Option<PathBuf>> = Mutex::new(None);

/// The process that works for this one, if any.
static CHILD: Mutex<Option<Child>> = Mutex::new(None);

/// What a shell reports for a program that Ctrl-C ended: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// From now on an interrupt (or a request to terminate) removes the unfinished file, and ends the program and the process
/// that works for it.
pub(super) fn install() {
    // Without a handler an interrupt still ends the program; a temporary file may then stay behind.
    let _ = ctrlc::set_handler(|| {
        let unfinished = unfinished();
        if let Some(path) = unfinished.as_ref() {
            let _ = std::fs::remove_file(path);
        }
        if let Some(child) = child().as_mut() {
            let _ = child.kill();
        }
        std::process::exit(INTERRUPTED);
    });
}

/// The place where a process is noted that is to end with this one.
pub(super) fn child() -> MutexGuard<'static, Option<Child>> {
    CHILD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The place where the unfinished file is noted. While it is held, no interrupt is acted upon.
pub(super) fn unfinished() -> MutexGuard<'static, Option<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}
