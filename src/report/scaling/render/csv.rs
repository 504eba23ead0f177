//! A [`Scaling`] as CSV, specified in `docs/REPORTS.md`.

use crate::report::scaling::{Point, Scaling};
use crate::report::table::Table;
use crate::report::{Provenance, provenance};

/// A line for each file and model, and for each class of several files and model.
pub fn csv(scaling: &Scaling, made: &Provenance) -> String {
    let own = [
        "file",
        "class",
        "model",
        "parameters",
        "model_bytes",
        "original_bytes",
        "compressed_bytes",
        "bits_per_byte",
        "cross_entropy_bits",
        "coded_bits",
        "container_bytes",
        "adjusted_bytes",
    ];
    let mut table = Table::new(&[&own[..], &provenance::COLUMNS].concat());
    let mut push = |file: &str, class: &str, points: &[Point]| {
        for point in points {
            let own = [vec![file.to_owned(), class.to_owned()], cells(point)].concat();
            table.push([own, made.cells(&point.model)].concat());
        }
    };
    for file in &scaling.files {
        push(&file.name, file.class.key(), &file.points);
    }
    for curve in scaling.curves.iter().filter(|one| one.files.len() > 1) {
        let name = format!("all {} files", curve.files.len());
        push(&name, curve.class.key(), &curve.points);
    }
    table.csv()
}

fn cells(point: &Point) -> Vec<String> {
    let bits = point.bits_per_byte();
    vec![
        point.model.clone(),
        point.parameters.to_string(),
        point.model_bytes.to_string(),
        point.original.to_string(),
        point.compressed.to_string(),
        bits.map_or_else(String::new, |bits| format!("{bits:.6}")),
        format!("{:.3}", point.cross_entropy),
        (8 * point.payload).to_string(),
        point.container_overhead().to_string(),
        point.adjusted().to_string(),
    ]
}
