//! Signals, broken pipes and refused memory: each ends the program and leaves no unfinished file
//! behind. A signal ends it as that signal would, so that a shell sees what happened.

use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};

use llmzip::machine::new_file;

/// The process that this one has started, if there is one.
static CHILD: Mutex<Option<Child>> = Mutex::new(None);

/// From now on a signal that ends the program cleans up first. Signals that are ignored, as `nohup`
/// ignores SIGHUP, stay ignored.
pub(super) fn install() {
    system::install();
}

/// Waits for the end of a program that is ending already, where its work fails because of that.
pub(super) fn wait_if_ending() {
    system::wait_if_ending();
}

/// Ends the program because nobody reads its output.
pub(super) fn end_by_broken_pipe() -> u8 {
    clean_up();
    system::end_by_broken_pipe()
}

/// Ends the program where no memory is left, and deletes the unfinished file. Allocates nothing,
/// and waits for no lock: this thread may hold it.
pub extern "C" fn end_without_memory() -> ! {
    use std::sync::atomic::{AtomicBool, Ordering};
    static IS_ENDING: AtomicBool = AtomicBool::new(false);
    if !IS_ENDING.swap(true, Ordering::SeqCst) {
        new_file::try_abandon_all();
        super::print::fixed_error("llmzip: not enough memory\n");
    }
    #[cfg(feature = "gpu")]
    llmzip::machine::foreign::expect_end();
    std::process::exit(super::failure::FAILED.into());
}

/// The process that is to end with this one. Whoever starts one stores it here.
pub(super) fn child() -> MutexGuard<'static, Option<Child>> {
    CHILD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn clean_up() {
    new_file::abandon_all();
    if let Some(child) = child().as_mut() {
        let _ = child.kill();
    }
}

#[cfg(unix)]
mod system {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, LazyLock, mpsc};
    use std::thread;

    use llmzip::machine::inherited;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGXCPU, SIGXFSZ};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    use super::clean_up;
    use crate::cli::failure::FAILED;

    /// The signals that end a program, of those that leave it time to clean up.
    const ENDING: [i32; 6] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXCPU, SIGXFSZ];

    /// Set as soon as one of them arrives.
    static ARRIVED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

    pub(super) fn install() {
        let (installed, wait) = mpsc::sync_channel(0);
        // Without this thread, signals end the program all the same, and may leave a file behind.
        let started = thread::Builder::new().spawn(move || {
            let handled = handle();
            let _ = installed.send(());
            if let Ok(mut signals) = handled
                && let Some(signal) = signals.forever().next()
            {
                clean_up();
                let _ = emulate_default_handler(signal);
                std::process::exit(128 + signal);
            }
        });
        if started.is_ok() {
            let _ = wait.recv();
        }
    }

    fn handle() -> std::io::Result<Signals> {
        let signals = ENDING.into_iter();
        let signals: Vec<i32> = signals.filter(|&one| !inherited::is_ignored(one)).collect();
        // In this order: a signal that set the flag and that nobody handled would keep the program
        // waiting for ever.
        let handled = Signals::new(&signals)?;
        for signal in signals {
            signal_hook::flag::register(signal, Arc::clone(&ARRIVED))?;
        }
        Ok(handled)
    }

    pub(super) fn wait_if_ending() {
        while ARRIVED.load(Ordering::SeqCst) {
            thread::park();
        }
    }

    pub(super) fn end_by_broken_pipe() -> u8 {
        let _ = emulate_default_handler(SIGPIPE);
        FAILED
    }
}

#[cfg(not(unix))]
mod system {
    use super::clean_up;
    use crate::cli::failure::FAILED;

    /// The exit code of a program that Ctrl-C ended.
    const INTERRUPTED: i32 = 130;

    pub(super) fn install() {
        // If this fails, Ctrl-C still ends the program, and may leave a temporary file behind.
        let _ = ctrlc::set_handler(|| {
            clean_up();
            std::process::exit(INTERRUPTED);
        });
    }

    pub(super) fn wait_if_ending() {}

    pub(super) fn end_by_broken_pipe() -> u8 {
        FAILED
    }
}
