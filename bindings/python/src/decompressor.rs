//! `LlmzDecompressor`: decompression of a frame that comes in pieces.

use std::mem;
use std::sync::Arc;

use llmzip::frame::ArrivingFrame;
use pyo3::exceptions::PyEOFError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use pyo3::{PyTraverseError, PyVisit};

use crate::buffer::Bytes;
use crate::error::raised;
use crate::exclusive::Exclusive;
use crate::options::Decompressing;
use crate::watch::Watch;

/// Decompresses one frame that comes in pieces, as ``ZstdDecompressor`` of PEP 784 does. Data of
/// several frames needs one decompressor for each: the next gets ``unused_data`` first. The index
/// behind a frame counts as a frame of its own, without data. The options are those of
/// ``llmzip.decompress``.
#[pyclass(frozen, module = "llmzip")]
pub(crate) struct LlmzDecompressor {
    state: Exclusive<State>,
    watch: Arc<Watch>,
}

struct State {
    frame: ArrivingFrame,
    /// Original bytes; the first `given` have been returned.
    original: Vec<u8>,
    given: usize,
    needs_input: bool,
    eof: bool,
}

impl State {
    fn waiting(&self) -> usize {
        self.original.len() - self.given
    }

    /// Takes out what is waiting, at most `most` bytes.
    fn take(&mut self, most: usize) -> Vec<u8> {
        if self.given == 0 && self.original.len() <= most {
            return mem::take(&mut self.original);
        }
        let end = self.original.len().min(self.given.saturating_add(most));
        let taken = self.original[self.given..end].to_vec();
        self.given = end;
        if self.waiting() == 0 {
            self.original = Vec::new();
            self.given = 0;
        }
        taken
    }
}

#[pymethods]
impl LlmzDecompressor {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.watch.traverse(&visit)
    }

    #[new]
    #[pyo3(signature = (**options))]
    fn new(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<LlmzDecompressor> {
        let Decompressing { options, watch } = Decompressing::new(py, None, options)?;
        let looking = Arc::clone(&watch);
        Ok(LlmzDecompressor {
            state: Exclusive::new(State {
                frame: ArrivingFrame::new(options).on_progress(move |at| looking.look(at)),
                original: Vec::new(),
                given: 0,
                needs_input: true,
                eof: false,
            }),
            watch,
        })
    }

    /// Takes ``data``, any object with bytes, and returns original bytes: all that are known, or at
    /// most ``max_length`` of them if that is not negative. What it holds back, later calls return,
    /// also with ``data=b""``. They come a block at a time. ``EOFError`` behind the end of the
    /// frame.
    #[pyo3(signature = (data, max_length=-1), text_signature = "($self, data, max_length=-1)")]
    fn decompress<'py>(
        &self,
        data: &Bound<'py, PyAny>,
        max_length: isize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let py = data.py();
        let bytes = Bytes::of(data)?;
        let most = usize::try_from(max_length).unwrap_or(usize::MAX);
        let original = self.state.with(py, |state| {
            if state.eof {
                return Err(PyEOFError::new_err("the frame has ended"));
            }
            Python::attach(|py| self.watch.begin(py))?;
            state.frame.push(&bytes.into_vec());
            self.decode(state, most)?;
            Ok(state.take(most))
        })?;
        Ok(PyBytes::new(py, &original))
    }

    /// Whether the end of the frame has been reached, and everything returned.
    #[getter]
    fn eof(&self, py: Python<'_>) -> PyResult<bool> {
        self.state.with(py, |state| Ok(state.eof))
    }

    /// Whether nothing more can be returned without more data.
    #[getter]
    fn needs_input(&self, py: Python<'_>) -> PyResult<bool> {
        self.state.with(py, |state| Ok(state.needs_input))
    }

    /// What followed the end of the frame; empty before it is reached.
    #[getter]
    fn unused_data<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let unused = self.state.with(py, |state| {
            let rest = if state.eof { state.frame.rest() } else { &[] };
            Ok(rest.to_vec())
        })?;
        Ok(PyBytes::new(py, &unused))
    }
}

impl LlmzDecompressor {
    /// Decodes until `most` bytes can be returned, or more data is needed.
    fn decode(&self, state: &mut State, most: usize) -> PyResult<()> {
        let mut has_all = false;
        while !has_all && state.waiting() < most {
            let block = state.frame.next_block();
            match block.map_err(|error| raised(error, &self.watch))? {
                Some(block) => state.original.extend_from_slice(&block),
                None => has_all = true,
            }
        }
        state.eof = has_all && state.frame.is_complete() && state.waiting() <= most;
        state.needs_input = has_all && !state.eof && state.waiting() <= most;
        Ok(())
    }
}
