//! The language models, opened once for all calls.

use std::sync::{Arc, Mutex, PoisonError};

use llmzip::cli;
use llmzip::machine::forks;
use llmzip::machine::pages::{self, Keep};
use llmzip::{Model, Models};
use pyo3::prelude::*;

use crate::error::of_model;

/// The models that are open. Whoever looks holds the interpreter, so nobody ever waits here, also
/// in a child process, which has the interpreter's only thread.
static OPEN: Mutex<Option<Open>> = Mutex::new(None);

struct Open {
    /// A child process opens models anew, with threads of its own.
    forks: u64,
    /// For each number of threads.
    models: Vec<(usize, Models)>,
    /// A call for a short text uses the tables of the one before.
    _tables: Keep,
}

/// The installed models, run by `threads` threads; 0 is one for each processor.
pub(crate) fn installed(_: Python<'_>, threads: usize) -> Models {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let now = forks::count();
    let open = match &mut *open {
        Some(open) if open.forks == now => open,
        other => other.insert(Open {
            forks: now,
            models: Vec::new(),
            _tables: pages::keep(),
        }),
    };
    match open.models.iter().find(|(known, _)| *known == threads) {
        Some((_, models)) => models.clone(),
        None => {
            let models = Models::installed().threads(threads);
            open.models.push((threads, models.clone()));
            models
        }
    }
}

/// The model called `name`, an installed one or the path of a packed one; `None` if it is "none".
pub(crate) fn get(py: Python<'_>, name: &str, threads: usize) -> PyResult<Option<Arc<Model>>> {
    if name == cli::NO_MODEL {
        return Ok(None);
    }
    let models = installed(py, threads);
    let found = py.detach(|| models.get(name));
    found.map(Some).map_err(|error| of_model(&error))
}

/// The names of the models that can be used: the built-in ones, the smallest first, and those that
/// ``llmzip model add`` and ``llmzip model pull`` have stored.
#[pyfunction]
pub(crate) fn models(py: Python<'_>) -> PyResult<Vec<String>> {
    let names = installed(py, 0).names();
    names.map_err(|error| of_model(&error))
}
