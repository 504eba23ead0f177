//! The contexts of the experts: one hash for each, computed when a byte is complete.

use super::byte_history::ByteHistory;
use super::record_length::RecordLength;
use crate::machine::{MachineError, memory};

/// Number of hashed contexts.
pub(super) const CONTEXTS: usize = 26;

/// What each of them is, in their order.
pub(super) const NAMES: [&str; CONTEXTS] = [
    "order 1",
    "order 2",
    "order 3",
    "order 4",
    "order 5",
    "order 6",
    "order 8",
    "word so far, last byte",
    "word so far and the word before",
    "word so far and the one before that",
    "word so far and both before",
    "word so far and the third before",
    "second and third last byte",
    "third and fourth last byte",
    "last and third last byte",
    "second and fourth last byte",
    "column and the byte above",
    "byte above and the last two",
    "head of the line, column, last byte",
    "classes of the last sixteen bytes",
    "what followed this byte",
    "what followed these two bytes",
    "record: the byte above and the column",
    "record: the two bytes above, last byte",
    "record: the column and the last two bytes",
    "record: the byte above, the last three",
];

/// Contexts whose bit histories each stream has of its own, because they describe the text nearby.
/// All streams share those of the others.
const OWN_OF_STREAM: [usize; 2] = [1, 7];

/// The running features of the text: words, lines, classes of bytes, and what followed before.
#[derive(Clone)]
pub(super) struct Contexts {
    /// Hash of the letters of the current word, 0 outside of words, and of the words before it.
    words: [u32; 4],
    /// Where the current line and the one before it begin.
    line: usize,
    previous_line: usize,
    /// Classes of the last sixteen bytes, four bits each.
    classes: u64,
    /// Hash of the first bytes of this line.
    first_of_line: u32,
    number: u32,
    /// For each byte and each pair of bytes, the last four bytes that followed it.
    after_byte: Vec<u32>,
    after_pair: Vec<u32>,
}

/// Mixes a value into a hash.
#[inline]
pub(super) fn combine(hash: u32, value: u32) -> u32 {
    let hash = (hash ^ value).wrapping_mul(0x9e37_79b1);
    hash ^ (hash >> 15)
}

/// Coarse class of a byte, 0..8.
pub(super) fn class(byte: u8) -> u32 {
    match byte {
        b'\n' | b'\r' => 1,
        b' ' | b'\t' => 2,
        b'0'..=b'9' => 3,
        b'a'..=b'z' => 4,
        b'A'..=b'Z' => 5,
        128..=255 => 6,
        0..=31 => 0,
        _ => 7,
    }
}

impl Contexts {
    /// The contexts of a text that begins at `position`.
    ///
    /// # Errors
    /// If their memory cannot be had.
    pub(super) fn new(position: usize) -> Result<Contexts, MachineError> {
        Ok(Contexts {
            words: [0; 4],
            line: position,
            previous_line: position,
            classes: 0,
            first_of_line: 0,
            number: 0,
            after_byte: vec![0; 256],
            after_pair: memory::filled("the contexts of a stream", 1 << 16, 0)?,
        })
    }

    /// Classes of the last three bytes, 0..512.
    pub(super) fn last_classes(&self) -> usize {
        (self.classes & 7 | (self.classes >> 4 & 7) << 3 | (self.classes >> 8 & 7) << 6) as usize
    }

    /// Column of the next byte in its line, and the byte above it.
    pub(super) fn column(&self, history: &ByteHistory) -> (usize, u8) {
        let column = history.position() - self.line;
        let above = self.previous_line + column;
        let above = if above < self.line {
            history.at(above)
        } else {
            0
        };
        (column, above)
    }

    /// Updates the features after the byte just pushed to the history; returns the hash of every
    /// context.
    pub(super) fn next_byte(
        &mut self,
        history: &ByteHistory,
        record: &RecordLength,
    ) -> [u32; CONTEXTS] {
        let c1 = history.back(1);
        let (c2, c3) = (history.back(2), history.back(3));
        let pair = usize::from(c2) << 8 | usize::from(c3);
        self.after_byte[usize::from(c2)] = self.after_byte[usize::from(c2)] << 8 | u32::from(c1);
        self.after_pair[pair] = self.after_pair[pair] << 8 | u32::from(c1);

        self.classes = self.classes << 4 | u64::from(class(c1));
        if c1.is_ascii_alphabetic() || c1 >= 128 {
            self.words[0] = combine(self.words[0], u32::from(c1.to_ascii_lowercase()) + 1);
        } else if self.words[0] != 0 {
            self.words.copy_within(0..3, 1);
            self.words[0] = 0;
        }
        if c1.is_ascii_digit() {
            self.number = combine(self.number, u32::from(c1));
        } else if class(c1) >= 4 {
            self.number = 0;
        }
        if c1 == b'\n' {
            self.previous_line = self.line;
            self.line = history.position();
        }
        let (column, above) = self.column(history);
        if column == 0 {
            self.first_of_line = 0;
        } else if column <= 3 {
            self.first_of_line = self.first_of_line << 8 | u32::from(c1);
        }

        let last = history.recent()[0];
        let (last4, last8) = (last as u32, (last >> 32) as u32);
        let byte = |distance: u32| (last >> (8 * distance - 8)) as u32 & 255;
        let (c1, c2, c3, above) = (byte(1), byte(2), byte(3), u32::from(above));
        let [word, word1, word2, word3] = self.words;
        let after1 = self.after_byte[c1 as usize];
        let after2 = self.after_pair[(c1 << 8 | c2) as usize];
        let column = column as u32;
        let (r, at) = (record.length(), record.column(history.position()));
        let up = |distance: usize| u32::from(history.back(distance));
        let all = [
            c1,
            last4 & 0xffff,
            last4 & 0xff_ffff,
            last4,
            combine(last4, last8 & 0xff),
            combine(last4, last8 & 0xffff),
            combine(last4, last8),
            // Words.
            combine(word, c1),
            combine(combine(word, c1), word1),
            combine(combine(word, c1), word2),
            combine(combine(combine(word, c1), word1), word2),
            combine(combine(word, word3), c1),
            // Gaps.
            last4 & 0x00ff_ff00,
            last4 & 0xffff_0000,
            last4 & 0x00ff_00ff,
            last4 & 0xff00_ff00,
            // Lines.
            combine(column.min(255), above),
            combine(combine(above, c1), last4 & 0xff00),
            combine(self.first_of_line, combine(column.min(255), c1)),
            combine((self.classes >> 32) as u32, self.classes as u32),
            // What followed before.
            combine(after1 & 0xffff, c1),
            combine(after2 & 0xffffff, c1),
            // Records.
            combine(up(r), at),
            combine(up(r), c1 | up(2 * r) << 8),
            combine(c1 | c2 << 8, at),
            combine(up(r), combine(c1 | c2 << 8 | c3 << 16, 0)),
        ];
        let origin = history.origin() as u32;
        std::array::from_fn(|i| {
            let own = if OWN_OF_STREAM.contains(&i) {
                origin
            } else {
                0
            };
            let salt = (i as u32 + 1).wrapping_add(own);
            combine(combine(salt, 0x51_7cc1), all[i]).wrapping_mul(0x2545_f491)
        })
    }
}
