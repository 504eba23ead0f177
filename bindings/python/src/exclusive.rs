//! A value that one thread uses at a time, while the interpreter is free.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use llmzip::machine::forks;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

thread_local! {
    /// Its address tells threads apart.
    static THREAD: u8 = const { 0 };
}

/// A value that one call uses at a time. A second thread waits. What would wait for ever is
/// refused: a second call on the same thread, from a progress callback or a signal handler, and a
/// call in a child process, if a thread of the parent used the value when that forked.
pub(crate) struct Exclusive<T> {
    value: Mutex<T>,
    /// The thread that uses the value, or 0.
    user: AtomicUsize,
    /// The number of forks when it began to.
    forks: AtomicU64,
}

impl<T: Send> Exclusive<T> {
    pub(crate) fn new(value: T) -> Exclusive<T> {
        Exclusive {
            value: Mutex::new(value),
            user: AtomicUsize::new(0),
            forks: AtomicU64::new(0),
        }
    }

    /// Calls `work` with the value. The interpreter is free meanwhile.
    pub(crate) fn with<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut T) -> PyResult<R> + Send,
    ) -> PyResult<R> {
        self.check()?;
        py.detach(|| {
            // What a panic has left behind ends with an error of the library.
            let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
            self.forks.store(forks::count(), Ordering::SeqCst);
            self.user.store(this_thread(), Ordering::SeqCst);
            let _used = Used(&self.user);
            work(&mut value)
        })
    }

    fn check(&self) -> PyResult<()> {
        let user = self.user.load(Ordering::SeqCst);
        if user == this_thread() {
            return Err(PyRuntimeError::new_err(
                "the object is at work, and waits for the callback or signal handler that uses it",
            ));
        }
        if user != 0 && self.forks.load(Ordering::SeqCst) != forks::count() {
            return Err(PyRuntimeError::new_err(
                "another thread was using the object when this process was forked; make a new one",
            ));
        }
        Ok(())
    }
}

/// Notes, when dropped, that nobody uses the value.
struct Used<'a>(&'a AtomicUsize);

impl Drop for Used<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::SeqCst);
    }
}

fn this_thread() -> usize {
    THREAD.with(|thread| std::ptr::from_ref(thread).addr())
}
