//! A [`Scaling`] as CSV, specified in `docs/REPORTS.md`.

use crate::report::scaling::{Curve, Point, Scaling};
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
        "law_bits_per_byte",
        "law_low",
        "law_high",
        "residual",
        "pays_from_bytes",
        "pays_from_low_bytes",
        "pays_from_high_bytes",
    ];
    let mut table = Table::new(&[&own[..], &provenance::COLUMNS].concat());
    let mut push = |file: &str, class: &str, points: &[Point], curve: Option<&Curve>| {
        for point in points {
            let names = vec![file.to_owned(), class.to_owned()];
            let own = [names, cells(point), of_curve(point, curve)].concat();
            table.push([own, made.cells(&point.model)].concat());
        }
    };
    for file in &scaling.files {
        let is_only = |curve: &&Curve| curve.files.len() == 1 && curve.class == file.class;
        let curve = scaling.curves.iter().find(is_only);
        push(&file.name, file.class.key(), &file.points, curve);
    }
    for curve in scaling.curves.iter().filter(|one| one.files.len() > 1) {
        let name = format!("all {} files", curve.files.len());
        push(&name, curve.class.key(), &curve.points, Some(curve));
    }
    table.csv()
}

/// What the curve of a point's class says of it. A curve of several files says nothing of one.
fn of_curve(point: &Point, curve: Option<&Curve>) -> Vec<String> {
    let parameters = point.parameters as f64;
    let law = curve.and_then(|curve| curve.fit_of(point));
    let interval = law.map(|(fit, _)| fit.interval_at(parameters));
    let found = curve
        .and_then(Curve::baseline)
        .and_then(|baseline| point.break_even(baseline));
    let bits = |bits: Option<f64>| bits.map_or_else(String::new, |bits| format!("{bits:.6}"));
    let bytes = |bytes: Option<f64>| bytes.map_or_else(String::new, |bytes| format!("{bytes:.0}"));
    vec![
        bits(law.map(|(fit, _)| fit.at(parameters))),
        bits(interval.map(|one| one.low)),
        bits(interval.map(|one| one.high)),
        bits(law.map(|(fit, i)| fit.residuals[i])),
        bytes(found.and_then(|one| one.bytes)),
        bytes(found.map(|one| one.low)),
        bytes(found.and_then(|one| one.high)),
    ]
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
