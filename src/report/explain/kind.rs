//! What kind of text a piece is: a word, a number, white space and so on.

/// The kind of text that a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PieceKind {
    /// The beginning of a word, with any white space before it.
    WordBegins,
    /// More letters of a word that an earlier piece began.
    WordGoesOn,
    /// Begins with a digit.
    Number,
    /// Begins with any other visible character.
    Punctuation,
    /// White space only.
    WhiteSpace,
    /// Not text: parts of characters, control characters, invalid UTF-8.
    Bytes,
}

impl PieceKind {
    /// All kinds, in the order of reports.
    pub const ALL: [PieceKind; 6] = [
        PieceKind::WordBegins,
        PieceKind::WordGoesOn,
        PieceKind::Number,
        PieceKind::Punctuation,
        PieceKind::WhiteSpace,
        PieceKind::Bytes,
    ];

    /// The kind of `piece`, which the bytes `before` precede.
    pub fn of(piece: &[u8], before: &[u8]) -> PieceKind {
        let Ok(text) = std::str::from_utf8(piece) else {
            return PieceKind::Bytes;
        };
        if text
            .chars()
            .any(|char| char.is_control() && !char.is_whitespace())
        {
            return PieceKind::Bytes;
        }
        match text.trim_start().chars().next() {
            None => PieceKind::WhiteSpace,
            Some(char) if char.is_alphabetic() => {
                let spaced = text.starts_with(char::is_whitespace);
                match !spaced && ends_with_letter(before) {
                    true => PieceKind::WordGoesOn,
                    false => PieceKind::WordBegins,
                }
            }
            Some(char) if char.is_numeric() => PieceKind::Number,
            Some(_) => PieceKind::Punctuation,
        }
    }

    /// Its name in JSON.
    pub fn key(self) -> &'static str {
        match self {
            PieceKind::WordBegins => "word_begins",
            PieceKind::WordGoesOn => "word_goes_on",
            PieceKind::Number => "number",
            PieceKind::Punctuation => "punctuation",
            PieceKind::WhiteSpace => "white_space",
            PieceKind::Bytes => "bytes",
        }
    }
}

fn ends_with_letter(bytes: &[u8]) -> bool {
    // A character has at most four bytes.
    let tail = &bytes[bytes.len().saturating_sub(4)..];
    let last = (0..tail.len()).find_map(|start| std::str::from_utf8(&tail[start..]).ok());
    last.is_some_and(|text| text.ends_with(char::is_alphabetic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        for (before, piece, kind) in [
            ("", "The", PieceKind::WordBegins),
            ("The", " cat", PieceKind::WordBegins),
            ("(", "see", PieceKind::WordBegins),
            ("für", "sorge", PieceKind::WordGoesOn),
            ("é", "té", PieceKind::WordGoesOn),
            ("a", "1", PieceKind::Number),
            ("a", ", ", PieceKind::Punctuation),
            ("a", " \n", PieceKind::WhiteSpace),
            ("a", "\u{1}", PieceKind::Bytes),
        ] {
            let found = PieceKind::of(piece.as_bytes(), before.as_bytes());
            assert_eq!(found, kind, "{before:?} {piece:?}");
        }
        assert_eq!(PieceKind::of(&[0xE4, 0xBD], b"a"), PieceKind::Bytes);
    }
}
