//! Errors of the library as Python's exceptions.

use std::io;

use llmzip::Error;
use llmzip::cli;
use llmzip::error::{ContainerError, MachineError};
use pyo3::exceptions::{PyEOFError, PyException, PyMemoryError, PyValueError};
use pyo3::{PyErr, create_exception};

use crate::watch::Watch;

create_exception!(
    llmzip,
    LlmzError,
    PyException,
    "Data cannot be compressed or decompressed, or a model cannot be used. The message is one \
     sentence."
);

/// The exception for an error of the library. What stopped it, a signal or a callback that failed,
/// is known to `watch`.
pub(crate) fn raised(error: Error, watch: &Watch) -> PyErr {
    match error {
        Error::Cancelled => watch.take_error(),
        Error::Read(error) | Error::Write(error) => of_file(error, watch),
        Error::Machine(error @ MachineError::Memory { .. }) => {
            PyMemoryError::new_err(error.to_string())
        }
        Error::MissingPrime { .. } => LlmzError::new_err(format!("{error}; give it as prime")),
        error => LlmzError::new_err(cli::advice(&error)),
    }
}

/// As [`raised`], for errors that come through a reader or writer: an exception that a file object
/// has raised is raised again, and where a file ends too soon, `EOFError` is.
pub(crate) fn of_file(error: io::Error, watch: &Watch) -> PyErr {
    match error.downcast::<Error>() {
        Ok(Error::Container(error @ ContainerError::Truncated { .. })) => {
            PyEOFError::new_err(error.to_string())
        }
        Ok(error) => raised(error, watch),
        Err(error) => error.into(),
    }
}

/// The exception for options that are out of range.
pub(crate) fn of_options(error: Error, watch: &Watch) -> PyErr {
    match error {
        Error::Unsupported(reason) => PyValueError::new_err(reason),
        error => raised(error, watch),
    }
}

/// The exception for a model that cannot be had.
pub(crate) fn of_model(error: &Error) -> PyErr {
    LlmzError::new_err(cli::advice(error))
}
