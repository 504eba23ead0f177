//! What language models know: the costs of tokens, and the reports of the command line.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use llmzip::frame::{TracedBlock, trace};
use llmzip::report::compare::{Comparison, CompressorKind};
use llmzip::report::scaling::Point;
use llmzip::report::{Candidate, MeasureProgress, ReportError, Sample, compare as comparing};
use llmzip::report::{numbers, scaling as scales};
use llmzip::{EncoderOptions, Progress, cli};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::buffer::Bytes;
use crate::error::{LlmzError, raised};
use crate::models;
use crate::watch::Watch;

/// The length in bytes (uint32) and the cost in bits (float32) of each token of ``text``, each as
/// the bytes of an array, and the sum of the costs.
#[pyfunction]
pub(crate) fn token_costs<'py>(
    text: &Bound<'py, PyAny>,
    model: &str,
    experts: bool,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>, f64)> {
    let py = text.py();
    let text = Bytes::of(text)?;
    let model = models::get(py, model, threads)?;
    let options = EncoderOptions::new()
        .experts(experts || model.is_none())
        .model(model)
        .wanted_gain(0)
        .streams(1);
    let watch = Watch::new(py, progress)?;
    let (mut lens, mut bits) = (Vec::new(), Vec::new());
    let traced = py.detach(|| {
        let mut note = |block| push(&mut lens, &mut bits, &block);
        trace(text, io::sink(), &options, &mut note, &mut |at| {
            watch.look(at)
        })
    });
    let summary = traced.map_err(|error| raised(error, &watch))?;
    let lens: Vec<u8> = lens.into_iter().flat_map(u32::to_ne_bytes).collect();
    let bits: Vec<u8> = bits.into_iter().flat_map(f32::to_ne_bytes).collect();
    let sum = summary.cross_entropy.unwrap_or_default();
    Ok((PyBytes::new(py, &lens), PyBytes::new(py, &bits), sum))
}

/// Adds what a block costs.
fn push(lens: &mut Vec<u32>, bits: &mut Vec<f32>, block: &TracedBlock) {
    for cost in block.costs() {
        lens.push(cost.len);
        bits.push(cost.bits);
    }
}

/// A dictionary for each file and model. ``files`` are pairs of a name and bytes.
#[pyfunction]
pub(crate) fn scaling<'py>(
    py: Python<'py>,
    files: Vec<(String, Vec<u8>)>,
    models: Vec<String>,
    experts: bool,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyList>> {
    let samples = samples(files);
    let mut candidates = candidates(py, &models, threads)?;
    if !experts {
        let alone = candidates.into_iter().map(Candidate::without_experts);
        candidates = alone.collect();
    }
    let watch = Watch::new(py, progress)?;
    let measured = py.detach(|| scales::measure(&samples, &candidates, &mut |at| look(&watch, at)));
    let measured = measured.map_err(|error| of_report(error, &watch))?;
    let rows = PyList::empty(py);
    for file in &measured.files {
        for point in &file.points {
            let row = scaling_row(py, point)?;
            row.set_item("file", &file.name)?;
            row.set_item("class", file.class.key())?;
            rows.append(row)?;
        }
    }
    Ok(rows)
}

fn scaling_row<'py>(py: Python<'py>, point: &Point) -> PyResult<Bound<'py, PyDict>> {
    let row = PyDict::new(py);
    row.set_item("file", py.None())?;
    row.set_item("class", py.None())?;
    row.set_item("model", &point.model)?;
    row.set_item("parameters", point.parameters)?;
    row.set_item("model_bytes", point.model_bytes)?;
    row.set_item("original", point.original)?;
    row.set_item("compressed", point.compressed)?;
    row.set_item("adjusted", point.adjusted())?;
    row.set_item("bits_per_byte", point.bits_per_byte())?;
    row.set_item("cross_entropy_per_byte", point.cross_entropy_per_byte())?;
    Ok(row)
}

/// A dictionary for each file and compressor. ``files`` are pairs of a name and bytes.
#[pyfunction]
pub(crate) fn compare<'py>(
    py: Python<'py>,
    files: Vec<(String, Vec<u8>)>,
    models: Vec<String>,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyList>> {
    let samples = samples(files);
    let candidates = candidates(py, &models, threads)?;
    let watch = Watch::new(py, progress)?;
    let compared = py.detach(|| {
        Comparison::new(&samples, comparing::compressors(&candidates), |sample| {
            |i| comparing::measure(sample, &candidates, i, &mut |at| look(&watch, at))
        })
    });
    let compared = compared.map_err(|error| of_report(error, &watch))?;
    rows_of(py, &compared)
}

fn rows_of<'py>(py: Python<'py>, compared: &Comparison) -> PyResult<Bound<'py, PyList>> {
    let rows = PyList::empty(py);
    for file in &compared.files {
        for (compressor, outcome) in compared.compressors.iter().zip(&file.outcomes) {
            let bits = numbers::bits_per_byte(file.original, outcome.compressed);
            let row = PyDict::new(py);
            row.set_item("file", &file.name)?;
            row.set_item("compressor", &compressor.name)?;
            row.set_item("model_bytes", model_bytes(compressor.kind))?;
            row.set_item("original", file.original)?;
            row.set_item("compressed", outcome.compressed)?;
            row.set_item("ratio", file.ratio(outcome))?;
            row.set_item("bits_per_byte", bits)?;
            row.set_item("compress_seconds", outcome.compress.median().as_secs_f64())?;
            row.set_item(
                "decompress_seconds",
                outcome.decompress.median().as_secs_f64(),
            )?;
            rows.append(row)?;
        }
    }
    Ok(rows)
}

fn model_bytes(kind: CompressorKind) -> u64 {
    match kind {
        CompressorKind::Model { bytes, .. } => bytes,
        _ => 0,
    }
}

fn samples(files: Vec<(String, Vec<u8>)>) -> Vec<Sample> {
    let samples = files
        .into_iter()
        .map(|(name, bytes)| Sample { name, bytes });
    samples.collect()
}

/// The experts alone, and each model once, from the smallest to the largest.
fn candidates(py: Python<'_>, names: &[String], threads: usize) -> PyResult<Vec<Candidate>> {
    let mut candidates = vec![Candidate::experts_alone()];
    for name in names {
        let Some(model) = models::get(py, name, threads)? else {
            continue;
        };
        let identity = Some(model.identity());
        if candidates.iter().all(|one| one.identity() != identity) {
            candidates.push(Candidate::with_model(name.as_str(), model));
        }
    }
    candidates.sort_by_key(Candidate::parameters);
    Ok(candidates)
}

/// The callback of a report hears the original bytes done of a file, and those of the file.
fn look(watch: &Arc<Watch>, at: MeasureProgress<'_>) -> ControlFlow<()> {
    let mut progress = Progress::default();
    progress.original = at.done;
    progress.compressed = at.total;
    watch.look(progress)
}

fn of_report(error: ReportError, watch: &Watch) -> PyErr {
    match error {
        ReportError::Cancelled => watch.take_error(),
        ReportError::Llmzip { file, model, error } => LlmzError::new_err(format!(
            "{file}: llmzip with {model}: {}",
            cli::advice(&error)
        )),
        error => LlmzError::new_err(error.to_string()),
    }
}
