//! A [`Scaling`] as text. JSON is specified in `docs/REPORTS.md`.

use serde_json::{Value, json as object};

use super::svg::escaped;
use super::{Curve, Fit, MeasuredFile, NoFit, Point, Scaling, plot};
use crate::report::numbers::{self, one_line, or_dash};
use crate::report::table::Table;

/// Version of what [`json`] writes.
pub const SCHEMA_VERSION: u32 = 1;

/// What a reader of the tables must know.
const NOTES: [&str; 3] = [
    "coder: bits written beyond the cross-entropy. container: headers, lengths and checksums.",
    "adjusted: bits per byte with the bytes of the packed model counted.",
    "pays from: the length of a file from which on the model saves more than its own bytes.",
];

/// Style of the page around the plot.
const STYLE: &str = "\
:root{color-scheme:light dark}
body{font:15px/1.5 sans-serif;max-width:60rem;margin:auto;padding:1rem}
svg{width:100%;height:auto}div{overflow-x:auto}table{border-collapse:collapse;white-space:nowrap}
td,th{padding:.15rem .6rem;text-align:right}td:first-child,th:first-child{text-align:left}
tr+tr{border-top:1px solid #8884}p{color:#888}h2{font-size:1.1rem}";

/// Tables and a plot for a terminal.
pub fn table(scaling: &Scaling) -> String {
    let section = |curve: &Curve| {
        let rows = rows(curve).plain();
        format!("{}\n{rows}  {}\n\n", title(curve), law(curve))
    };
    let sections: String = scaling.curves.iter().map(section).collect();
    let plot = plot::plot(&scaling.curves);
    let gap = if plot.is_empty() { "" } else { "\n" };
    format!("{sections}{plot}{gap}{}\n", NOTES.join("\n"))
}

/// The plot alone.
pub fn svg(scaling: &Scaling) -> String {
    super::svg::svg(&scaling.curves)
}

/// A page that needs nothing else.
pub fn html(scaling: &Scaling) -> String {
    let sections: String = scaling.curves.iter().map(section).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>Bits per byte against parameters</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>Bits per byte against parameters</h1>\n{}{sections}<p>{}</p>\n</body>\n</html>\n",
        svg(scaling),
        NOTES.map(escaped).join("<br>\n"),
    )
}

/// One JSON object.
pub fn json(scaling: &Scaling) -> String {
    let files: Vec<Value> = scaling.files.iter().map(file).collect();
    let curves: Vec<Value> = scaling.curves.iter().map(curve).collect();
    let value = object!({
        "schema": "llmzip.scaling",
        "version": SCHEMA_VERSION,
        "files": files,
        "curves": curves,
    });
    format!("{value:#}\n")
}

fn title(curve: &Curve) -> String {
    let bytes = curve.points.first().map_or(0, |point| point.original);
    let files = one_line(&curve.files.join(", "));
    format!("{}: {bytes} bytes ({files})", curve.class)
}

/// The law in one line, or why there is none.
fn law(curve: &Curve) -> String {
    match &curve.fit {
        Err(reason) => reason.to_string(),
        Ok(fit) => {
            let error = match fit.error {
                Some(error) => format!("standard error {error:.4}"),
                None => "no standard error: three points always fit".to_owned(),
            };
            let residuals: Vec<String> = fit
                .residuals
                .iter()
                .map(|&residual| signed(residual))
                .collect();
            format!(
                "bpb(N) = {:.4} + {:.4} * N^-{:.4}; {error}; residuals {}",
                fit.c,
                fit.a,
                fit.b,
                residuals.join(" ")
            )
        }
    }
}

/// A difference with four decimals, nothing being `+0.0000`.
fn signed(difference: f64) -> String {
    format!("{:+.4}", (difference * 1e4).round() / 1e4 + 0.0)
}

/// One row for each rung.
fn rows(curve: &Curve) -> Table {
    let mut table = Table::new(&[
        "model",
        "parameters",
        "bytes",
        "bits/byte",
        "cross-entropy",
        "coder",
        "container",
        "adjusted",
        "pays from",
    ]);
    for point in &curve.points {
        let adjusted = numbers::bits_per_byte(point.original, point.adjusted());
        let break_even = curve.baseline().and_then(|base| point.break_even(base));
        table.push(vec![
            one_line(&point.model),
            numbers::parameters(point.parameters),
            point.compressed.to_string(),
            or_dash(point.bits_per_byte(), 4),
            or_dash(point.cross_entropy_per_byte(), 4),
            format!("{:.0} bits", point.coder_overhead()),
            format!("{} bytes", point.container_overhead()),
            or_dash(adjusted, 3),
            break_even.map_or_else(|| "-".to_owned(), size),
        ]);
    }
    table
}

/// Bytes as `12.3 MB`, in powers of 1000.
fn size(bytes: f64) -> String {
    match bytes {
        ..1e6 => format!("{:.0} KB", bytes / 1e3),
        ..1e9 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.1} GB", bytes / 1e9),
    }
}

/// A curve's table in HTML.
fn section(curve: &Curve) -> String {
    let table = rows(curve);
    let row = |cells: &[String], tag: &str| {
        let cells = cells
            .iter()
            .map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let body: String = table.rows().iter().map(|cells| row(cells, "td")).collect();
    format!(
        "<h2>{}</h2>\n<div><table>\n{}{body}</table></div>\n<p>{}</p>\n",
        escaped(&title(curve)),
        row(table.head(), "th"),
        escaped(&law(curve)),
    )
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::scaling::curve::tests::scaling;

    #[test]
    fn a_page_escapes_names_and_loads_nothing() {
        let page = html(&scaling());
        assert!(
            page.contains("&lt;b&gt;&amp;") && !page.contains("<b>"),
            "{page}"
        );
        let addresses = page.matches("http").count();
        assert_eq!(
            addresses,
            page.matches("http://www.w3.org/2000/svg").count()
        );
        assert!(!page.contains("<script") && !page.contains("src="));
    }

    #[test]
    fn a_law_is_told_with_its_error_or_why_there_is_none() {
        let mut scaling = scaling();
        let shown = table(&scaling);
        assert!(shown.contains("bpb(N) = 1.6000 + "), "{shown}");
        assert!(
            shown.contains("three points always fit; residuals +0.0000 +0.0000 +0.0000"),
            "{shown}"
        );
        scaling.curves[0].fit = Err(NoFit::TooShort(1));
        let shown = table(&scaling);
        assert!(shown.contains("needed, found 1"), "{shown}");
        assert!(!shown.contains("bpb(N)"), "{shown}");
    }
}
