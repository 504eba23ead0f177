//! Byte-level vocabularies: every byte has a character that stands for it.

use std::collections::HashMap;

/// The character that stands for each byte in a byte-level vocabulary. This is the table of GPT-2:
/// printable Latin-1 characters stand for themselves, the other 68 bytes follow from U+0100 in
/// order.
fn byte_characters() -> [char; 256] {
    let mut table = ['\0'; 256];
    let mut next = 0x100u32;
    for byte in 0..=255u8 {
        let printable = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        table[usize::from(byte)] = if printable {
            char::from(byte)
        } else {
            let stand_in = char::from_u32(next).expect("U+0100..U+0144 are characters");
            next += 1;
            stand_in
        };
    }
    table
}

/// Undoes the byte-to-character mapping of byte-level vocabularies.
#[derive(Debug, Clone)]
pub(super) struct ByteLevel {
    bytes: HashMap<char, u8>,
}

impl Default for ByteLevel {
    fn default() -> Self {
        let bytes = (0..=255u8).zip(byte_characters());
        ByteLevel {
            bytes: bytes.map(|(byte, character)| (character, byte)).collect(),
        }
    }
}

impl ByteLevel {
    /// The bytes that a token's string stands for, or `None` if it holds a character outside the
    /// mapping, as the names of special tokens may.
    pub(super) fn bytes(&self, token: &str) -> Option<Vec<u8>> {
        token.chars().map(|c| self.bytes.get(&c).copied()).collect()
    }
}

/// Whether the added token called `name` occurs in text. In these vocabularies, added tokens in
/// angle brackets are marks of chats and tools: the model has learned them after, and apart from,
/// ordinary text. Others, such as runs of spaces, are text.
pub(super) fn is_text(name: &str) -> bool {
    !(name.starts_with('<') && name.ends_with('>'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn byte_level_is_a_bijection_with_the_known_stand_ins() {
        let table = byte_characters();
        let distinct: HashSet<char> = table.iter().copied().collect();
        assert_eq!(distinct.len(), 256);
        assert_eq!(table[0], '\u{100}');
        assert_eq!(table[b' ' as usize], 'Ġ');
        assert_eq!(table[b'\n' as usize], 'Ċ');
        assert_eq!(table[0xad], '\u{143}');
        let map = ByteLevel::default();
        assert_eq!(map.bytes("Ġthe"), Some(b" the".to_vec()));
        assert_eq!(map.bytes("<｜end｜>"), None);
    }

    #[test]
    fn marks_are_not_text() {
        for mark in ["<|im_start|>", "<tool_call>", "</think>", "<｜fim▁hole｜>"] {
            assert!(!is_text(mark), "{mark}");
        }
        for text in ["    ", "|||IP_ADDRESS|||", "\u{fc}", "<", "a>"] {
            assert!(is_text(text), "{text}");
        }
    }
}
