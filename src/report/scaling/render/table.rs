//! A [`Scaling`] as tables: for a terminal, with a plot, and for a document.

use crate::report::Provenance;
use crate::report::numbers::{self, one_line, or_dash};
use crate::report::scaling::plot::plot;
use crate::report::scaling::{Curve, Fit, Scaling};
use crate::report::table::Table;

/// The lines below the tables.
pub(super) const NOTES: [&str; 3] = [
    "coder: bits written beyond the cross-entropy. container: headers, lengths and checksums.",
    "adjusted: bits per byte with the bytes of the packed model counted.",
    "pays from: the length of a file from which on the model saves more than its own bytes.",
];

/// Tables and a plot for a terminal.
pub fn table(scaling: &Scaling, made: &Provenance) -> String {
    let section = |curve: &Curve| {
        let rows = rows(curve).plain();
        format!("{}\n{rows}  {}\n\n", title(curve), law(curve))
    };
    let sections: String = scaling.curves.iter().map(section).collect();
    let plot = plot(&scaling.curves);
    let gap = if plot.is_empty() { "" } else { "\n" };
    let made = made.lines().join("\n");
    format!("{sections}{plot}{gap}{}\n{made}\n", NOTES.join("\n"))
}

/// The tables in Markdown.
pub fn markdown(scaling: &Scaling, made: &Provenance) -> String {
    let section = |curve: &Curve| {
        let rows = rows(curve).markdown();
        format!("**{}**\n\n{rows}\n{}\n\n", title(curve), law(curve))
    };
    let sections: String = scaling.curves.iter().map(section).collect();
    format!("{sections}{}\n\n{}", NOTES.join("\n\n"), made.markdown())
}

pub(super) fn title(curve: &Curve) -> String {
    let bytes = curve.points.first().map_or(0, |point| point.original);
    let files = one_line(&curve.files.join(", "));
    format!("{}: {bytes} bytes ({files})", curve.class)
}

/// The law in one line, or why there is none.
pub(super) fn law(curve: &Curve) -> String {
    match &curve.fit {
        Ok(fit) => fitted(fit),
        Err(reason) => reason.to_string(),
    }
}

fn fitted(fit: &Fit) -> String {
    let error = match fit.error {
        Some(error) => format!("standard error {error:.4}"),
        None => "no standard error: three points always fit".to_owned(),
    };
    let residuals = fit.residuals.iter().map(|&residual| signed(residual));
    let residuals: Vec<String> = residuals.collect();
    format!(
        "bpb(N) = {:.4} + {:.4} * N^-{:.4}; {error}; residuals {}",
        fit.c,
        fit.a,
        fit.b,
        residuals.join(" ")
    )
}

/// A difference with its sign and four decimals; zero is `+0.0000`.
fn signed(difference: f64) -> String {
    format!("{:+.4}", (difference * 1e4).round() / 1e4 + 0.0)
}

/// One row for each candidate.
pub(super) fn rows(curve: &Curve) -> Table {
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

/// Formats bytes as `12.3 MB`, in powers of 1000.
fn size(bytes: f64) -> String {
    match bytes {
        ..1e6 => format!("{:.0} KB", bytes / 1e3),
        ..1e9 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.1} GB", bytes / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::provenance::tests::provenance;
    use crate::report::scaling::NoFit;
    use crate::report::scaling::curve::tests::scaling;

    #[test]
    fn a_law_is_told_with_its_error_or_why_there_is_none() {
        let mut scaling = scaling();
        let shown = table(&scaling, &provenance());
        assert!(shown.contains("bpb(N) = 1.6000 + "), "{shown}");
        assert!(
            shown.contains("three points always fit; residuals +0.0000 +0.0000 +0.0000"),
            "{shown}"
        );
        scaling.curves[0].fit = Err(NoFit::TooShort(1));
        let shown = table(&scaling, &provenance());
        assert!(shown.contains("needed, found 1"), "{shown}");
        assert!(!shown.contains("bpb(N)"), "{shown}");
    }
}
