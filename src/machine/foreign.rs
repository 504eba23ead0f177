//! Calls of libraries that may end the program.
//!
//! Some libraries call `exit` where they should return an error, even with status 0. A script would
//! take that for success, and delete an input that was never stored.

use std::cell::Cell;

thread_local! {
    /// What to say if the library that this thread has called ends the program.
    static SENTENCE: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Calls a library. If it ends the program, the program says `sentence` instead, with a line feed
/// of its own, and its exit status is 1.
pub fn call<T>(sentence: &'static str, call: impl FnOnce() -> T) -> T {
    #[cfg(unix)]
    unix::watch();
    let _called = Called(SENTENCE.replace(Some(sentence)));
    call()
}

/// Remembers what was to be said before a call.
struct Called(Option<&'static str>);

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
        if let Some(sentence) = super::SENTENCE.try_with(Cell::get).ok().flatten() {
            // SAFETY: the bytes live for ever, and both calls are allowed anywhere.
            unsafe {
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
