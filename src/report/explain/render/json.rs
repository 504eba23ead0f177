//! An [`Explanation`] as JSON, specified in `docs/REPORTS.md`.

use std::collections::HashMap;

use serde_json::{Value, json as object};

use crate::report::explain::{
    Advantage, Explanation, KindTotals, ModelAlone, Piece, PieceKind, WindowCost,
};
use crate::report::{Provenance, numbers};

/// Version of what [`json`] writes.
pub const SCHEMA_VERSION: u32 = 1;

/// One JSON object, the same that the page holds.
pub fn json(explanation: &Explanation, made: &Provenance) -> String {
    format!("{}\n", value(explanation, made))
}

/// What was measured as JSON. Costs are rounded to a hundredth of a bit.
pub(super) fn value(explanation: &Explanation, made: &Provenance) -> Value {
    let mut strings = Strings::default();
    let pieces = columns(&explanation.pieces, &mut strings);
    object!({
        "schema": "llmzip.explain",
        "version": SCHEMA_VERSION,
        "provenance": made.json(),
        "file": explanation.name,
        "model": explanation.model,
        "parameters": explanation.parameters,
        "original_bytes": explanation.original,
        "compressed_bytes": explanation.compressed,
        "bits_per_byte": numbers::bits_per_byte(explanation.original, explanation.compressed),
        "cross_entropy_bits": explanation.cross_entropy,
        "kinds": explanation.kinds.iter().map(kind_totals).collect::<Vec<_>>(),
        "voices": explanation.model_versus_experts.map(|sums| object!({
            "model_bits": sums.model_bits,
            "experts_bits": sums.experts_bits,
            "bits": sums.bits,
            "model_better": advantage(&sums.model_better),
            "experts_better": advantage(&sums.experts_better),
        })),
        "windows": explanation.windows.iter().map(window).collect::<Vec<_>>(),
        "peaks": explanation.peaks,
        "pieces": pieces,
        "strings": strings.all,
    })
}

fn kind_totals(totals: &KindTotals) -> Value {
    object!({
        "kind": totals.kind.key(),
        "pieces": totals.pieces,
        "bytes": totals.cost.bytes,
        "bits": totals.cost.bits,
    })
}

fn advantage(advantage: &Advantage) -> Value {
    object!({ "pieces": advantage.pieces, "saved_bits": advantage.saved_bits })
}

fn window(window: &WindowCost) -> Value {
    let by_position = window.by_position.iter().enumerate().map(|(class, cost)| {
        object!({
            "first_position": WindowCost::first_position(class),
            "bytes": cost.bytes,
            "bits": cost.bits,
        })
    });
    object!({
        "tokens": window.tokens,
        "bytes": window.all.bytes,
        "bits": window.all.bits,
        "stretches": window.sample.measured,
        "stretches_in_file": window.sample.all,
        "standard_error": window.standard_error,
        "by_position": by_position.collect::<Vec<_>>(),
    })
}

/// The pieces as columns, which is shorter: a page holds tens of thousands of pieces.
fn columns(pieces: &[Piece], strings: &mut Strings) -> Value {
    let of_model = |field: fn(&ModelAlone) -> Value| -> Vec<Value> {
        pieces
            .iter()
            .map(|piece| piece.model.as_ref().map_or(Value::Null, field))
            .collect()
    };
    let kind = |piece: &Piece| PieceKind::ALL.iter().position(|&kind| kind == piece.kind);
    let bits = |of: fn(&Piece) -> f32| -> Vec<Value> {
        pieces.iter().map(|piece| hundredths(of(piece))).collect()
    };
    let text: Vec<usize> = pieces
        .iter()
        .map(|piece| strings.index(&piece.bytes))
        .collect();
    let mut guesses: Vec<Value> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let top = piece.model.iter().flat_map(|model| &model.guesses);
        let flat = top.flat_map(|(bytes, probability)| {
            [strings.index(bytes), (100.0 * probability).round() as usize]
        });
        guesses.push(flat.collect());
    }
    object!({
        "string": text,
        "bytes": pieces.iter().map(|piece| piece.bytes.len()).collect::<Vec<_>>(),
        "kind": pieces.iter().map(kind).collect::<Vec<_>>(),
        "bits": bits(|piece| piece.bits),
        "experts_bits": bits(|piece| piece.experts_bits),
        "model_bits": of_model(|model| hundredths(model.bits)),
        "rank": of_model(|model| object!(model.rank)),
        "guesses": guesses,
    })
}

/// Rounds to a hundredth of a bit.
fn hundredths(bits: f32) -> Value {
    let rounded = (f64::from(bits) * 100.0).round() / 100.0;
    match rounded.fract() == 0.0 {
        // `3` instead of `3.0`: one number for each piece adds up.
        true => object!(rounded as u64),
        false => object!(rounded),
    }
}

/// The texts of pieces and guesses, each once.
#[derive(Default)]
struct Strings {
    all: Vec<String>,
    indices: HashMap<Vec<u8>, usize>,
}

impl Strings {
    /// The index of a text, which is added if it is new.
    fn index(&mut self, bytes: &[u8]) -> usize {
        if let Some(&index) = self.indices.get(bytes) {
            return index;
        }
        self.all.push(readable(bytes));
        self.indices.insert(bytes.to_vec(), self.all.len() - 1);
        self.all.len() - 1
    }
}

/// Text as it is, other bytes as `\xE4`.
pub(super) fn readable(bytes: &[u8]) -> String {
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
}
