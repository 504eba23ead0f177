//! A [`Scaling`] as tables: for a terminal, with a plot, and for a document.

use crate::report::Provenance;
use crate::report::markup::markdown as markdown_escaped;
use crate::report::numbers::{self, one_line, or_dash};
use crate::report::scaling::plot::plot;
use crate::report::scaling::series::{self, models};
use crate::report::scaling::{BreakEven, Curve, Fit, Interval, Point, Scaling};
use crate::report::table::Table;

/// The lines below the tables.
pub(super) const NOTES: [&str; 6] = [
    "Sizes are exact: compression gives the same bytes each time, so each file is compressed once.",
    "coder: bits written beyond the cross-entropy. container: headers, lengths and checksums. \
     adjusted: bits per byte with the bytes of the packed model counted.",
    "law: least squares for each family of models (one vocabulary) by itself, from four models on. \
     residual: measured less law. Intervals hold 95 %, where residuals count as independent normal \
     errors; an end of 0.01 or 3 for b is no bound.",
    "pays from: the length of a file from which on the model saves more than its own bytes. Beyond \
     the files it is extrapolated: savings go on falling as a power of the position, as they did \
     along the files.",
    "at least, at most: the 95 % interval of that power, where distances of logarithms from it count \
     as independent normal errors. At least is also no more than what follows if savings never fall \
     again.",
    "times the file: how far that lies beyond what was measured.",
];

/// Tables and a plot for a terminal.
pub fn table(scaling: &Scaling, made: &Provenance) -> String {
    let section = |curve: &Curve| {
        let laws: String = laws(scaling, curve)
            .iter()
            .map(|law| format!("  {law}\n"))
            .collect();
        let pays = pays(curve).map_or_else(String::new, |rows| format!("\n{}", rows.plain()));
        format!("{}\n{}{laws}{pays}\n", title(curve), rows(curve).plain())
    };
    let sections: String = scaling.curves.iter().map(section).collect();
    let plot = plot(&series::all(scaling));
    let gap = if plot.is_empty() { "" } else { "\n" };
    let made = made.lines().join("\n");
    format!("{sections}{plot}{gap}{}\n{made}\n", NOTES.join("\n"))
}

/// The tables in Markdown.
pub fn markdown(scaling: &Scaling, made: &Provenance) -> String {
    let section = |curve: &Curve| {
        let laws = laws(scaling, curve);
        let laws: Vec<String> = laws.iter().map(|law| markdown_escaped(law)).collect();
        let laws = laws.join("\n\n");
        let pays = pays(curve).map_or_else(String::new, |rows| format!("\n\n{}", rows.markdown()));
        let rows = rows(curve).markdown();
        let title = markdown_escaped(&title(curve));
        format!("**{title}**\n\n{rows}\n{laws}{pays}\n\n")
    };
    let sections: String = scaling.curves.iter().map(section).collect();
    format!("{sections}{}\n\n{}", NOTES.join("\n\n"), made.markdown())
}

pub(super) fn title(curve: &Curve) -> String {
    let bytes = curve.points.first().map_or(0, |point| point.original);
    let files = one_line(&curve.files.join(", "));
    format!("{}: {bytes} bytes ({files})", curve.class)
}

/// The law of each family, or why there is none.
pub(super) fn laws(scaling: &Scaling, curve: &Curve) -> Vec<String> {
    let families = scaling.families.iter().zip(&curve.fits);
    families
        .map(|(family, fit)| {
            let models = models(family);
            match fit {
                Ok(fit) => format!("{models}: {}", fitted(fit)),
                Err(reason) => format!("{models}: {reason}"),
            }
        })
        .collect()
}

fn fitted(fit: &Fit) -> String {
    let few = if fit.has_few_points() { ", few" } else { "" };
    let held_out = fit.held_out.map_or_else(String::new, |error| {
        let error = 100.0 * error;
        format!("; the law of the others gives the largest {error:+.1} %")
    });
    format!(
        "bpb(N) = c + a * N^-b, c = {:.4} ({}), a = {:.4} ({}), b = {:.4} ({}); {} points{few}; \
         standard error {:.4}{held_out}",
        fit.c,
        between(fit.interval_of_c(), 3),
        fit.a,
        between(fit.interval_of_a(), 3),
        fit.b,
        between(fit.interval_of_b(), 3),
        fit.residuals.len(),
        fit.error,
    )
}

/// An interval as `0.5 to 1.2`. Large numbers are rounded.
fn between(interval: Interval, decimals: usize) -> String {
    let number = |number: f64| match number.abs() {
        1e5.. => format!("{number:.1e}"),
        100.0.. => format!("{number:.0}"),
        _ => format!("{number:.decimals$}"),
    };
    format!("{} to {}", number(interval.low), number(interval.high))
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
        "law (95 %)",
        "residual",
        "cross-entropy",
        "coder",
        "container",
        "adjusted",
    ]);
    for point in &curve.points {
        let adjusted = numbers::bits_per_byte(point.original, point.adjusted());
        let fit = curve.fit_of(point);
        let interval = |fit: &Fit| between(fit.interval_at(point.parameters as f64), 3);
        let residual = |(fit, i): (&Fit, usize)| signed(fit.residuals[i]);
        let dash = || "-".to_owned();
        table.push(vec![
            one_line(&point.model),
            numbers::parameters(point.parameters),
            point.compressed.to_string(),
            or_dash(point.bits_per_byte(), 4),
            fit.map_or_else(dash, |(fit, _)| interval(fit)),
            fit.map_or_else(dash, residual),
            or_dash(point.cross_entropy_per_byte(), 4),
            format!("{:.0} bits", point.coder_overhead()),
            format!("{} bytes", point.container_overhead()),
            or_dash(adjusted, 3),
        ]);
    }
    table
}

/// From which length each model pays; `None` if there is no model.
pub(super) fn pays(curve: &Curve) -> Option<Table> {
    let mut table = Table::new(&[
        "model",
        "pays from",
        "at least",
        "at most",
        "times the file",
    ]);
    let baseline = curve.baseline()?;
    let longest = baseline.along.longest;
    for point in curve.points.iter().filter(|point| point.model_bytes > 0) {
        let name = one_line(&point.model);
        table.push([vec![name], pays_cells(point, baseline, longest)].concat());
    }
    (!table.rows().is_empty()).then_some(table)
}

fn pays_cells(point: &Point, baseline: &Point, longest: u64) -> Vec<String> {
    let Some(found) = point.break_even(baseline) else {
        return ["never: it saves nothing", "-", "-", "-"]
            .map(str::to_owned)
            .to_vec();
    };
    let length = |length: Option<f64>| match (length, found.exponent) {
        (Some(bytes), _) => numbers::length(bytes),
        (None, Some(_)) => "never".to_owned(),
        (None, None) => "unknown".to_owned(),
    };
    vec![
        length(found.bytes),
        numbers::length(found.low),
        length(found.high),
        times(&found, longest),
    ]
}

fn times(found: &BreakEven, longest: u64) -> String {
    match found.bytes {
        _ if !found.is_extrapolated => "measured".to_owned(),
        Some(bytes) => numbers::parameters((bytes / longest as f64) as u64),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::provenance::tests::provenance;
    use crate::report::scaling::NoFit;
    use crate::report::scaling::curve::tests::scaling;

    #[test]
    fn a_law_is_told_with_its_errors_or_why_there_is_none() {
        let mut scaling = scaling();
        let shown = table(&scaling, &provenance());
        for part in [
            "c = 1.",
            "4 points, few; standard error 0.0",
            "the law of the others gives",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        scaling.curves[0].fits[0] = Err(NoFit::TooShort(1));
        let shown = table(&scaling, &provenance());
        assert!(shown.contains("needed, found 1"), "{shown}");
        assert!(!shown.contains("c = "), "{shown}");
    }

    #[test]
    fn intervals_are_short() {
        let interval = |low, high| between(Interval { low, high }, 3);
        assert_eq!(interval(0.0, 1.23456), "0.000 to 1.235");
        assert_eq!(interval(123.4, 7.0e9), "123 to 7.0e9");
    }
}
