//! Byte-pair encoding: the tokens of a word by merging its neighbours.

use crate::codec::Symbol;
use crate::packed::TokenTable;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// No row, no priority, no place.
const NONE: u32 = u32::MAX;

/// The merge rules of a vocabulary.
pub(super) struct Bpe {
    /// Words begin as characters if the characters are tokens; else as bytes.
    pub(super) characters: bool,
    /// Row of each single byte, [`NONE`] where the vocabulary has none.
    single: [u32; 256],
    /// (left row, right row) -> (priority, row of the concatenation).
    pub(super) merges: HashMap<u64, (u32, u32), BuildHasherDefault<PairHasher>>,
}

/// Hash of a pair of rows: one multiplication. Nobody gains by choosing keys that collide: a slow
/// table slows only its author.
#[derive(Default)]
pub(super) struct PairHasher(u64);

impl Hasher for PairHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only u64 keys are hashed")
    }
    fn write_u64(&mut self, key: u64) {
        let product = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ (product >> 29);
    }
}

fn pair(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

/// A part of a word that is to be merged with its neighbours.
struct Part {
    /// [`NONE`] for a byte without a row.
    row: u32,
    byte: u8,
    /// Places of the neighbours, [`NONE`] at the ends.
    before: u32,
    after: u32,
    /// Whether the part on the left has taken it in.
    gone: bool,
}

impl Bpe {
    pub(super) fn new(
        tokens: TokenTable<'_>,
        rules: impl Iterator<Item = (u32, u32)>,
        characters: bool,
    ) -> Bpe {
        let row_of: HashMap<&[u8], u32> = (0..tokens.len() as u32)
            .map(|row| (tokens.bytes(row), row))
            .collect();
        let mut single = [NONE; 256];
        for byte in 0..=u8::MAX {
            if let Some(row) = row_of.get(&[byte][..]) {
                single[usize::from(byte)] = *row;
            }
        }
        let mut merges = HashMap::with_capacity_and_hasher(rules.size_hint().0, Default::default());
        let mut joined = Vec::new();
        for (priority, (left, right)) in (0u32..).zip(rules) {
            joined.clear();
            joined.extend_from_slice(tokens.bytes(left));
            joined.extend_from_slice(tokens.bytes(right));
            if let Some(&result) = row_of.get(&joined[..]) {
                merges
                    .entry(pair(left, right))
                    .or_insert((priority, result));
            }
        }
        Bpe {
            characters,
            single,
            merges,
        }
    }

    pub(super) fn byte(&self, byte: u8) -> Symbol {
        symbol(self.single[usize::from(byte)], byte)
    }

    /// Appends the tokens of `word`. The adjacent pair of the best priority is merged first, the
    /// leftmost among equals, until no pair has a rule. Takes n log n steps for n bytes.
    ///
    /// A word that is a token is that token. Merges lead to the same token, except in vocabularies
    /// whose tokenizer.json says `ignore_merges`, which asks for this.
    pub(super) fn encode(&self, word: &[u8], tokens: TokenTable<'_>, symbols: &mut Vec<Symbol>) {
        if let Some(row) = tokens.find(word) {
            symbols.push(Symbol::Token(row));
            return;
        }
        let mut parts = self.parts(word, tokens);
        // Merges that may still be possible: their priorities in the upper half, places in the
        // lower.
        let mut queue = BinaryHeap::with_capacity(parts.len());
        for place in 0..parts.len() as u32 {
            queue.extend(self.candidate(&parts, place));
        }
        while let Some(Reverse(best)) = queue.pop() {
            let (priority, place) = ((best >> 32) as u32, best as u32);
            let Some((now, result)) = self.rule(&parts, place) else {
                continue;
            };
            // The pair at this place may have changed since. Each pair has its own priority.
            if now != priority {
                continue;
            }
            let right = parts[place as usize].after;
            let beyond = parts[right as usize].after;
            parts[right as usize].gone = true;
            let left = &mut parts[place as usize];
            (left.row, left.after) = (result, beyond);
            let before = left.before;
            if let Some(beyond) = parts.get_mut(beyond as usize) {
                beyond.before = place;
            }
            queue.extend(self.candidate(&parts, place));
            queue.extend(self.candidate(&parts, before));
        }
        let left = parts.iter().filter(|part| !part.gone);
        symbols.extend(left.map(|part| symbol(part.row, part.byte)));
    }

    /// The parts that `word` begins as.
    fn parts(&self, word: &[u8], tokens: TokenTable<'_>) -> Vec<Part> {
        let mut rows = Vec::with_capacity(word.len());
        let bytes = |bytes: &[u8], rows: &mut Vec<(u32, u8)>| {
            rows.extend(bytes.iter().map(|&b| (self.single[usize::from(b)], b)));
        };
        if self.characters {
            for run in word.utf8_chunks() {
                let mut buffer = [0; 4];
                for character in run.valid().chars() {
                    let character = character.encode_utf8(&mut buffer).as_bytes();
                    match tokens.find(character) {
                        Some(row) => rows.push((row, 0)),
                        None => bytes(character, &mut rows),
                    }
                }
                bytes(run.invalid(), &mut rows);
            }
        } else {
            bytes(word, &mut rows);
        }
        let last = rows.len() as u32 - 1;
        let parts = (0u32..).zip(rows).map(|(place, (row, byte))| Part {
            row,
            byte,
            before: place.checked_sub(1).unwrap_or(NONE),
            after: if place == last { NONE } else { place + 1 },
            gone: false,
        });
        parts.collect()
    }

    /// Priority and result of merging the part at `place` with its right neighbour.
    fn rule(&self, parts: &[Part], place: u32) -> Option<(u32, u32)> {
        let left = parts.get(place as usize).filter(|part| !part.gone)?;
        let right = parts.get(left.after as usize)?;
        if left.row == NONE || right.row == NONE {
            return None;
        }
        self.merges.get(&pair(left.row, right.row)).copied()
    }

    fn candidate(&self, parts: &[Part], place: u32) -> Option<Reverse<u64>> {
        let (priority, _) = self.rule(parts, place)?;
        Some(Reverse(u64::from(priority) << 32 | u64::from(place)))
    }
}

fn symbol(row: u32, byte: u8) -> Symbol {
    match row {
        NONE => Symbol::Byte(byte),
        row => Symbol::Token(row),
    }
}
