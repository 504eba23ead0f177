//! An [`Explanation`] as text. JSON is specified in `docs/REPORTS.md`.

use std::collections::HashMap;

use serde_json::{Value, json as object};

use super::{Better, Cost, Explanation, Kind, Kinds, Piece, Window, page};
use crate::report::numbers::{self, one_line, or_dash};
use crate::report::table::Table;

/// Version of what [`json`] writes.
pub const SCHEMA_VERSION: u32 = 1;

/// Peaks in the table.
const PEAKS: usize = 10;
/// Bytes of text shown before and after a peak.
const AROUND: usize = 24;

/// Tables for a terminal.
pub fn table(explanation: &Explanation) -> String {
    let mut out = format!(
        "{}\n\n{}",
        headline(explanation),
        kinds(explanation).plain()
    );
    if let Some(voices) = &explanation.voices {
        let per_byte = |bits: f64| or_dash(per_byte(explanation, bits), 3);
        out += &format!(
            "\n  model alone {} bits per byte of its tokens, experts alone {}, both {}\n  \
             the model knew better {} times, by {:.0} bits in all; the experts {} times, by {:.0}\n",
            per_byte(voices.model_bits),
            per_byte(voices.experts_bits),
            per_byte(voices.bits),
            voices.model.pieces,
            voices.model.saved,
            voices.experts.pieces,
            voices.experts.saved,
        );
    }
    if !explanation.windows.is_empty() {
        out += &format!("\n{}", windows(explanation).plain());
    }
    if !explanation.peaks.is_empty() {
        out += &format!("\n{}", peaks(explanation).plain());
    }
    out
}

/// One self-contained page.
pub fn html(explanation: &Explanation) -> String {
    page::page(explanation)
}

/// One JSON object, the same that the page holds.
pub fn json(explanation: &Explanation) -> String {
    format!("{}\n", value(explanation))
}

/// What was measured as JSON. Costs are rounded to a hundredth of a bit.
pub(super) fn value(explanation: &Explanation) -> Value {
    let mut strings = Strings::default();
    let pieces = columns(&explanation.pieces, &mut strings);
    object!({
        "schema": "llmzip.explain",
        "version": SCHEMA_VERSION,
        "file": explanation.name,
        "model": explanation.rung,
        "parameters": explanation.parameters,
        "original_bytes": explanation.original,
        "compressed_bytes": explanation.compressed,
        "bits_per_byte": numbers::bits_per_byte(explanation.original, explanation.compressed),
        "cross_entropy_bits": explanation.cross_entropy,
        "kinds": explanation.kinds.iter().map(kind).collect::<Vec<_>>(),
        "voices": explanation.voices.map(|voices| object!({
            "model_bits": voices.model_bits,
            "experts_bits": voices.experts_bits,
            "bits": voices.bits,
            "model_better": better(&voices.model),
            "experts_better": better(&voices.experts),
        })),
        "windows": explanation.windows.iter().map(window).collect::<Vec<_>>(),
        "peaks": explanation.peaks,
        "pieces": pieces,
        "strings": strings.all,
    })
}

fn headline(explanation: &Explanation) -> String {
    let model = match explanation.parameters {
        0 => "experts alone".to_owned(),
        count => format!(
            "{}, {} parameters, with experts",
            one_line(&explanation.rung),
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

/// Bits for each byte of the pieces that the model had an opinion on.
fn per_byte(explanation: &Explanation, bits: f64) -> Option<f64> {
    let with_opinion = explanation
        .pieces
        .iter()
        .filter(|piece| piece.model.is_some());
    let bytes: usize = with_opinion.map(|piece| piece.bytes.len()).sum();
    (bytes > 0).then(|| bits / bytes as f64)
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
    let all: f64 = explanation.kinds.iter().map(|kinds| kinds.cost.bits).sum();
    for kinds in explanation.kinds.iter().filter(|kinds| kinds.pieces > 0) {
        table.push(vec![
            kinds.kind.key().replace('_', " "),
            kinds.pieces.to_string(),
            kinds.cost.bytes.to_string(),
            format!("{:.0}", kinds.cost.bits),
            format!(
                "{:.1} %",
                100.0 * kinds.cost.bits / all.max(f64::MIN_POSITIVE)
            ),
            or_dash(kinds.cost.bits_per_byte(), 3),
            format!("{:.2}", kinds.cost.bits / kinds.pieces as f64),
        ]);
    }
    table
}

fn windows(explanation: &Explanation) -> Table {
    let last = explanation
        .windows
        .iter()
        .map(|window| window.by_position.len())
        .max();
    let last = last.unwrap_or_default();
    // After 1, 16, 256 tokens, ... and the furthest.
    let shown: Vec<usize> = (0..last)
        .filter(|&class| class % 4 == 1 || class + 1 == last)
        .collect();
    let mut head = vec!["model alone, window".to_owned(), "bits/byte".to_owned()];
    head.extend(
        shown
            .iter()
            .map(|&class| format!("after {}", first_position(class))),
    );
    let mut table = Table::new(&head.iter().map(String::as_str).collect::<Vec<_>>());
    for window in &explanation.windows {
        let mut row = vec![
            window.tokens.to_string(),
            or_dash(window.all.bits_per_byte(), 3),
        ];
        row.extend(shown.iter().map(|&class| {
            let cost = window.by_position.get(class);
            or_dash(cost.and_then(Cost::bits_per_byte), 3)
        }));
        table.push(row);
    }
    table
}

/// Tokens before the first position of a class of [`Window::by_position`].
fn first_position(class: usize) -> usize {
    match class {
        0 => 0,
        _ => 1 << (class - 1),
    }
}

fn peaks(explanation: &Explanation) -> Table {
    let mut table = Table::new(&["dearest pieces, in their places", "at byte", "bits"]);
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

/// Bytes in one line.
fn shown(bytes: &[u8]) -> String {
    one_line(&String::from_utf8_lossy(bytes))
}

fn kind(kinds: &Kinds) -> Value {
    object!({
        "kind": kinds.kind.key(),
        "pieces": kinds.pieces,
        "bytes": kinds.cost.bytes,
        "bits": kinds.cost.bits,
    })
}

fn better(better: &Better) -> Value {
    object!({ "pieces": better.pieces, "saved_bits": better.saved })
}

fn window(window: &Window) -> Value {
    let by_position = window.by_position.iter().enumerate().map(|(class, cost)| {
        object!({
            "first_position": first_position(class),
            "bytes": cost.bytes,
            "bits": cost.bits,
        })
    });
    object!({
        "tokens": window.tokens,
        "bytes": window.all.bytes,
        "bits": window.all.bits,
        "by_position": by_position.collect::<Vec<_>>(),
    })
}

/// Pieces by columns: a page holds tens of thousands of them.
fn columns(pieces: &[Piece], strings: &mut Strings) -> Value {
    let model = |each: fn(&super::Opinion) -> Value| -> Vec<Value> {
        pieces
            .iter()
            .map(|piece| piece.model.as_ref().map_or(Value::Null, each))
            .collect()
    };
    let kind = |piece: &Piece| Kind::ALL.iter().position(|&kind| kind == piece.kind);
    let text: Vec<usize> = pieces
        .iter()
        .map(|piece| strings.index(&piece.bytes))
        .collect();
    let mut guesses: Vec<Value> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let of = piece.model.iter().flat_map(|opinion| &opinion.guesses);
        let flat = of.flat_map(|(bytes, probability)| {
            [strings.index(bytes), (100.0 * probability).round() as usize]
        });
        guesses.push(flat.collect());
    }
    object!({
        "string": text,
        "bytes": pieces.iter().map(|piece| piece.bytes.len()).collect::<Vec<_>>(),
        "kind": pieces.iter().map(kind).collect::<Vec<_>>(),
        "bits": pieces.iter().map(|piece| hundredths(piece.bits)).collect::<Vec<_>>(),
        "experts_bits": pieces.iter().map(|piece| hundredths(piece.experts)).collect::<Vec<_>>(),
        "model_bits": model(|opinion| hundredths(opinion.bits)),
        "rank": model(|opinion| object!(opinion.rank)),
        "guesses": guesses,
    })
}

fn hundredths(bits: f32) -> Value {
    let rounded = (f64::from(bits) * 100.0).round() / 100.0;
    match rounded.fract() == 0.0 {
        // One character less each.
        true => object!(rounded as u64),
        false => object!(rounded),
    }
}

/// Different texts, each once.
#[derive(Default)]
struct Strings {
    all: Vec<String>,
    places: HashMap<Vec<u8>, usize>,
}

impl Strings {
    fn index(&mut self, bytes: &[u8]) -> usize {
        if let Some(&place) = self.places.get(bytes) {
            return place;
        }
        self.all.push(readable(bytes));
        self.places.insert(bytes.to_vec(), self.all.len() - 1);
        self.all.len() - 1
    }
}

/// Text as it is, other bytes as `\xE4`.
fn readable(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char.is_control() && !char.is_whitespace() {
                true => out += &format!("\\x{:02X}", u32::from(char)),
                false => out.push(char),
            }
        }
        for byte in chunk.invalid() {
            out += &format!("\\x{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_kept_once_and_readable() {
        let mut strings = Strings::default();
        assert_eq!(strings.index(b"a\n"), 0);
        assert_eq!(strings.index(&[b'b', 0xE4, 1]), 1);
        assert_eq!(strings.index(b"a\n"), 0);
        assert_eq!(strings.all, ["a\n", "b\\xE4\\x01"]);
    }

    #[test]
    fn costs_are_short() {
        assert_eq!(hundredths(3.0).to_string(), "3");
        assert_eq!(hundredths(0.126).to_string(), "0.13");
        assert_eq!(hundredths(0.0).to_string(), "0");
    }

    #[test]
    fn positions_double() {
        assert_eq!([0, 1, 2, 3, 11].map(first_position), [0, 1, 2, 4, 1024]);
    }
}
