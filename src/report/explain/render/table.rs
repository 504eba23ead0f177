//! An [`Explanation`] as tables, for a terminal and for a document.

use crate::report::Provenance;
use crate::report::explain::{Cost, Explanation, ModelVersusExperts, WindowCost};
use crate::report::markup;
use crate::report::numbers::{self, one_line, or_dash};
use crate::report::table::Table;

/// Peaks in the table.
const PEAKS: usize = 10;
/// Bytes of text shown before and after a peak.
const AROUND: usize = 24;

/// Why most figures have no error.
const EXACT: &str = "All costs are exact: the file is compressed once with the model and once \
    without, and that gives the same bytes each time.";

/// Tables for a terminal.
pub fn table(explanation: &Explanation, made: &Provenance) -> String {
    let parts = joined(explanation, str::to_owned, Table::plain);
    format!("{parts}{}\n", made.lines().join("\n"))
}

/// The same tables in Markdown.
pub fn markdown(explanation: &Explanation, made: &Provenance) -> String {
    let parts = joined(explanation, markup::markdown, Table::markdown);
    format!("{parts}{}", made.markdown())
}

/// The parts of the report one below the other, with words as `say` and tables as `render` makes
/// them.
fn joined(
    explanation: &Explanation,
    say: fn(&str) -> String,
    render: fn(&Table) -> String,
) -> String {
    let shown = |part: &Part| match part {
        Part::Words(words) => format!("{}\n\n", say(words)),
        Part::Rows(rows) => format!("{}\n", render(rows)),
    };
    parts(explanation).iter().map(shown).collect()
}

/// A part of the report.
enum Part {
    Words(String),
    Rows(Table),
}

fn parts(explanation: &Explanation) -> Vec<Part> {
    let mut parts = vec![
        Part::Words(headline(explanation)),
        Part::Rows(kinds(explanation)),
    ];
    if let Some(sums) = &explanation.model_versus_experts {
        parts.push(Part::Words(model_versus_experts(explanation, sums)));
    }
    if !explanation.windows.is_empty() {
        parts.push(Part::Rows(windows(explanation)));
        parts.push(Part::Words(sampling(explanation)));
    }
    if !explanation.peaks.is_empty() {
        parts.push(Part::Rows(peaks(explanation)));
    }
    parts.push(Part::Words(EXACT.to_owned()));
    parts
}

/// What the windows were measured on.
fn sampling(explanation: &Explanation) -> String {
    let sample = explanation.windows.first().map(|window| window.sample);
    let (measured, all) = sample.map_or((0, 0), |sample| (sample.measured, sample.all));
    format!(
        "Windows: {measured} of {all} stretches of 1,024 tokens, each from an empty context. The \
         error is the standard error for the whole file, from the spread of the stretches, taken \
         for a random sample."
    )
}

fn headline(explanation: &Explanation) -> String {
    let model = match explanation.parameters {
        0 => "experts alone".to_owned(),
        count => format!(
            "{}, {} parameters, with experts",
            one_line(&explanation.model),
            numbers::parameters(count)
        ),
    };
    let bits = numbers::bits_per_byte(explanation.original, explanation.compressed);
    format!(
        "{}: {} -> {} bytes, {} bits per byte ({model})",
        one_line(&explanation.name),
        explanation.original,
        explanation.compressed,
        or_dash(bits, 3),
    )
}

fn model_versus_experts(explanation: &Explanation, sums: &ModelVersusExperts) -> String {
    let predicted = explanation
        .pieces
        .iter()
        .filter(|piece| piece.model.is_some());
    let bytes: usize = predicted.map(|piece| piece.bytes.len()).sum();
    let per_byte = |bits: f64| or_dash((bytes > 0).then(|| bits / bytes as f64), 3);
    format!(
        "model alone {} bits per byte of its tokens, experts alone {}, both {}; \
         the model alone is better for {} pieces, by {:.0} bits in total, \
         the experts alone for {}, by {:.0}",
        per_byte(sums.model_bits),
        per_byte(sums.experts_bits),
        per_byte(sums.bits),
        sums.model_better.pieces,
        sums.model_better.saved_bits,
        sums.experts_better.pieces,
        sums.experts_better.saved_bits,
    )
}

fn kinds(explanation: &Explanation) -> Table {
    let mut table = Table::new(&[
        "kind",
        "pieces",
        "bytes",
        "bits",
        "share",
        "bits/byte",
        "bits/piece",
    ]);
    let all: f64 = explanation.kinds.iter().map(|kind| kind.cost.bits).sum();
    for totals in explanation.kinds.iter().filter(|kind| kind.pieces > 0) {
        table.push(vec![
            totals.kind.key().replace('_', " "),
            totals.pieces.to_string(),
            totals.cost.bytes.to_string(),
            format!("{:.0}", totals.cost.bits),
            format!(
                "{:.1} %",
                100.0 * totals.cost.bits / all.max(f64::MIN_POSITIVE)
            ),
            or_dash(totals.cost.bits_per_byte(), 3),
            format!("{:.2}", totals.cost.bits / totals.pieces as f64),
        ]);
    }
    table
}

fn windows(explanation: &Explanation) -> Table {
    let classes = explanation
        .windows
        .iter()
        .map(|window| window.by_position.len())
        .max();
    let classes = classes.unwrap_or_default();
    // Columns for 1, 16, 256, ... tokens of context, and for the longest.
    let shown: Vec<usize> = (0..classes)
        .filter(|&class| class % 4 == 1 || class + 1 == classes)
        .collect();
    let head = ["model alone, window", "bits/byte", "error"];
    let mut head: Vec<String> = head.map(str::to_owned).to_vec();
    head.extend(
        shown
            .iter()
            .map(|&class| format!("after {}", WindowCost::first_position(class))),
    );
    let mut table = Table::new(&head.iter().map(String::as_str).collect::<Vec<_>>());
    for window in &explanation.windows {
        let mut row = vec![
            window.tokens.to_string(),
            or_dash(window.all.bits_per_byte(), 3),
            or_dash(window.standard_error, 3),
        ];
        row.extend(shown.iter().map(|&class| {
            let cost = window.by_position.get(class);
            or_dash(cost.and_then(Cost::bits_per_byte), 3)
        }));
        table.push(row);
    }
    table
}

fn peaks(explanation: &Explanation) -> Table {
    let mut table = Table::new(&["most expensive pieces, in context", "at byte", "bits"]);
    let mut starts = Vec::with_capacity(explanation.pieces.len());
    let mut text: Vec<u8> = Vec::new();
    for piece in &explanation.pieces {
        starts.push(text.len());
        text.extend(&piece.bytes);
    }
    for &peak in explanation.peaks.iter().take(PEAKS) {
        let (start, end) = (
            starts[peak],
            starts[peak] + explanation.pieces[peak].bytes.len(),
        );
        let before = &text[start.saturating_sub(AROUND)..start];
        let after = &text[end..text.len().min(end + AROUND)];
        table.push(vec![
            format!(
                "{}[{}]{}",
                shown(before),
                shown(&text[start..end]),
                shown(after)
            ),
            start.to_string(),
            format!("{:.1}", explanation.pieces[peak].bits),
        ]);
    }
    table
}

/// Bytes as text in one line.
fn shown(bytes: &[u8]) -> String {
    one_line(&String::from_utf8_lossy(bytes))
}
