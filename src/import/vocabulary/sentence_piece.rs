//! Vocabularies that `SentencePiece` made: tokens are text in which U+2581 stands for a space, or
//! single bytes by number.

/// The character that stands for a space.
const SPACE: char = '\u{2581}';

/// The bytes that a token's string stands for.
pub(super) fn bytes(token: &str) -> Vec<u8> {
    token.replace(SPACE, " ").into_bytes()
}

/// The byte that a token called `<0xNN>` stands for.
pub(super) fn byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let upper = |byte: u8| matches!(byte, b'0'..=b'9' | b'A'..=b'F');
    match digits.len() == 2 && digits.bytes().all(upper) {
        true => u8::from_str_radix(digits, 16).ok(),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_become_spaces_and_numbers_bytes() {
        assert_eq!(bytes("\u{2581}the\u{2581}"), b" the ");
        assert_eq!((byte("<0x0A>"), byte("<0xFF>")), (Some(10), Some(255)));
        for other in ["<0xa>", "<0xff>", "<0x+1>", "<0x0A", "0x0A", "<0x100>"] {
            assert_eq!(byte(other), None, "{other}");
        }
    }
}
