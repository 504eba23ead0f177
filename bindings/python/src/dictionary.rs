//! What a frame can begin after: `LlmzDict`.

use std::sync::{Arc, Mutex, PoisonError};

use llmzip::Prime;
use llmzip::machine::forks;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::buffer::Bytes;

/// What data is compressed after, so that it becomes shorter: an earlier version of it, or samples
/// of its kind. Decompressing needs the same. ``dict_content`` has 1 byte to 16 MiB.
#[pyclass(frozen, module = "llmzip")]
pub(crate) struct LlmzDict {
    /// The prime, and the number of forks when it was made.
    prime: Mutex<(u64, Arc<Prime>)>,
}

impl LlmzDict {
    /// The prime. A child process has one of its own: another thread of its parent may be at work
    /// on that one for ever.
    pub(crate) fn prime(&self, _: Python<'_>) -> PyResult<Arc<Prime>> {
        let mut prime = self.prime.lock().unwrap_or_else(PoisonError::into_inner);
        if prime.0 != forks::count() {
            *prime = made(prime.1.bytes().to_vec())?;
        }
        Ok(Arc::clone(&prime.1))
    }
}

fn made(content: Vec<u8>) -> PyResult<(u64, Arc<Prime>)> {
    let prime = Prime::new(content)
        .ok_or_else(|| PyValueError::new_err("a dictionary has 1 byte to 16 MiB"))?;
    Ok((forks::count(), Arc::new(prime)))
}

#[pymethods]
impl LlmzDict {
    #[new]
    fn new(dict_content: &Bound<'_, PyAny>) -> PyResult<LlmzDict> {
        let content = Bytes::of(dict_content)?.into_vec();
        Ok(LlmzDict {
            prime: Mutex::new(made(content)?),
        })
    }

    /// The content, as bytes.
    #[getter]
    fn dict_content<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.prime(py)?.bytes()))
    }

    /// What frames call it by: 16 hexadecimal digits, the beginning of the BLAKE3 of the content.
    #[getter]
    fn dict_id(&self, py: Python<'_>) -> PyResult<String> {
        Ok(llmzip::store::hex(&self.prime(py)?.reference()))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.prime(py)?.size())
    }

    fn __getnewargs__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>,)> {
        Ok((self.dict_content(py)?,))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "<LlmzDict dict_id={} dict_size={}>",
            self.dict_id(py)?,
            self.prime(py)?.size()
        ))
    }
}
