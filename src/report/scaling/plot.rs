//! The plot for a terminal: a law is drawn in dots of braille characters, and a point as the letter
//! of its series.

use super::axes::{Axes, BREAK, Tick};
use super::series::Series;

/// Width and height of the plot in characters.
const WIDTH: usize = 64;
const HEIGHT: usize = 16;
/// Columns and rows of dots of a braille character.
const DOTS: (usize, usize) = (2, 4);
/// The empty braille character. Adding a pattern of dots to it gives every other.
const BRAILLE: u32 = 0x2800;
/// The bit of each dot in a pattern: by column, then from the top.
const PATTERN: [[u8; 4]; 2] = [[0, 1, 2, 6], [3, 4, 5, 7]];
/// Characters to the left of the vertical axis.
const MARGIN: usize = 8;

/// A picture made of characters, row 0 at the top.
struct Canvas {
    dots: [[u8; WIDTH]; HEIGHT],
    letters: [[Option<char>; WIDTH]; HEIGHT],
}

/// The plot of `series` with its axes; empty if there are no points.
pub(super) fn plot(series: &[Series<'_>]) -> String {
    let Some(axes) = Axes::new(series) else {
        return String::new();
    };
    let mut canvas = Canvas {
        dots: [[0; WIDTH]; HEIGHT],
        letters: [[None; WIDTH]; HEIGHT],
    };
    for one in series {
        for point in one.fit.iter().flat_map(|fit| axes.law(fit)) {
            if (0.0..=1.0).contains(&point.up) {
                canvas.dot(point.across, point.up);
            }
        }
    }
    let mut legend = String::new();
    for (one, mark) in series.iter().zip(('A'..='Z').cycle()) {
        for point in &one.points {
            if let Some(bits) = point.bits_per_byte() {
                let across = axes.across(point.parameters as f64);
                canvas.letter(across, axes.up(bits), mark);
            }
        }
        legend += &format!("  {mark} {}: {}\n", one.name, one.law);
    }
    format!(
        "  bits/byte\n{}{}  parameters, log scale (0: experts alone); dots: fitted laws\n{legend}",
        rows(&canvas, &axes),
        labels_across(&axes.ticks_across()),
    )
}

/// The index of the cell, of `cells` in a row, that holds a coordinate from 0 to 1.
fn cell(at: f64, cells: usize) -> usize {
    (at.clamp(0.0, 1.0) * (cells - 1) as f64).round() as usize
}

impl Canvas {
    fn dot(&mut self, across: f64, up: f64) {
        let x = cell(across, WIDTH * DOTS.0);
        let y = HEIGHT * DOTS.1 - 1 - cell(up, HEIGHT * DOTS.1);
        self.dots[y / DOTS.1][x / DOTS.0] |= 1 << PATTERN[x % DOTS.0][y % DOTS.1];
    }

    fn letter(&mut self, across: f64, up: f64, letter: char) {
        let row = HEIGHT - 1 - cell(up, HEIGHT);
        self.letters[row][cell(across, WIDTH)] = Some(letter);
    }

    fn char(&self, row: usize, column: usize) -> char {
        let dots = self.dots[row][column];
        match self.letters[row][column] {
            Some(letter) => letter,
            None if dots == 0 => ' ',
            None => char::from_u32(BRAILLE + u32::from(dots)).unwrap_or(' '),
        }
    }
}

/// The vertical axis, the picture, and the horizontal axis below.
fn rows(canvas: &Canvas, axes: &Axes) -> String {
    let mut text = String::new();
    let ticks = axes.ticks_up();
    for row in 0..HEIGHT {
        let tick = ticks
            .iter()
            .find(|tick| HEIGHT - 1 - cell(tick.at, HEIGHT) == row);
        let label = tick.map_or("", |tick| &tick.label);
        let axis = if tick.is_some() { '┤' } else { '│' };
        let line: String = (0..WIDTH).map(|column| canvas.char(row, column)).collect();
        text += format!("{label:>MARGIN$} {axis}{line}").trim_end();
        text.push('\n');
    }
    let mut line = vec!['─'; WIDTH];
    for tick in axes
        .ticks_across()
        .iter()
        .filter(|tick| !tick.label.is_empty())
    {
        line[cell(tick.at, WIDTH)] = '┬';
    }
    if axes.is_broken() {
        line[cell(BREAK, WIDTH)] = '/';
        line[cell(BREAK, WIDTH) + 1] = '/';
    }
    text + &format!("{:>MARGIN$} └{}\n", "", line.iter().collect::<String>())
}

/// The labels of the horizontal axis, each below its tick.
fn labels_across(ticks: &[Tick]) -> String {
    let mut line = " ".repeat(MARGIN + 2);
    for tick in ticks.iter().filter(|tick| !tick.label.is_empty()) {
        let centre = MARGIN + 2 + cell(tick.at, WIDTH);
        let start = centre.saturating_sub(tick.label.len() / 2);
        let len = line.chars().count();
        line += &" ".repeat(start.saturating_sub(len));
        line += &tick.label;
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::scaling::curve::tests::scaling;
    use crate::report::scaling::{NoFit, series};

    #[test]
    fn points_are_letters_and_the_law_is_dots() {
        let scaling = scaling();
        let shown = plot(&series::all(&scaling));
        let rows = shown.lines().filter(|line| line.contains(['│', '┤']));
        let rows: Vec<&str> = rows.collect();
        assert_eq!(rows.len(), HEIGHT);
        let count = |fits: &dyn Fn(char) -> bool| -> usize {
            rows.iter()
                .map(|row| row.chars().filter(|&c| fits(c)).count())
                .sum()
        };
        assert_eq!(count(&|c| c == 'A'), 5, "{shown}");
        assert!(
            count(&|c| ('\u{2801}'..='\u{28ff}').contains(&c)) > 20,
            "{shown}"
        );
        for part in ["//", "100 M", "log scale", "A a, <b>& (prose): "] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }

    #[test]
    fn without_a_law_there_are_no_dots() {
        let mut scaling = scaling();
        scaling.curves[0].fits[0] = Err(NoFit::Flat);
        let shown = plot(&series::all(&scaling));
        assert!(
            !shown.contains(|c: char| ('\u{2801}'..='\u{28ff}').contains(&c)),
            "{shown}"
        );
        assert_eq!(plot(&[]), "");
    }
}
