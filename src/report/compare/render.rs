//! A [`Comparison`] as text. JSON and CSV are specified in `docs/REPORTS.md`.

use serde_json::{Value, json};

use super::{Column, Comparison, Compressor, Group, Kind, Outcome};
use crate::report::numbers::{self, one_line, or_dash};
use crate::report::table::Table;

/// Version of what [`json`] and [`csv`] write.
pub const SCHEMA_VERSION: u32 = 1;

/// Tables for a terminal.
pub fn table(comparison: &Comparison) -> String {
    let section =
        |group: &Group| format!("{}\n{}\n", title(group), rows(comparison, group).plain());
    let sections: String = groups(comparison).iter().map(section).collect();
    format!("{sections}{}", notes(comparison).join("\n")) + "\n"
}

/// The same tables in Markdown.
pub fn markdown(comparison: &Comparison) -> String {
    let section = |group: &Group| {
        let rows = rows(comparison, group).markdown();
        format!("**{}**\n\n{rows}\n", title(group))
    };
    let sections: String = groups(comparison).iter().map(section).collect();
    format!("{sections}{}", notes(comparison).join("\n\n")) + "\n"
}

/// One JSON object.
pub fn json(comparison: &Comparison) -> String {
    let compressors: Vec<Value> = comparison.compressors.iter().map(compressor).collect();
    let group = |group: &Group| {
        json!({
            "name": group.name,
            "original_bytes": group.original,
            "results": results(comparison, group),
        })
    };
    let files: Vec<Value> = comparison.files.iter().map(group).collect();
    let total = comparison.total();
    let value = json!({
        "schema": "llmzip.compare",
        "version": SCHEMA_VERSION,
        "compressors": compressors,
        "files": files,
        "total": {
            "original_bytes": total.original,
            "results": results(comparison, &total),
        },
    });
    format!("{value:#}\n")
}

/// A line for each file and compressor, and for all files together where there are several.
pub fn csv(comparison: &Comparison) -> String {
    let mut table = Table::new(&[
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
    ]);
    for group in groups(comparison) {
        for (compressor, outcome) in comparison.compressors.iter().zip(&group.outcomes) {
            let bits = numbers::bits_per_byte(group.original, outcome.compressed);
            let number = |number: Option<f64>| number.map_or(String::new(), |n| format!("{n:.6}"));
            table.push(vec![
                group.name.clone(),
                compressor.name.clone(),
                group.original.to_string(),
                outcome.compressed.to_string(),
                number(group.ratio(outcome)),
                number(bits),
                format!("{:.6}", outcome.compress.as_secs_f64()),
                format!("{:.6}", outcome.decompress.as_secs_f64()),
                model_bytes(compressor).to_string(),
                (outcome.peak_memory).map_or(String::new(), |bytes| bytes.to_string()),
            ]);
        }
    }
    table.csv()
}

/// The files, and all together where there are several.
fn groups(comparison: &Comparison) -> Vec<Group> {
    let mut groups = comparison.files.clone();
    if groups.len() > 1 {
        groups.push(comparison.total());
    }
    groups
}

fn title(group: &Group) -> String {
    format!("{}: {} bytes", one_line(&group.name), group.original)
}

/// One row for each compressor.
fn rows(comparison: &Comparison, group: &Group) -> Table {
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
        let outcome = &group.outcomes[i];
        let bits = numbers::bits_per_byte(group.original, outcome.compressed);
        let cell = |text: String, column| {
            let mark = if group.is_best(column, i) { '*' } else { ' ' };
            format!("{text}{mark}")
        };
        let rate = |duration| {
            let speed = numbers::speed(group.original, duration);
            speed.map_or_else(|| "-".to_owned(), numbers::per_second)
        };
        table.push(vec![
            compressor.name.clone(),
            cell(outcome.compressed.to_string(), Column::Size),
            cell(or_dash(group.ratio(outcome), 2), Column::Size),
            cell(or_dash(bits, 3), Column::Size),
            cell(rate(outcome.compress), Column::Compress),
            cell(rate(outcome.decompress), Column::Decompress),
            cell(memory(outcome), Column::Memory),
        ]);
    }
    table
}

/// What a reader of the tables must know.
fn notes(comparison: &Comparison) -> Vec<String> {
    let models: Vec<String> = comparison
        .compressors
        .iter()
        .filter(|compressor| model_bytes(compressor) > 0)
        .map(|compressor| format!("{} {}", compressor.name, model_bytes(compressor)))
        .collect();
    let mut notes = vec![
        "* best of its column. Each result was decompressed and verified; memory is the peak of both ways, the file included."
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
        Kind::Model { bytes, .. } => bytes,
        Kind::Classical | Kind::Experts => 0,
    }
}

fn compressor(compressor: &Compressor) -> Value {
    let (kind, parameters) = match compressor.kind {
        Kind::Classical => ("classical", None),
        Kind::Experts => ("experts", Some(0)),
        Kind::Model { parameters, .. } => ("model", Some(parameters)),
    };
    json!({
        "name": compressor.name,
        "kind": kind,
        "parameters": parameters,
        "model_bytes": model_bytes(compressor),
    })
}

fn results(comparison: &Comparison, group: &Group) -> Vec<Value> {
    let pairs = comparison.compressors.iter().zip(&group.outcomes);
    pairs
        .enumerate()
        .map(|(i, (compressor, outcome))| result(group, i, &compressor.name, outcome))
        .collect()
}

fn result(group: &Group, i: usize, name: &str, outcome: &Outcome) -> Value {
    json!({
        "compressor": name,
        "compressed_bytes": outcome.compressed,
        "ratio": group.ratio(outcome),
        "bits_per_byte": numbers::bits_per_byte(group.original, outcome.compressed),
        "compress_seconds": outcome.compress.as_secs_f64(),
        "decompress_seconds": outcome.decompress.as_secs_f64(),
        "compress_bytes_per_second": numbers::speed(group.original, outcome.compress),
        "decompress_bytes_per_second": numbers::speed(group.original, outcome.decompress),
        "peak_memory_bytes": outcome.peak_memory,
        "verified": true,
        "best": {
            "size": group.is_best(Column::Size, i),
            "compress": group.is_best(Column::Compress, i),
            "decompress": group.is_best(Column::Decompress, i),
            "memory": group.is_best(Column::Memory, i),
        },
    })
}
