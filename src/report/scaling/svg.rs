//! The plot as SVG: laws are lines within their bands, and points are marks.
//!
//! Series differ in colour, mark and dashes, so that they can be told apart without colour. The
//! colours are those of M. Okabe and K. Ito, "Color Universal Design" (2008), which people with
//! any kind of colour vision tell apart; yellow and black are left out because they vanish on one
//! of the two backgrounds. The picture is legible at the width of a phone: its text takes a
//! thirtieth of its width.

use std::fmt::Write;

use super::Scaling;
use super::axes::{Axes, BREAK, LawPoint};
use super::series::{self, Series};
use crate::report::markup::escaped;
use crate::report::{Provenance, numbers};

/// Width of the picture. Its height follows from the number of series.
const WIDTH: f64 = 480.0;
/// The plotting area within the picture.
const LEFT: f64 = 50.0;
const RIGHT: f64 = WIDTH - 18.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 330.0;
/// Distances of lines of text.
const LINE: f64 = 18.0;
const SMALL_LINE: f64 = 16.0;
/// Most characters of a line below the plot.
const COLUMNS: usize = 70;

/// Colours of background, text and grid lines, in the light and the dark scheme.
const PLAIN: [[&str; 3]; 2] = [["#fff", "#1c1c1c", "#ddd"], ["#151515", "#ddd", "#3a3a3a"]];
/// Blue, vermilion, green, purple, orange and sky blue, in the light and the dark scheme.
const COLOURS: [[&str; 2]; 6] = [
    ["#0072b2", "#3fa3de"],
    ["#d55e00", "#f0803a"],
    ["#009e73", "#2fc79c"],
    ["#b85c92", "#cc79a7"],
    ["#b37a00", "#e69f00"],
    ["#2f8fcb", "#56b4e9"],
];
/// Lengths of dashes and gaps.
const DASHES: [&str; 5] = ["none", "7 4", "2 3", "10 3 2 3", "5 2 1 2 1 2"];
/// Marks of points as paths around 0 0: disc, square, triangle, diamond, triangle on its tip,
/// upright cross, slanted cross.
const MARKS: [&str; 7] = [
    "m-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
    "m-4 -4h8v8h-8z",
    "m0 -5.5l5 9h-10z",
    "m0 -5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
    "m0 5.5l5 -9h-10z",
    "m-1.5 -5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5v-3h3.5z",
    "m-5 -3l2 -2l3 3l3 -3l2 2l-3 3l3 3l-2 2l-3 -3l-3 3l-2 -2l3 -3z",
];
const TITLE: &str = "Bits per byte against parameters";
/// What lines, bands and marks are.
const CAPTION: &str = "Marks: sizes of compressed files, which have no error of measurement. \
    Lines: c + a N^-b by least squares, for each family of models by itself, from four models on. \
    Bands: 95 % confidence for the law, where distances from it count as independent normal errors.";

/// A self-contained picture of `scaling`.
pub(super) fn svg(scaling: &Scaling, made: &Provenance) -> String {
    let series = series::all(scaling);
    let axes = Axes::new(&series);
    let mut below = BOTTOM + 50.0;
    let mut body = String::new();
    if let Some(axes) = &axes {
        body += &frame(axes);
        // Bands lie below all lines, and lines below all marks.
        for part in [band, line, marks] {
            for (i, one) in series.iter().enumerate() {
                body += &format!(
                    "<g class=\"s{}\">{}</g>\n",
                    i % COLOURS.len(),
                    part(axes, one, i)
                );
            }
        }
        body += &legend(&series, &mut below);
    }
    body += &caption(made, &mut below);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {below}\" role=\"img\">\n\
         <title>{TITLE}</title>\n<style>\n{}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{below}\"/>\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"20\">{TITLE}</text>\n\
         <text x=\"8\" y=\"42\">bits per byte</text>\n{body}</svg>\n",
        style()
    )
}

/// Style rules for both schemes and for print, where the light one is used. They use no variables,
/// because not every SVG viewer supports them.
fn style() -> String {
    format!(
        "svg{{font:14px sans-serif}}.title{{font-weight:bold;font-size:16px}}.small{{font-size:12px}}\n\
         .law{{fill:none;stroke-width:2}}.band{{opacity:.18;stroke:none}}.axis{{fill:none}}\n{}\
         @media screen and (prefers-color-scheme:dark){{\n{}}}\n",
        colours(0),
        colours(1)
    )
}

/// Style rules for one scheme.
fn colours(scheme: usize) -> String {
    let [paper, ink, rule] = PLAIN[scheme];
    let mut out = format!(
        ".paper{{fill:{paper}}}text{{fill:{ink}}}.rule{{stroke:{rule}}}.axis{{stroke:{ink}}}\n"
    );
    for (i, colours) in COLOURS.iter().enumerate() {
        let colour = colours[scheme];
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            ".s{i} .mark,.s{i} .band{{fill:{colour}}}.s{i} .mark{{stroke:{paper}}}\
             .s{i} .law{{stroke:{colour}}}"
        );
    }
    out
}

fn x(across: f64) -> f64 {
    LEFT + across * (RIGHT - LEFT)
}

fn y(up: f64) -> f64 {
    BOTTOM - up.clamp(0.0, 1.0) * (BOTTOM - TOP)
}

/// Grid lines, axes and labels.
fn frame(axes: &Axes) -> String {
    let mut out = String::new();
    for tick in axes.ticks_up() {
        let (y, label) = (y(tick.at), tick.label);
        let _ = writeln!(
            out,
            "<line class=\"rule\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 7.0,
            y + 5.0
        );
    }
    let mut ticks = String::new();
    for tick in axes.ticks_across() {
        let (x, label) = (x(tick.at), tick.label);
        let len = if label.is_empty() { 4 } else { 8 };
        let _ = write!(ticks, "M{x:.1} {BOTTOM}v{len}");
        if !label.is_empty() {
            let _ = writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                BOTTOM + 23.0
            );
        }
    }
    let _ = writeln!(
        out,
        "<path class=\"axis\" d=\"{}{ticks}\"/>",
        axis_line(axes)
    );
    let title = BOTTOM + 42.0;
    if axes.has_zero() {
        let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{title}\">experts alone</text>");
    }
    let _ = writeln!(
        out,
        "<text x=\"{RIGHT}\" y=\"{title}\" text-anchor=\"end\">parameters N (log scale)</text>"
    );
    out
}

/// The horizontal axis, with two strokes where it is broken.
fn axis_line(axes: &Axes) -> String {
    if !axes.is_broken() {
        return format!("M{LEFT} {BOTTOM}H{RIGHT}");
    }
    let at = x(BREAK);
    let stroke = |x: f64| format!("M{:.1} {}l6 -12", x - 3.0, BOTTOM + 6.0);
    format!(
        "M{LEFT} {BOTTOM}H{:.1}M{:.1} {BOTTOM}H{RIGHT}{}{}",
        at - 3.0,
        at + 3.0,
        stroke(at - 3.0),
        stroke(at + 3.0)
    )
}

/// The points of the law of a series.
fn law_points(axes: &Axes, series: &Series<'_>) -> Vec<LawPoint> {
    let fit = series.fit.into_iter();
    fit.flat_map(|fit| axes.law(fit)).collect()
}

/// The band around the law of a series, as far as it lies within the plot.
fn band(axes: &Axes, series: &Series<'_>, _index: usize) -> String {
    let points = law_points(axes, series);
    if points.is_empty() {
        return String::new();
    }
    let edge = |across: f64, up: f64| format!("{:.1} {:.1}", x(across), y(up));
    let upper = points.iter().map(|point| edge(point.across, point.high));
    let lower = points
        .iter()
        .rev()
        .map(|point| edge(point.across, point.low));
    let edges: Vec<String> = upper.chain(lower).collect();
    format!("<path class=\"band\" d=\"M{}Z\"/>", edges.join("L"))
}

fn line(axes: &Axes, series: &Series<'_>, index: usize) -> String {
    let points: Vec<String> = law_points(axes, series)
        .iter()
        .filter(|point| (0.0..=1.0).contains(&point.up))
        .map(|point| format!("{:.1} {:.1}", x(point.across), y(point.up)))
        .collect();
    if points.is_empty() {
        return String::new();
    }
    format!(
        "<path class=\"law\" stroke-dasharray=\"{}\" d=\"M{}\"/>",
        DASHES[index % DASHES.len()],
        points.join("L")
    )
}

fn marks(axes: &Axes, series: &Series<'_>, index: usize) -> String {
    let mut out = String::new();
    for point in &series.points {
        let Some(bits) = point.bits_per_byte() else {
            continue;
        };
        let _ = writeln!(
            out,
            "<path class=\"mark\" d=\"M{:.1} {:.1}{}\">\
             <title>{}: {} parameters, {bits:.3} bits per byte</title></path>",
            x(axes.across(point.parameters as f64)),
            y(axes.up(bits)),
            MARKS[index % MARKS.len()],
            escaped(&point.model),
            numbers::parameters(point.parameters),
        );
    }
    out
}

/// The names of the series with their marks and lines, and their laws, one below the other.
fn legend(series: &[Series<'_>], below: &mut f64) -> String {
    let mut out = String::new();
    for (i, one) in series.iter().enumerate() {
        *below += LINE + 4.0;
        let middle = *below - 5.0;
        let line = match one.fit {
            Some(_) => format!(
                "<path class=\"law\" stroke-dasharray=\"{}\" d=\"M8 {middle}h34\"/>",
                DASHES[i % DASHES.len()]
            ),
            None => String::new(),
        };
        let _ = writeln!(
            out,
            "<g class=\"s{}\">{line}<path class=\"mark\" d=\"M25 {middle}{}\"/>\
             <text x=\"{LEFT}\" y=\"{below}\">{}</text>",
            i % COLOURS.len(),
            MARKS[i % MARKS.len()],
            escaped(&one.name),
        );
        *below += SMALL_LINE;
        let _ = writeln!(
            out,
            "<text class=\"small\" x=\"{LEFT}\" y=\"{below}\">{}</text></g>",
            escaped(&one.law)
        );
    }
    out
}

/// What the picture shows and how it was made.
fn caption(made: &Provenance, below: &mut f64) -> String {
    let mut out = String::new();
    *below += 8.0;
    let [command, rest] = made.lines();
    for paragraph in [CAPTION, &command, &rest] {
        for line in wrapped(paragraph) {
            *below += SMALL_LINE;
            let line = escaped(&line);
            let _ = writeln!(
                out,
                "<text class=\"small\" x=\"8\" y=\"{below}\">{line}</text>"
            );
        }
        *below += 4.0;
    }
    *below += 8.0;
    out
}

/// Lines of at most [`COLUMNS`] characters. A longer word has a line of its own, cut at its end.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word: String = word.chars().take(COLUMNS).collect();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= COLUMNS => {
                line.push(' ');
                *line += &word;
            }
            _ => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::provenance::tests::provenance;
    use crate::report::scaling::NoFit;
    use crate::report::scaling::curve::tests::scaling;

    #[test]
    fn the_picture_has_a_law_with_its_band_and_a_mark_for_each_point() {
        let drawn = svg(&scaling(), &provenance());
        // One more mark and one more line are in the legend.
        assert_eq!(drawn.matches("class=\"mark\"").count(), 5 + 1);
        assert_eq!(drawn.matches("class=\"law\"").count(), 1 + 1);
        assert_eq!(drawn.matches("class=\"band\"").count(), 1);
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
        for part in [
            "log scale",
            "a, &lt;b&gt;&amp; (prose)",
            "only 4 points",
            "llmzip 1.2.3",
        ] {
            assert!(drawn.contains(part), "{part}: {drawn}");
        }
        assert_eq!(drawn, svg(&scaling(), &provenance()));
    }

    #[test]
    fn without_a_law_there_are_marks_alone() {
        let mut scaling = scaling();
        scaling.curves[0].fits[0] = Err(NoFit::TooShort(3));
        let drawn = svg(&scaling, &provenance());
        assert_eq!(drawn.matches("class=\"mark\"").count(), 5 + 1);
        assert!(!drawn.contains("class=\"law\"") && !drawn.contains("class=\"band\""));
        assert!(drawn.contains("four sizes of model"), "{drawn}");
        scaling.curves.clear();
        assert!(!svg(&scaling, &provenance()).contains("class=\"mark\""));
    }

    #[test]
    fn lines_are_no_longer_than_the_picture() {
        let long = format!("a {} b c", "x".repeat(200));
        let lines = wrapped(&long);
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS));
    }
}
