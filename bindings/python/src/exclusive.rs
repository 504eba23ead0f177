//! A value that one thread uses at a time, while the interpreter is free.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// A value that one call uses at a time. A second thread waits. A second call on the same thread,
/// from a progress callback or a signal handler, would wait for ever and is refused.
pub(crate) struct Exclusive<T> {
    value: Mutex<T>,
    user: Mutex<Option<ThreadId>>,
}

impl<T: Send> Exclusive<T> {
    pub(crate) fn new(value: T) -> Exclusive<T> {
        Exclusive {
            value: Mutex::new(value),
            user: Mutex::new(None),
        }
    }

    /// Calls `work` with the value. The interpreter is free meanwhile.
    pub(crate) fn with<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut T) -> PyResult<R> + Send,
    ) -> PyResult<R> {
        if *lock(&self.user) == Some(thread::current().id()) {
            return Err(PyRuntimeError::new_err(
                "the object is at work, and waits for the callback or signal handler that uses it",
            ));
        }
        py.detach(|| {
            let mut value = lock(&self.value);
            *lock(&self.user) = Some(thread::current().id());
            let _used = Used(&self.user);
            work(&mut value)
        })
    }
}

/// Notes, when dropped, that nobody uses the value.
struct Used<'a>(&'a Mutex<Option<ThreadId>>);

impl Drop for Used<'_> {
    fn drop(&mut self) {
        *lock(self.0) = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic has left behind ends with an error of the library.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
