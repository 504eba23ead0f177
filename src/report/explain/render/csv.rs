//! The pieces of an [`Explanation`] as CSV, specified in `docs/REPORTS.md`.

use super::json::readable;
use crate::report::explain::{Explanation, Piece};
use crate::report::table::Table;
use crate::report::{Provenance, provenance};

/// A line for each piece.
pub fn csv(explanation: &Explanation, made: &Provenance) -> String {
    let own = [
        "file",
        "model",
        "offset",
        "bytes",
        "text",
        "kind",
        "bits",
        "model_bits",
        "experts_bits",
        "rank",
    ];
    let mut table = Table::new(&[&own[..], &provenance::COLUMNS].concat());
    let mut offset = 0;
    for piece in &explanation.pieces {
        let names = vec![
            explanation.name.clone(),
            explanation.model.clone(),
            offset.to_string(),
        ];
        table.push([names, cells(piece), made.cells(&explanation.model)].concat());
        offset += piece.bytes.len();
    }
    table.csv()
}

fn cells(piece: &Piece) -> Vec<String> {
    let model = piece.model.as_ref();
    vec![
        piece.bytes.len().to_string(),
        readable(&piece.bytes),
        piece.kind.key().to_owned(),
        format!("{:.4}", piece.bits),
        model.map_or_else(String::new, |model| format!("{:.4}", model.bits)),
        format!("{:.4}", piece.experts_bits),
        model.map_or_else(String::new, |model| model.rank.to_string()),
    ]
}
