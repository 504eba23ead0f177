//! Calls of libraries that may end the program.
//!
//! Some libraries call `exit` where they should return an error, even with status 0. A script would
//! take that for success, and delete an input that was never stored.
//!
//! Nothing can be done about a library that ends the program in another way, or from a thread of
//! its own.

use std::cell::Cell;

thread_local! {
    /// What to say if the library that this thread has called ends the program, and the process
    /// that has called it: a child of its own may end.
    static SENTENCE: Cell<Option<(&'static str, u32)>> = const { Cell::new(None) };
}

/// Calls a library. If it calls `exit`, on Unix, `sentence`, which ends with a line feed, goes to
/// standard error, and the exit status is 1.
pub fn call<T>(sentence: &'static str, call: impl FnOnce() -> T) -> T {
    #[cfg(unix)]
    unix::watch();
    let _called = Called(SENTENCE.replace(Some((sentence, std::process::id()))));
    call()
}

/// The program is about to end of its own accord, perhaps inside such a call: nothing is said.
pub fn expect_end() {
    let _ = SENTENCE.try_with(|sentence| sentence.set(None));
}

/// Remembers what was to be said before a call.
struct Called(Option<(&'static str, u32)>);

impl Drop for Called {
    fn drop(&mut self) {
        SENTENCE.set(self.0);
    }
}

#[cfg(unix)]
mod unix {
    use std::cell::Cell;
    use std::sync::Once;

    /// Has the end of the program watched from now on.
    pub(super) fn watch() {
        static WATCHED: Once = Once::new();
        WATCHED.call_once(|| {
            // SAFETY: the function may be called at any time, and lives as long as the program.
            // Without room for it, ends are not watched.
            unsafe { libc::atexit(ended) };
        });
    }

    /// Runs when the program ends, in the thread that ends it.
    extern "C" fn ended() {
        let Some((sentence, process)) = super::SENTENCE.try_with(Cell::get).ok().flatten() else {
            return;
        };
        if process == std::process::id() {
            // SAFETY: the bytes live for ever, and these calls are allowed anywhere. What the
            // library has written may be its own explanation.
            unsafe {
                libc::fflush(std::ptr::null_mut());
                libc::write(
                    libc::STDERR_FILENO,
                    sentence.as_ptr().cast(),
                    sentence.len(),
                );
                libc::_exit(1);
            }
        }
    }
}
