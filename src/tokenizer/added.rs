//! Added tokens: they are found in text before it is cut into words.

use crate::packed::{OwnedTokenTable, TokenTable};

/// The added tokens of a vocabulary.
pub(super) struct Added {
    /// Their bytes, ascending.
    tokens: OwnedTokenTable,
    /// The row of each of them.
    rows: Vec<u32>,
    /// Whether one of them begins with this byte.
    begins: [bool; 256],
}

/// A piece of text.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    /// Text without added tokens.
    Text(&'a [u8]),
    /// The row of an added token.
    Token(u32),
}

impl Added {
    pub(super) fn new(tokens: TokenTable<'_>, rows: &[u32]) -> Added {
        // Rows are in the order of their bytes.
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        rows.dedup();
        let mut begins = [false; 256];
        for &row in &rows {
            begins[usize::from(tokens.bytes(row)[0])] = true;
        }
        Added {
            tokens: OwnedTokenTable::select(tokens, rows.iter().copied()),
            rows,
            begins,
        }
    }

    /// Cuts `text` at its added tokens: the leftmost first, of those that begin at the same place
    /// the longest.
    pub(super) fn pieces<'a>(&self, text: &'a [u8]) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        let (mut start, mut place) = (0, 0);
        while place < text.len() {
            match self.at(&text[place..]) {
                None => place += 1,
                Some((row, len)) => {
                    if start < place {
                        pieces.push(Piece::Text(&text[start..place]));
                    }
                    pieces.push(Piece::Token(row));
                    place += len;
                    start = place;
                }
            }
        }
        if start < place {
            pieces.push(Piece::Text(&text[start..]));
        }
        pieces
    }

    /// Row and length of the longest added token that `text` begins with.
    fn at(&self, text: &[u8]) -> Option<(u32, usize)> {
        if !self.begins[usize::from(text[0])] {
            return None;
        }
        let tokens = self.tokens.table();
        let found = tokens.longest_prefix(text)?;
        Some((self.rows[found as usize], tokens.bytes(found).len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leftmost_and_longest_token_is_taken() {
        // Rows: a, two spaces ..., as bytes ascend: "  ", "   ", "<b>", "a", "b>".
        let tokens = TokenTable::new(b"     <b>ab>", &[0, 2, 5, 8, 9, 11]).unwrap();
        let added = Added::new(tokens, &[4, 0, 1, 2, 0]);
        let text = b"a    <b>b>> ";
        let pieces = added.pieces(text);
        assert_eq!(
            pieces,
            [
                Piece::Text(b"a"),
                Piece::Token(1),
                Piece::Text(b" "),
                Piece::Token(2),
                Piece::Token(4),
                Piece::Text(b"> "),
            ]
        );
        assert_eq!(added.pieces(b""), []);
        assert_eq!(Added::new(tokens, &[]).pieces(text), [Piece::Text(text)]);
    }
}
