//! The plot as SVG: laws are lines and points are circles, in a light and a dark colour scheme.

use std::fmt::Write;

use super::axes::Axes;
use super::{Curve, FileClass, Point};
use crate::report::markup::escaped;
use crate::report::{Provenance, numbers};

/// The plotting area within the picture: left, top, width, height.
const AREA: (f64, f64, f64, f64) = (56.0, 34.0, 560.0, 290.0);
const WIDTH: u32 = 640;
const HEIGHT: u32 = 400;

/// Colours of background, text and grid lines, in the light and the dark scheme.
const PLAIN: [[&str; 3]; 2] = [["#fff", "#222", "#ddd"], ["#161616", "#ddd", "#3a3a3a"]];
/// Colours of the classes, in the light and the dark scheme.
const COLOURS: [[&str; 2]; 5] = [
    ["#1f6fb2", "#6db3ee"],
    ["#c2571a", "#f09a62"],
    ["#2b8a4b", "#70c98d"],
    ["#8a4fb0", "#c79be6"],
    ["#6b6b6b", "#aaa"],
];

/// A self-contained picture of `curves`.
pub(super) fn svg(curves: &[Curve], made: &Provenance) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
         <title>Bits per byte against parameters</title>\n<style>\n{}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n\
         <text x=\"12\" y=\"20\">bits per byte</text>\n",
        style()
    );
    if let Some(axes) = Axes::new(curves) {
        out += &frame(&axes);
        for curve in curves {
            out += &drawn(&axes, curve);
        }
        out += &legend(curves);
    }
    let [command, rest] = made.lines();
    let _ = writeln!(
        out,
        "<desc>{}\n{}</desc>",
        escaped(&command),
        escaped(&rest)
    );
    out + "</svg>\n"
}

/// Style rules for both schemes. They use no variables, because not every SVG viewer supports them.
fn style() -> String {
    let dark = "@media(prefers-color-scheme:dark)";
    format!(
        "svg{{font:12px sans-serif}}path{{fill:none;stroke-width:2}}\n{}{dark}{{\n{}}}\n",
        colours(0),
        colours(1)
    )
}

/// Style rules for one scheme.
fn colours(scheme: usize) -> String {
    let [paper, ink, rule] = PLAIN[scheme];
    let mut out = format!(".paper{{fill:{paper}}}text{{fill:{ink}}}.rule{{stroke:{rule}}}\n");
    for (class, colours) in FileClass::ALL.into_iter().zip(COLOURS) {
        let (class, colour) = (class.key(), colours[scheme]);
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            ".{class} circle,.{class} .key{{fill:{colour}}}.{class} path{{stroke:{colour}}}"
        );
    }
    out
}

fn x(across: f64) -> f64 {
    AREA.0 + 12.0 + across * (AREA.2 - 12.0)
}

fn y(up: f64) -> f64 {
    AREA.1 + (1.0 - up) * AREA.3
}

/// Grid lines and labels.
fn frame(axes: &Axes) -> String {
    let mut out = String::new();
    let (left, right) = (AREA.0, AREA.0 + AREA.2);
    for tick in axes.ticks_up() {
        let (y, label) = (y(tick.at), tick.label);
        let _ = writeln!(
            out,
            "<line class=\"rule\" x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            left - 6.0,
            y + 4.0
        );
    }
    let below = AREA.1 + AREA.3 + 18.0;
    for tick in axes.ticks_across() {
        let (x, label) = (x(tick.at), tick.label);
        let _ = writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{below}\" text-anchor=\"middle\">{label}</text>"
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{right}\" y=\"{}\" text-anchor=\"end\">parameters (0: experts alone)</text>",
        below + 20.0
    );
    out
}

/// The law and the points of one curve.
fn drawn(axes: &Axes, curve: &Curve) -> String {
    let mut out = format!("<g class=\"{}\">\n", curve.class.key());
    let law: Vec<String> = axes
        .law(curve)
        .into_iter()
        .map(|(across, up)| format!("{:.1} {:.1}", x(across), y(up)))
        .collect();
    if !law.is_empty() {
        let _ = writeln!(out, "<path d=\"M{}\"/>", law.join("L"));
    }
    for point in &curve.points {
        if let Some(bits) = point.bits_per_byte() {
            out += &circle(axes, point, bits);
        }
    }
    out + "</g>\n"
}

fn circle(axes: &Axes, point: &Point, bits: f64) -> String {
    format!(
        "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4.5\">\
         <title>{}: {} parameters, {bits:.3} bits per byte</title></circle>\n",
        x(axes.across(point.parameters as f64)),
        y(axes.up(bits)),
        escaped(&point.model),
        numbers::parameters(point.parameters),
    )
}

/// The names of the curves, below the plot.
fn legend(curves: &[Curve]) -> String {
    let y = HEIGHT - 14;
    let mut x = AREA.0;
    let mut out = String::new();
    for curve in curves {
        let (class, name) = (curve.class.key(), curve.class.to_string());
        let _ = writeln!(
            out,
            "<g class=\"{class}\">\
             <rect class=\"key\" x=\"{x}\" y=\"{}\" width=\"10\" height=\"10\"/>\
             <text x=\"{}\" y=\"{y}\">{name}</text></g>",
            y - 9,
            x + 16.0,
        );
        x += 34.0 + 7.0 * name.len() as f64;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::provenance::tests::provenance;
    use crate::report::scaling::curve::tests::scaling;

    #[test]
    fn the_picture_has_a_law_and_a_circle_for_each_point() {
        let drawn = svg(&scaling().curves, &provenance());
        assert_eq!(drawn.matches("<circle").count(), 4);
        assert_eq!(drawn.matches("<path").count(), 1);
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
        assert_eq!(drawn, svg(&scaling().curves, &provenance()));
    }

    #[test]
    fn without_points_it_is_empty() {
        assert!(!svg(&[], &provenance()).contains("<circle"));
    }
}
