//! A [`Scaling`] as JSON, specified in `docs/REPORTS.md`.

use serde_json::{Value, json as object};

use crate::report::scaling::{
    BreakEven, Curve, Fit, Interval, MeasuredFile, NoFit, Point, Scaling,
};
use crate::report::{Provenance, numbers};

/// Steps of a fitted curve.
const CURVE_STEPS: usize = 24;

/// Version of what [`json`] writes.
pub const SCHEMA_VERSION: u32 = 2;

/// One JSON object.
pub fn json(scaling: &Scaling, made: &Provenance) -> String {
    let files: Vec<Value> = scaling.files.iter().map(file).collect();
    let curves: Vec<Value> = scaling
        .curves
        .iter()
        .map(|one| curve(scaling, one))
        .collect();
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

fn curve(scaling: &Scaling, curve: &Curve) -> Value {
    let families = scaling.families.iter().zip(&curve.fits);
    let families = families.map(|(models, found)| {
        object!({
            "models": models,
            "fit": found.as_ref().ok().map(fit),
            "no_fit": found.as_ref().err().map(NoFit::to_string),
        })
    });
    object!({
        "class": curve.class.key(),
        "files": curve.files,
        "points": curve.points.iter().map(|one| of_curve(curve, one)).collect::<Vec<_>>(),
        "families": families.collect::<Vec<_>>(),
    })
}

/// A point with what only the curve tells of it.
fn of_curve(curve: &Curve, one: &Point) -> Value {
    let found = curve.baseline().and_then(|base| one.break_even(base));
    let mut value = point(one);
    value["pays_from"] = object!(found.as_ref().map(break_even));
    value["law"] = object!(curve.fit_of(one).map(|(fit, i)| object!({
        "bits_per_byte": fit.at(one.parameters as f64),
        "interval": interval(fit.interval_at(one.parameters as f64)),
        "residual": fit.residuals[i],
    })));
    value
}

fn point(point: &Point) -> Value {
    let along = point.along.segments.iter();
    let along = along.map(|one| object!({ "bytes": one.bytes, "bits": one.bits }));
    object!({
        "model": point.model,
        "family": point.family,
        "parameters": point.parameters,
        "model_bytes": point.model_bytes,
        "original_bytes": point.original,
        "compressed_bytes": point.compressed,
        "bits_per_byte": point.bits_per_byte(),
        "cross_entropy_bits": point.cross_entropy,
        "cross_entropy_bits_per_byte": point.cross_entropy_per_byte(),
        "along": along.collect::<Vec<_>>(),
        "coded_bits": 8 * point.payload,
        "coder_overhead_bits": point.coder_overhead(),
        "container_bytes": point.container_overhead(),
        "adjusted_bytes": point.adjusted(),
        "adjusted_bits_per_byte": numbers::bits_per_byte(point.original, point.adjusted()),
    })
}

fn break_even(found: &BreakEven) -> Value {
    object!({
        "bytes": found.bytes,
        "low_bytes": found.low,
        "high_bytes": found.high,
        "extrapolated": found.is_extrapolated,
        "exponent": found.exponent.map(|(exponent, _)| exponent),
        "exponent_interval": found.exponent.map(|(_, range)| interval(range)),
    })
}

fn fit(fit: &Fit) -> Value {
    let curve = fit.curve(CURVE_STEPS).map(|(parameters, bits, range)| {
        object!({
            "parameters": parameters,
            "bits_per_byte": bits,
            "interval": interval(range),
        })
    });
    object!({
        "c": fit.c,
        "a": fit.a,
        "b": fit.b,
        "c_interval": interval(fit.interval_of_c()),
        "a_interval": interval(fit.interval_of_a()),
        "b_interval": interval(fit.interval_of_b()),
        "few_points": fit.has_few_points(),
        "standard_error": fit.error,
        "residuals": fit.residuals,
        "held_out": fit.held_out,
        "curve": curve.collect::<Vec<_>>(),
    })
}

fn interval(interval: Interval) -> Value {
    object!([interval.low, interval.high])
}
