//! A [`Comparison`] as text. JSON and CSV are specified in `docs/REPORTS.md`.

use serde_json::{Value, json};

use super::{Comparison, Compressor, CompressorKind, FileOutcomes, Metric, Outcome};
use crate::report::Provenance;
use crate::report::markup::escaped;
use crate::report::numbers::{self, one_line, or_dash};
use crate::report::page;
use crate::report::provenance;
use crate::report::table::Table;

/// Version of what [`json`] and [`csv`] write.
pub const SCHEMA_VERSION: u32 = 1;

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
        format!("**{}**\n\n{rows}\n", title(file))
    };
    let sections: String = files_and_total(comparison).iter().map(section).collect();
    let notes = notes(comparison).join("\n\n");
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
        "compress_seconds",
        "decompress_seconds",
        "model_bytes",
        "peak_memory_bytes",
    ];
    let mut table = Table::new(&[&own[..], &provenance::COLUMNS].concat());
    for file in files_and_total(comparison) {
        for (compressor, outcome) in comparison.compressors.iter().zip(&file.outcomes) {
            let bits = numbers::bits_per_byte(file.original, outcome.compressed);
            let number = |number: Option<f64>| number.map_or(String::new(), |n| format!("{n:.6}"));
            let model = compressor.name.strip_prefix("llmzip ").unwrap_or("");
            let own = vec![
                file.name.clone(),
                compressor.name.clone(),
                file.original.to_string(),
                outcome.compressed.to_string(),
                number(file.ratio(outcome)),
                number(bits),
                format!("{:.6}", outcome.compress.as_secs_f64()),
                format!("{:.6}", outcome.decompress.as_secs_f64()),
                model_bytes(compressor).to_string(),
                (outcome.peak_memory).map_or(String::new(), |bytes| bytes.to_string()),
            ];
            table.push([own, made.cells(model)].concat());
        }
    }
    table.csv()
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
        "memory ",
    ]);
    let memory = |outcome: &Outcome| {
        let peak = outcome.peak_memory;
        peak.map_or_else(|| "-".to_owned(), numbers::memory)
    };
    for (i, compressor) in comparison.compressors.iter().enumerate() {
        let outcome = &file.outcomes[i];
        let bits = numbers::bits_per_byte(file.original, outcome.compressed);
        let cell = |text: String, metric| {
            let mark = if file.is_best(metric, i) { '*' } else { ' ' };
            format!("{text}{mark}")
        };
        let rate = |duration| {
            let speed = numbers::speed(file.original, duration);
            speed.map_or_else(|| "-".to_owned(), numbers::per_second)
        };
        table.push(vec![
            compressor.name.clone(),
            cell(outcome.compressed.to_string(), Metric::Size),
            cell(or_dash(file.ratio(outcome), 2), Metric::Size),
            cell(or_dash(bits, 3), Metric::Size),
            cell(rate(outcome.compress), Metric::Compress),
            cell(rate(outcome.decompress), Metric::Decompress),
            cell(memory(outcome), Metric::Memory),
        ]);
    }
    table
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
        "* best of its column. Each result was decompressed and verified; \
         memory is the peak of both ways, the file included."
            .into(),
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
        "compress_seconds": outcome.compress.as_secs_f64(),
        "decompress_seconds": outcome.decompress.as_secs_f64(),
        "compress_bytes_per_second": numbers::speed(file.original, outcome.compress),
        "decompress_bytes_per_second": numbers::speed(file.original, outcome.decompress),
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
