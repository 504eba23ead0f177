//! The match model: where the last bytes occurred before, and what followed there.
//!
//! The latest occurrence of the last `minimum` bytes is found by a hash and verified byte by byte. While its
//! successors come true the match grows; after a miss it is kept for a while, because what differs between
//! two records is often one field only.

use super::counter::Counter;
use super::history::History;
use super::logistic::stretch;
use crate::machine::MachineError;
use crate::machine::pages::Pages;
use crate::machine::prefetch::prefetch;

/// Longest match that is told apart.
const LONGEST: u32 = 400;

/// Misses in the last eight predicted bytes after which a match is given up.
const TOLERATED: u32 = 4;

/// Where a match is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In everything seen.
    File,
    /// In what came before in the same stream. A short match tells most about what is near.
    Stream,
}

/// One pointer into the history.
pub struct MatchModel {
    minimum: usize,
    /// Whose past it looks at.
    scope: Scope,
    /// For each hash its latest position, four bytes.
    heads: Pages,
    hash_bits: u32,
    place: Place,
    counters: Vec<Counter>,
    selected: Option<usize>,
}

/// The match being followed, if there is one.
#[derive(Clone, Default)]
pub struct Place {
    /// Position of the byte predicted next, if there is a match.
    pointer: Option<usize>,
    /// Bytes that agreed since the last miss, and verified ones before the match was found.
    length: u32,
    /// The last eight predicted bytes: ones are misses.
    misses: u8,
    expected: u8,
}

impl MatchModel {
    /// Inputs it gives for a bit.
    pub const INPUTS: usize = 2;

    pub fn new(minimum: usize, scope: Scope, hash_bits: u32) -> Result<MatchModel, MachineError> {
        Ok(MatchModel {
            minimum,
            scope,
            heads: Pages::zeroed("a match model", 4 << hash_bits)?,
            hash_bits,
            place: Place::default(),
            counters: vec![Counter::new(3 << 20, 0); 16 * 16 * 8],
            selected: None,
        })
    }

    /// A copy in memory of its own.
    pub fn try_clone(&self) -> Result<MatchModel, MachineError> {
        Ok(MatchModel {
            heads: self.heads.try_clone()?,
            place: self.place.clone(),
            counters: self.counters.clone(),
            ..*self
        })
    }

    /// Follows another match, and leaves the one followed so far.
    pub fn exchange(&mut self, place: &mut Place) {
        std::mem::swap(&mut self.place, place);
    }

    /// The byte that followed there, while the bits of this byte agree with it.
    #[inline]
    pub fn expected(&self, partial: u32) -> Option<u8> {
        let bits = partial.ilog2();
        (self.place.pointer.is_some()
            && (u32::from(self.place.expected) | 256) >> (8 - bits) == partial)
            .then_some(self.place.expected)
    }

    /// Length class of the current match, 0 without one, at most 15.
    pub fn class(&self) -> usize {
        if self.place.pointer.is_none() {
            return 0;
        }
        match self.place.length {
            0 => 1,
            1..=3 => 2,
            4..=7 => 3,
            8..=11 => 4,
            12..=15 => 5,
            16..=19 => 6,
            20..=23 => 7,
            24..=27 => 8,
            28..=31 => 9,
            32..=47 => 10,
            48..=63 => 11,
            64..=95 => 12,
            96..=191 => 13,
            192..=399 => 14,
            _ => 15,
        }
    }

    /// Position of the byte that is predicted next.
    pub fn pointer(&self) -> Option<usize> {
        self.place.pointer
    }

    /// Two logits on the next bit, zero without an opinion.
    pub fn inputs(&mut self, partial: u32, inputs: &mut [i32]) {
        let Some(expected) = self.expected(partial) else {
            self.selected = None;
            inputs[..Self::INPUTS].fill(0);
            return;
        };
        let position = partial.ilog2();
        let recent = (self.place.misses.count_ones().min(3) * 4
            + u32::from(self.place.misses & 1) * 2
            + u32::from(self.place.misses & 2 != 0)) as usize;
        let context = (self.class() * 16 + recent) * 8 + position as usize;
        self.selected = Some(context);
        let counter = self.counters[context];
        let sign = if (expected >> (7 - position)) & 1 == 1 {
            1
        } else {
            -1
        };
        inputs[0] = sign * stretch(counter.p());
        inputs[1] = sign * ((counter.p22() as i32 - (1 << 21)) >> 12);
    }

    /// Learns a bit of the current byte.
    pub fn update(&mut self, partial: u32, bit: bool) {
        if let Some(context) = self.selected.take() {
            let expected = (self.place.expected >> (7 - partial.ilog2())) & 1 == 1;
            self.counters[context].update(expected == bit, 1023);
        }
    }

    /// Where [`MatchModel::next_byte`] looks behind the byte just pushed to the history. Memory is asked for it.
    pub fn seek(&self, history: &History) -> usize {
        let slot = self.slot(history);
        prefetch(self.heads.as_chunks::<4>().0, slot);
        slot
    }

    /// Where the latest position behind the last bytes is kept.
    fn slot(&self, history: &History) -> usize {
        let mut hash = match self.scope {
            Scope::File => 0,
            Scope::Stream => history.origin() as u64,
        };
        for (word, bytes) in history.recent().iter().zip([0, 8, 16]) {
            let used = self.minimum.saturating_sub(bytes).min(8) as u32;
            if used > 0 {
                hash = (hash ^ (word << (64 - 8 * used))).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                hash ^= hash >> 29;
            }
        }
        (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - self.hash_bits)) as usize
    }

    /// The byte just pushed to the history completes: follow the match or look for another at `slot`, which
    /// [`MatchModel::seek`] gave.
    pub fn next_byte(&mut self, history: &History, slot: usize) {
        let position = history.position();
        if let Some(pointer) = self.place.pointer {
            let hit = history.back(1) == self.place.expected;
            self.place.misses = (self.place.misses << 1) | u8::from(!hit);
            self.place.length = if hit {
                (self.place.length + 1).min(LONGEST)
            } else {
                0
            };
            self.place.pointer = Some(pointer + 1);
            if self.place.misses.count_ones() > TOLERATED {
                self.place.pointer = None;
            }
        }
        if position >= self.minimum {
            // A match that has just missed competes with the latest occurrence; a running one is kept.
            if self.place.pointer.is_none()
                || (self.place.length < self.minimum as u32 && self.place.misses != 0)
            {
                let candidate = u32::from_le_bytes(self.heads.as_chunks().0[slot]) as usize;
                let length = agreement(history, candidate);
                if length >= self.minimum as u32 && length > self.place.length {
                    self.place.pointer = Some(candidate);
                    self.place.length = length;
                    self.place.misses = 0;
                }
            }
            self.heads.as_chunks_mut().0[slot] = (position as u32).to_le_bytes();
        }
        if let Some(pointer) = self.place.pointer {
            if position.abs_diff(pointer) >= history.capacity() {
                self.place.pointer = None;
            }
            self.place.expected = history.at(pointer);
        }
    }
}

/// How many bytes before `candidate` equal the last ones.
fn agreement(history: &History, candidate: usize) -> u32 {
    let position = history.position();
    // Another stream of the block may have come by at a later place of the file.
    let distance = position.abs_diff(candidate);
    if candidate == 0 || distance == 0 || distance + 64 >= history.capacity() {
        return 0;
    }
    let mut length = 0;
    while length < 48 && (length as usize) < candidate {
        let back = length as usize + 1;
        if history.at(candidate - back) != history.at(position - back) {
            break;
        }
        length += 1;
    }
    length
}
