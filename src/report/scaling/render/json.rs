//! A [`Scaling`] as JSON, specified in `docs/REPORTS.md`.

use serde_json::{Value, json as object};

use crate::report::scaling::{Curve, Fit, MeasuredFile, NoFit, Point, Scaling};
use crate::report::{Provenance, numbers};

/// Version of what [`json`] writes.
pub const SCHEMA_VERSION: u32 = 1;

/// One JSON object.
pub fn json(scaling: &Scaling, made: &Provenance) -> String {
    let files: Vec<Value> = scaling.files.iter().map(file).collect();
    let curves: Vec<Value> = scaling.curves.iter().map(curve).collect();
    let value = object!({
        "schema": "llmzip.scaling",
        "version": SCHEMA_VERSION,
        "provenance": made.json(),
        "files": files,
        "curves": curves,
    });
    format!("{value:#}\n")
}

fn file(file: &MeasuredFile) -> Value {
    object!({
        "name": file.name,
        "class": file.class.key(),
        "points": file.points.iter().map(point).collect::<Vec<_>>(),
    })
}

fn curve(curve: &Curve) -> Value {
    let with_break_even = |one: &Point| {
        let break_even = curve.baseline().and_then(|base| one.break_even(base));
        let mut value = point(one);
        value["break_even_bytes"] = object!(break_even);
        value
    };
    object!({
        "class": curve.class.key(),
        "files": curve.files,
        "points": curve.points.iter().map(with_break_even).collect::<Vec<_>>(),
        "fit": curve.fit.as_ref().ok().map(fit),
        "no_fit": curve.fit.as_ref().err().map(NoFit::to_string),
    })
}

fn point(point: &Point) -> Value {
    object!({
        "model": point.model,
        "parameters": point.parameters,
        "model_bytes": point.model_bytes,
        "original_bytes": point.original,
        "compressed_bytes": point.compressed,
        "bits_per_byte": point.bits_per_byte(),
        "cross_entropy_bits": point.cross_entropy,
        "cross_entropy_bits_per_byte": point.cross_entropy_per_byte(),
        "coded_bits": 8 * point.payload,
        "coder_overhead_bits": point.coder_overhead(),
        "container_bytes": point.container_overhead(),
        "adjusted_bytes": point.adjusted(),
        "adjusted_bits_per_byte": numbers::bits_per_byte(point.original, point.adjusted()),
    })
}

fn fit(fit: &Fit) -> Value {
    object!({
        "c": fit.c,
        "a": fit.a,
        "b": fit.b,
        "standard_error": fit.error,
        "residuals": fit.residuals,
    })
}
