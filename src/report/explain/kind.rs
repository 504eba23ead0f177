//! What kind of text a piece is: a word, a number, white space and so on.

/// A kind of piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The first letters of a word, with the space before it.
    WordBegins,
    /// More letters of a word that an earlier piece began.
    WordGoesOn,
    /// Digits first.
    Number,
    /// Any other visible character first.
    Punctuation,
    /// Nothing but white space.
    WhiteSpace,
    /// No text: parts of characters, control characters, broken UTF-8.
    Bytes,
}

impl Kind {
    /// All kinds, in the order of reports.
    pub const ALL: [Kind; 6] = [
        Kind::WordBegins,
        Kind::WordGoesOn,
        Kind::Number,
        Kind::Punctuation,
        Kind::WhiteSpace,
        Kind::Bytes,
    ];

    /// The kind of `piece`, which follows `before`.
    pub fn of(piece: &[u8], before: &[u8]) -> Kind {
        let Ok(text) = std::str::from_utf8(piece) else {
            return Kind::Bytes;
        };
        if text
            .chars()
            .any(|char| char.is_control() && !char.is_whitespace())
        {
            return Kind::Bytes;
        }
        match text.trim_start().chars().next() {
            None => Kind::WhiteSpace,
            Some(char) if char.is_alphabetic() => {
                let spaced = text.starts_with(char::is_whitespace);
                match !spaced && ends_with_letter(before) {
                    true => Kind::WordGoesOn,
                    false => Kind::WordBegins,
                }
            }
            Some(char) if char.is_numeric() => Kind::Number,
            Some(_) => Kind::Punctuation,
        }
    }

    /// What JSON calls it.
    pub fn key(self) -> &'static str {
        match self {
            Kind::WordBegins => "word_begins",
            Kind::WordGoesOn => "word_goes_on",
            Kind::Number => "number",
            Kind::Punctuation => "punctuation",
            Kind::WhiteSpace => "white_space",
            Kind::Bytes => "bytes",
        }
    }
}

fn ends_with_letter(bytes: &[u8]) -> bool {
    // A character has at most four bytes.
    let tail = &bytes[bytes.len().saturating_sub(4)..];
    let last = (0..tail.len()).find_map(|start| std::str::from_utf8(&tail[start..]).ok());
    last.is_some_and(|text| text.ends_with(char::is_alphabetic))
}

/// Cuts bytes that no model cut into tokens: runs of letters with the space before them, of digits, of white space, single
/// other characters, and what is no text eight bytes at a time. Lengths, in order.
pub(super) fn cut(bytes: &[u8]) -> Vec<usize> {
    /// Longest run.
    const LONGEST: usize = 32;
    let mut pieces = Vec::new();
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(first) = rest.chars().next() {
            let same: fn(char) -> bool = match first {
                ' ' if rest[1..].starts_with(char::is_alphabetic) => char::is_alphabetic,
                _ if first.is_alphabetic() => char::is_alphabetic,
                _ if first.is_numeric() => char::is_numeric,
                _ if first.is_whitespace() => char::is_whitespace,
                _ => |_| false,
            };
            let len = rest
                .char_indices()
                .skip(1)
                .find(|&(at, char)| !same(char) || at >= LONGEST)
                .map_or(rest.len(), |(at, _)| at);
            pieces.push(len);
            rest = &rest[len..];
        }
        pieces.extend(chunk.invalid().chunks(8).map(<[u8]>::len));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        for (before, piece, kind) in [
            ("", "The", Kind::WordBegins),
            ("The", " cat", Kind::WordBegins),
            ("(", "see", Kind::WordBegins),
            ("für", "sorge", Kind::WordGoesOn),
            ("é", "té", Kind::WordGoesOn),
            ("a", "1", Kind::Number),
            ("a", ", ", Kind::Punctuation),
            ("a", " \n", Kind::WhiteSpace),
            ("a", "\u{1}", Kind::Bytes),
        ] {
            let found = Kind::of(piece.as_bytes(), before.as_bytes());
            assert_eq!(found, kind, "{before:?} {piece:?}");
        }
        assert_eq!(Kind::of(&[0xE4, 0xBD], b"a"), Kind::Bytes);
    }

    #[test]
    fn a_cut_loses_nothing() {
        let cuts = |bytes: &[u8]| {
            let mut rest = bytes;
            let mut pieces = Vec::new();
            for len in cut(bytes) {
                let (piece, others) = rest.split_at(len);
                pieces.push(String::from_utf8_lossy(piece).into_owned());
                rest = others;
            }
            assert!(rest.is_empty());
            pieces
        };
        assert_eq!(
            cuts("A cat, 12  mice.\n".as_bytes()),
            ["A", " cat", ",", " ", "12", "  ", "mice", ".", "\n"]
        );
        assert_eq!(cuts(&[b'x'; 70]).len(), 3);
        assert_eq!(cuts(b"\xff\xffab").len(), 3);
        assert!(cuts(b"").is_empty());
    }
}
