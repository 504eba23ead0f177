//! Looks after a run of the library: sees signals, so that Ctrl-C stops it, and tells the progress.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use llmzip::Progress;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

/// How often signals are looked at.
const LOOK: Duration = Duration::from_millis(5);
/// How often the progress is told.
const TELL: Duration = Duration::from_millis(50);
/// At most one part in so many of the time is spent waiting for the interpreter.
const PATIENCE: u32 = 10;

/// Watches one run at a time.
pub(crate) struct Watch {
    /// Called with the original and the compressed bytes so far.
    progress: Option<Py<PyAny>>,
    state: Mutex<State>,
}

struct State {
    /// Whether this is the main thread, which alone sees signals.
    is_main: bool,
    look: Instant,
    tell: Instant,
    /// What stopped the run.
    error: Option<PyErr>,
}

impl Watch {
    /// Watches runs on this thread, until [`begin`](Watch::begin) says otherwise.
    pub(crate) fn new(py: Python<'_>, progress: Option<Py<PyAny>>) -> PyResult<Arc<Watch>> {
        let now = Instant::now();
        let watch = Watch {
            progress,
            state: Mutex::new(State {
                is_main: true,
                look: now,
                tell: now,
                error: None,
            }),
        };
        watch.begin(py)?;
        Ok(Arc::new(watch))
    }

    /// Shows the garbage collector what this keeps alive.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.progress.as_ref())
    }

    /// A run on this thread begins.
    pub(crate) fn begin(&self, py: Python<'_>) -> PyResult<()> {
        let threading = py.import("threading")?;
        let main = threading.call_method0("main_thread")?;
        let is_main = threading.call_method0("current_thread")?.is(&main);
        let now = Instant::now();
        *self.state() = State {
            is_main,
            look: now + LOOK,
            tell: now + TELL,
            error: None,
        };
        Ok(())
    }

    /// Looks, if it is time. The library calls it many times a second.
    pub(crate) fn look(&self, progress: Progress) -> ControlFlow<()> {
        let now = Instant::now();
        let tells = {
            let state = self.state();
            let may_look = state.is_main || self.progress.is_some();
            if !may_look || now < state.look {
                return ControlFlow::Continue(());
            }
            now >= state.tell
        };
        let looked = Python::attach(|py| {
            py.check_signals()?;
            match tells {
                true => self.tell(py, progress),
                false => Ok(()),
            }
        });
        let took = now.elapsed();
        let mut state = self.state();
        state.look = now + took + LOOK.max(PATIENCE * took);
        if tells {
            state.tell = now + took + TELL;
        }
        match looked {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                state.error = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Tells the progress to whoever wants to know it.
    pub(crate) fn tell(&self, py: Python<'_>, progress: Progress) -> PyResult<()> {
        let Some(callback) = &self.progress else {
            return Ok(());
        };
        let told = callback.call1(py, (progress.original, progress.compressed));
        told.map(|_| ())
    }

    /// What stopped the run.
    pub(crate) fn take_error(&self) -> PyErr {
        let error = self.state().error.take();
        error.unwrap_or_else(|| PyKeyboardInterrupt::new_err(()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No other code runs while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
