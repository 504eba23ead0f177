//! A [`Comparison`] as text. JSON and CSV are specified in `docs/REPORTS.md`.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    BUDGET, Comparison, Compressor, CompressorKind, FileOutcomes, LONG, MAX_RUNS, MEMORY_NOISE,
    MIN_RUNS, Metric, Outcome, Times,
};
use crate::report::Provenance;
use crate::report::markup::{escaped, markdown as markdown_escaped};
use crate::report::numbers::{self, one_line, or_dash};
use crate::report::page;
use crate::report::provenance;
use crate::report::table::Table;

/// Version of what [`json`] and [`csv`] write.
pub const SCHEMA_VERSION: u32 = 2;

/// Tables for a terminal.
pub fn table(comparison: &Comparison, made: &Provenance) -> String {
    let section =
        |file: &FileOutcomes| format!("{}\n{}\n", title(file), rows(comparison, file).plain());
    let sections: String = files_and_total(comparison).iter().map(section).collect();
    let made = made.lines().join("\n");
    format!("{sections}{}\n{made}\n", notes(comparison).join("\n"))
}

/// The same tables in Markdown.
pub fn markdown(comparison: &Comparison, made: &Provenance) -> String {
    let section = |file: &FileOutcomes| {
        let rows = rows(comparison, file).markdown();
        format!("**{}**\n\n{rows}\n", markdown_escaped(&title(file)))
    };
    let sections: String = files_and_total(comparison).iter().map(section).collect();
    let notes: Vec<String> = notes(comparison)
        .iter()
        .map(|note| markdown_escaped(note))
        .collect();
    let notes = notes.join("\n\n");
    format!("{sections}{notes}\n\n{}", made.markdown())
}

/// One self-contained page for a browser.
pub fn html(comparison: &Comparison, made: &Provenance) -> String {
    let section = |file: &FileOutcomes| {
        let rows = page::table(&rows(comparison, file));
        format!("<h2>{}</h2>\n{rows}", escaped(&title(file)))
    };
    let sections: String = files_and_total(comparison).iter().map(section).collect();
    let notes = notes(comparison);
    let notes: Vec<String> = notes.iter().map(|note| escaped(note)).collect();
    let body = format!("{sections}<p>{}</p>\n", notes.join("</p>\n<p>"));
    page::page("Compressors compared", &body, made)
}

/// One JSON object.
pub fn json(comparison: &Comparison, made: &Provenance) -> String {
    let compressors: Vec<Value> = comparison.compressors.iter().map(compressor).collect();
    let file = |file: &FileOutcomes| {
        json!({
            "name": file.name,
            "original_bytes": file.original,
            "results": results(comparison, file),
        })
    };
    let files: Vec<Value> = comparison.files.iter().map(file).collect();
    let total = comparison.total();
    let value = json!({
        "schema": "llmzip.compare",
        "version": SCHEMA_VERSION,
        "provenance": made.json(),
        "compressors": compressors,
        "files": files,
        "total": {
            "original_bytes": total.original,
            "results": results(comparison, &total),
        },
    });
    format!("{value:#}\n")
}

/// CSV: a line for each file and compressor, and for all files added up if there are several.
pub fn csv(comparison: &Comparison, made: &Provenance) -> String {
    let own = [
        "file",
        "compressor",
        "original_bytes",
        "compressed_bytes",
        "ratio",
        "bits_per_byte",
        "runs",
        "compress_seconds",
        "compress_seconds_min",
        "compress_seconds_max",
        "decompress_seconds",
        "decompress_seconds_min",
        "decompress_seconds_max",
        "model_bytes",
        "peak_memory_bytes",
    ];
    let mut table = Table::new(&[&own[..], &provenance::COLUMNS].concat());
    for file in files_and_total(comparison) {
        for (compressor, outcome) in comparison.compressors.iter().zip(&file.outcomes) {
            let bits = numbers::bits_per_byte(file.original, outcome.compressed);
            let number = |number: Option<f64>| number.map_or(String::new(), |n| format!("{n:.6}"));
            let model = compressor.name.strip_prefix("llmzip ").unwrap_or("");
            let start = vec![
                file.name.clone(),
                compressor.name.clone(),
                file.original.to_string(),
                outcome.compressed.to_string(),
                number(file.ratio(outcome)),
                number(bits),
                outcome.compress.runs().len().to_string(),
            ];
            let end = vec![
                model_bytes(compressor).to_string(),
                (outcome.peak_memory).map_or(String::new(), |bytes| bytes.to_string()),
            ];
            let times = [seconds(&outcome.compress), seconds(&outcome.decompress)].concat();
            let own = [start, times, end].concat();
            table.push([own, made.cells(model)].concat());
        }
    }
    table.csv()
}

/// Median, shortest and longest in seconds.
fn seconds(times: &Times) -> Vec<String> {
    [times.median(), times.shortest(), times.longest()]
        .map(|time| format!("{:.6}", time.as_secs_f64()))
        .to_vec()
}

/// The files, and all of them added up if there are several.
fn files_and_total(comparison: &Comparison) -> Vec<FileOutcomes> {
    let mut files = comparison.files.clone();
    if files.len() > 1 {
        files.push(comparison.total());
    }
    files
}

fn title(file: &FileOutcomes) -> String {
    format!("{}: {} bytes", one_line(&file.name), file.original)
}

/// One row for each compressor.
fn rows(comparison: &Comparison, file: &FileOutcomes) -> Table {
    let mut table = Table::new(&[
        "",
        "bytes ",
        "ratio ",
        "bits/byte ",
        "compress ",
        "decompress ",
        "runs",
        "memory ",
    ]);
    let memory = |outcome: &Outcome| {
        let peak = outcome.peak_memory;
        peak.map_or_else(|| "-".to_owned(), numbers::size)
    };
    for (i, compressor) in comparison.compressors.iter().enumerate() {
        let outcome = &file.outcomes[i];
        let bits = numbers::bits_per_byte(file.original, outcome.compressed);
        let cell = |text: String, metric| {
            let mark = if file.is_best(metric, i) { '*' } else { ' ' };
            format!("{text}{mark}")
        };
        table.push(vec![
            compressor.name.clone(),
            cell(outcome.compressed.to_string(), Metric::Size),
            cell(or_dash(file.ratio(outcome), 2), Metric::Size),
            cell(or_dash(bits, 3), Metric::Size),
            cell(rate(file.original, &outcome.compress), Metric::Compress),
            cell(rate(file.original, &outcome.decompress), Metric::Decompress),
            outcome.compress.runs().len().to_string(),
            cell(memory(outcome), Metric::Memory),
        ]);
    }
    table
}

/// The speed of the median, between those of the longest and the shortest time.
fn rate(bytes: u64, times: &Times) -> String {
    let speed = |time| numbers::speed(bytes, time);
    let median = speed(times.median());
    let range = speed(times.longest()).zip(speed(times.shortest()));
    match (median, range) {
        (Some(rate), Some((low, high))) if times.runs().len() > 1 => {
            numbers::per_second_within(rate, [low, high])
        }
        (Some(rate), _) => numbers::per_second(rate),
        _ => "-".to_owned(),
    }
}

/// The lines below the tables.
fn notes(comparison: &Comparison) -> Vec<String> {
    let models: Vec<String> = comparison
        .compressors
        .iter()
        .filter(|compressor| model_bytes(compressor) > 0)
        .map(|compressor| format!("{} {}", compressor.name, model_bytes(compressor)))
        .collect();
    let mut notes = vec![
        format!(
            "Speeds: the median of the runs and [slowest-fastest run]. Compressors took turns after \
             a run each to warm up. Each ran {MIN_RUNS} to {MAX_RUNS} times, as often as its share \
             of {} s for each file allowed; one whose first run took {} s ran once, not warm.",
            BUDGET.as_secs(),
            LONG.as_secs()
        ),
        format!(
            "* best of its column: a speed only if its runs overlap with those of no other, memory \
             only if it is {:.0} % less. Sizes are exact. Each result was decompressed and \
             verified; memory is the peak of both ways, the file included, measured once.",
            100.0 * MEMORY_NOISE
        ),
    ];
    if !models.is_empty() {
        notes.push(format!(
            "The bytes of models are not counted: {}.",
            models.join(", ")
        ));
    }
    notes
}

fn model_bytes(compressor: &Compressor) -> u64 {
    match compressor.kind {
        CompressorKind::Model { bytes, .. } => bytes,
        CompressorKind::Classical | CompressorKind::Experts => 0,
    }
}

fn compressor(compressor: &Compressor) -> Value {
    let (kind, parameters) = match compressor.kind {
        CompressorKind::Classical => ("classical", None),
        CompressorKind::Experts => ("experts", Some(0)),
        CompressorKind::Model { parameters, .. } => ("model", Some(parameters)),
    };
    json!({
        "name": compressor.name,
        "kind": kind,
        "parameters": parameters,
        "model_bytes": model_bytes(compressor),
    })
}

fn results(comparison: &Comparison, file: &FileOutcomes) -> Vec<Value> {
    let pairs = comparison.compressors.iter().zip(&file.outcomes);
    pairs
        .enumerate()
        .map(|(i, (compressor, outcome))| result(file, i, &compressor.name, outcome))
        .collect()
}

fn result(file: &FileOutcomes, i: usize, name: &str, outcome: &Outcome) -> Value {
    json!({
        "compressor": name,
        "compressed_bytes": outcome.compressed,
        "ratio": file.ratio(outcome),
        "bits_per_byte": numbers::bits_per_byte(file.original, outcome.compressed),
        "runs": outcome.compress.runs().len(),
        "compress_seconds": outcome.compress.median().as_secs_f64(),
        "compress_seconds_of_runs": of_runs(&outcome.compress),
        "decompress_seconds": outcome.decompress.median().as_secs_f64(),
        "decompress_seconds_of_runs": of_runs(&outcome.decompress),
        "compress_bytes_per_second": numbers::speed(file.original, outcome.compress.median()),
        "decompress_bytes_per_second": numbers::speed(file.original, outcome.decompress.median()),
        "peak_memory_bytes": outcome.peak_memory,
        "verified": true,
        "best": {
            "size": file.is_best(Metric::Size, i),
            "compress": file.is_best(Metric::Compress, i),
            "decompress": file.is_best(Metric::Decompress, i),
            "memory": file.is_best(Metric::Memory, i),
        },
    })
}

fn of_runs(times: &Times) -> Vec<f64> {
    times.runs().iter().map(Duration::as_secs_f64).collect()
}
