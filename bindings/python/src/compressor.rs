//! `LlmzCompressor`: compression of data that comes in pieces.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use llmzip::Encoder;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use pyo3::{PyTraverseError, PyVisit};

use crate::buffer::Bytes;
use crate::error::{of_file, of_options, raised};
use crate::exclusive::Exclusive;
use crate::options::Compressing;
use crate::watch::Watch;

/// Compresses data that comes in pieces. The options are those of ``llmzip.compress``.
///
/// As with ``ZstdCompressor`` of PEP 784, ``compress`` returns what is ready, and ``flush`` the
/// rest. A frame of llmzip cannot go on behind what was flushed. So ``FLUSH_BLOCK`` ends the frame
/// too, if it has any data, and what follows is in another one: use it rarely.
#[pyclass(frozen, module = "llmzip")]
pub(crate) struct LlmzCompressor {
    state: Exclusive<State>,
    watch: Arc<Watch>,
}

struct State {
    encoder: Encoder<Vec<u8>>,
    last_mode: u8,
}

#[pymethods]
impl LlmzCompressor {
    /// Take data; return what is ready of it.
    #[classattr]
    const CONTINUE: u8 = 0;
    /// Return everything so far, so that it can be decompressed.
    #[classattr]
    const FLUSH_BLOCK: u8 = 1;
    /// End the frame and return its rest.
    #[classattr]
    const FLUSH_FRAME: u8 = 2;

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.watch.traverse(&visit)
    }

    #[new]
    #[pyo3(signature = (level=None, **options))]
    fn new(
        py: Python<'_>,
        level: Option<i64>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<LlmzCompressor> {
        let Compressing { options, watch } = Compressing::new(py, None, level, options)?;
        let encoder = Encoder::new(Vec::new(), &options);
        let encoder = encoder.map_err(|error| of_options(error, &watch))?;
        let looking = Arc::clone(&watch);
        Ok(LlmzCompressor {
            state: Exclusive::new(State {
                encoder: encoder.on_progress(move |at| looking.look(at)),
                last_mode: LlmzCompressor::FLUSH_FRAME,
            }),
            watch,
        })
    }

    /// Takes ``data``, any object with bytes, and returns compressed bytes, often none: they come a
    /// block at a time.
    #[pyo3(signature = (data, mode=0), text_signature = "($self, data, mode=0)")]
    fn compress<'py>(&self, data: &Bound<'py, PyAny>, mode: u8) -> PyResult<Bound<'py, PyBytes>> {
        if mode > LlmzCompressor::FLUSH_FRAME {
            return Err(PyValueError::new_err(
                "mode is CONTINUE, FLUSH_BLOCK or FLUSH_FRAME",
            ));
        }
        let bytes = Bytes::of(data)?;
        self.take(data.py(), bytes, mode)
    }

    /// Returns the compressed bytes of everything so far that have not been returned. With
    /// ``FLUSH_FRAME`` an empty frame, if there was nothing at all.
    #[pyo3(signature = (mode=2), text_signature = "($self, mode=2)")]
    fn flush<'py>(&self, py: Python<'py>, mode: u8) -> PyResult<Bound<'py, PyBytes>> {
        match mode {
            LlmzCompressor::FLUSH_BLOCK | LlmzCompressor::FLUSH_FRAME => {
                self.take(py, io::empty(), mode)
            }
            _ => Err(PyValueError::new_err("mode is FLUSH_BLOCK or FLUSH_FRAME")),
        }
    }

    /// The mode of the last call, ``FLUSH_FRAME`` before the first.
    #[getter]
    fn last_mode(&self, py: Python<'_>) -> PyResult<u8> {
        self.state.with(py, |state| Ok(state.last_mode))
    }
}

impl LlmzCompressor {
    fn take<'py>(
        &self,
        py: Python<'py>,
        mut data: impl io::Read + Send,
        mode: u8,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let compressed = self.state.with(py, |State { encoder, last_mode }| {
            Python::attach(|py| self.watch.begin(py))?;
            let copied = io::copy(&mut data, encoder);
            copied.map_err(|error| of_file(error, &self.watch))?;
            match mode {
                LlmzCompressor::FLUSH_BLOCK => {
                    let flushed = encoder.flush();
                    flushed.map_err(|error| of_file(error, &self.watch))?;
                }
                LlmzCompressor::FLUSH_FRAME => {
                    let finished = encoder.try_finish();
                    finished.map_err(|error| raised(error, &self.watch))?;
                }
                _ => {}
            }
            *last_mode = mode;
            Ok(mem::take(encoder.get_mut()))
        })?;
        Ok(PyBytes::new(py, &compressed))
    }
}
