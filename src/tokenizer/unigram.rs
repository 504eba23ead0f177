//! Unigram: the tokens of a word whose scores have the largest sum.

use crate::codec::Symbol;
use crate::packed::TokenTable;

/// A byte without a token costs this much more than the worst token, as an unknown character does
/// in `SentencePiece`.
pub(crate) const UNKNOWN_PENALTY: f64 = 10.0;

/// The scores of a vocabulary.
pub(super) struct Unigram {
    /// Logarithm of the probability of each row.
    scores: Vec<f32>,
    /// Score of a byte without a token.
    unknown: f64,
}

/// The best way to cut the bytes before a place.
#[derive(Clone, Copy)]
struct Best {
    score: f64,
    /// Where its last token starts.
    start: usize,
    /// That token; `None` is a byte without one.
    row: Option<u32>,
}

impl Unigram {
    pub(super) fn new(scores: &[f32]) -> Unigram {
        let least = scores.iter().copied().fold(f32::INFINITY, f32::min);
        Unigram {
            scores: scores.to_vec(),
            unknown: f64::from(least) - UNKNOWN_PENALTY,
        }
    }

    /// Appends the tokens of `word`; of equally good cuts, the one whose last tokens are longest.
    pub(super) fn encode(&self, word: &[u8], tokens: TokenTable<'_>, symbols: &mut Vec<Symbol>) {
        let nothing = Best {
            score: f64::NEG_INFINITY,
            start: 0,
            row: None,
        };
        // For each place in the word, the best cut of the bytes before it.
        let mut best = vec![nothing; word.len() + 1];
        best[0].score = 0.0;
        for start in 0..word.len() {
            let mut extend = |len: usize, row: Option<u32>, score: f64| {
                let score = best[start].score + score;
                let end = &mut best[start + len];
                if score > end.score {
                    *end = Best { score, start, row };
                }
            };
            extend(1, None, self.unknown);
            for row in tokens.prefixes(&word[start..]) {
                let score = f64::from(self.scores[row as usize]);
                extend(tokens.bytes(row).len(), Some(row), score);
            }
        }
        let first = symbols.len();
        let mut end = word.len();
        while end > 0 {
            let Best { start, row, .. } = best[end];
            symbols.push(row.map_or_else(|| Symbol::Byte(word[start]), Symbol::Token));
            end = start;
        }
        symbols[first..].reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The best cut by trying all of them.
    fn search(unigram: &Unigram, tokens: TokenTable<'_>, word: &[u8]) -> f64 {
        if word.is_empty() {
            return 0.0;
        }
        let unknown = unigram.unknown + search(unigram, tokens, &word[1..]);
        let rows = tokens.prefixes(word).map(|row| {
            let rest = &word[tokens.bytes(row).len()..];
            f64::from(unigram.scores[row as usize]) + search(unigram, tokens, rest)
        });
        rows.fold(unknown, f64::max)
    }

    #[test]
    fn no_cut_has_a_larger_sum() {
        let table = TokenTable::new(b"aabababccbc", &[0, 1, 3, 6, 8, 9, 11]);
        assert!(table.is_err(), "rows must ascend");
        let tokens = TokenTable::new(b"aababcbbcc", &[0, 1, 3, 6, 7, 9, 10]).unwrap();
        let unigram = Unigram::new(&[-3.0, -3.5, -9.0, -2.0, -4.0, -2.5]);
        for word in [
            &b"abc"[..],
            b"aabcab",
            b"abxabc",
            b"xx",
            b"cbacba",
            b"bcabc",
        ] {
            let mut symbols = Vec::new();
            unigram.encode(word, tokens, &mut symbols);
            let (mut score, mut bytes) = (0.0, Vec::new());
            for symbol in symbols {
                match symbol {
                    Symbol::Byte(byte) => {
                        score += unigram.unknown;
                        bytes.push(byte);
                    }
                    Symbol::Token(row) => {
                        score += f64::from(unigram.scores[row as usize]);
                        bytes.extend_from_slice(tokens.bytes(row));
                    }
                }
            }
            assert_eq!(bytes, word);
            assert_eq!(score, search(&unigram, tokens, word), "{word:?}");
        }
    }
}
