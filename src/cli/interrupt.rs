//! Ctrl-C, and refused memory: both end the program and leave no unfinished file behind.

use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The temporary file that is being written, if there is one.
static UNFINISHED: Mutex<Option<PathBuf>> = Mutex::new(None);

/// The process that this one has started, if there is one.
static CHILD: Mutex<Option<Child>> = Mutex::new(None);

/// The exit code of a program that Ctrl-C ended: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// From now on an interrupt, or a request to terminate, deletes the unfinished file, ends the
/// process that was started, and ends the program.
pub(super) fn install() {
    // If this fails, an interrupt still ends the program, and may leave a temporary file behind.
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

/// Ends the program where no memory is left, and deletes the unfinished file. Allocates nothing,
/// and waits for no lock: this thread may hold it.
pub(crate) extern "C" fn end_without_memory() -> ! {
    static IS_ENDING: AtomicBool = AtomicBool::new(false);
    if !IS_ENDING.swap(true, Ordering::SeqCst) {
        if let Ok(unfinished) = UNFINISHED.try_lock()
            && let Some(path) = unfinished.as_ref()
        {
            let _ = std::fs::remove_file(path);
        }
        super::print::fixed_error("llmzip: not enough memory\n");
    }
    std::process::exit(super::failure::FAILED.into());
}

/// The process that is to end with this one. Whoever starts one stores it here.
pub(super) fn child() -> MutexGuard<'static, Option<Child>> {
    CHILD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The unfinished file. Whoever creates one stores its path here. While the guard is held, an
/// interrupt waits.
pub(super) fn unfinished() -> MutexGuard<'static, Option<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}
