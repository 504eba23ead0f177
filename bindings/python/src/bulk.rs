//! `compress` and `decompress`.

use llmzip::Progress;
use llmzip::container::ModelRef;
use llmzip::frame::{compress_with, decompress_with};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::buffer::Bytes;
use crate::error::{of_options, raised};
use crate::options::{Compressing, Decompressing};

/// Compresses ``data`` and returns one or more complete frames. See ``llmzip.compress``.
#[pyfunction]
#[pyo3(signature = (data, level=None, **options))]
pub(crate) fn compress<'py>(
    data: &Bound<'py, PyAny>,
    level: Option<i64>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let py = data.py();
    let bytes = Bytes::of(data)?;
    let Compressing { options, watch } = Compressing::new(py, Some(bytes.len()), level, options)?;
    let mut compressed = Vec::new();
    let done =
        py.detach(|| compress_with(bytes, &mut compressed, &options, &mut |at| watch.look(at)));
    let summary = done.map_err(|error| of_options(error, &watch))?;
    watch.tell(py, totals(summary.original_len, compressed.len()))?;
    Ok(PyBytes::new(py, &compressed))
}

/// Decompresses ``data``, which is one or more complete frames. See ``llmzip.decompress``.
#[pyfunction]
#[pyo3(signature = (data, **options))]
pub(crate) fn decompress<'py>(
    data: &Bound<'py, PyAny>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let py = data.py();
    let bytes = Bytes::of(data)?;
    let Decompressing { options, watch } = Decompressing::new(py, Some(bytes.len()), options)?;
    let compressed = bytes.len();
    let mut original = Vec::new();
    let mut resolve = |wanted: &ModelRef| options.models.resolve(wanted);
    let done = py.detach(|| {
        let mut look = |at| watch.look(at);
        decompress_with(bytes, &mut original, &mut resolve, &options, &mut look)
    });
    done.map_err(|error| raised(error, &watch))?;
    watch.tell(py, totals(original.len() as u64, compressed))?;
    Ok(PyBytes::new(py, &original))
}

/// The progress when all is done.
fn totals(original: u64, compressed: usize) -> Progress {
    let mut progress = Progress::default();
    progress.original = original;
    progress.compressed = compressed as u64;
    progress
}
