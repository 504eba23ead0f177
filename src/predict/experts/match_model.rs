//! The match model: finds where the last bytes occurred before, and predicts what followed there.
//!
//! The latest occurrence of the last `minimum` bytes is found by a hash and verified byte by byte.
//! The match grows while the bytes after it agree. After a miss it is kept for some bytes, because
//! two records often differ in one field only.

use super::byte_history::ByteHistory;
use crate::machine::MachineError;
use crate::machine::pages::Pages;
use crate::machine::prefetch::prefetch;
use crate::predict::mix::counter::Counter;
use crate::predict::mix::logistic::stretch;

/// Match lengths are counted up to here.
const LONGEST: u32 = 400;

/// Misses in the last eight predicted bytes after which a match is given up.
const TOLERATED: u32 = 4;

/// Where a match is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// In everything seen.
    File,
    /// In what came before in the same stream: a short match predicts best what is near.
    Stream,
}

/// A match model: at most one match is followed at a time.
pub(super) struct MatchModel {
    minimum: usize,
    scope: Scope,
    /// For each hash the latest position with it, in four bytes.
    heads: Pages,
    hash_bits: u32,
    current: Match,
    counters: Vec<Counter>,
    selected: Option<usize>,
}

/// The match being followed, if there is one.
#[derive(Clone, Default)]
pub(super) struct Match {
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
    pub(super) const INPUTS: usize = 2;

    pub(super) fn new(
        minimum: usize,
        scope: Scope,
        hash_bits: u32,
    ) -> Result<MatchModel, MachineError> {
        Ok(MatchModel {
            minimum,
            scope,
            heads: Pages::zeroed("a match model", 4 << hash_bits)?,
            hash_bits,
            current: Match::default(),
            counters: vec![Counter::new(3 << 20, 0); 16 * 16 * 8],
            selected: None,
        })
    }

    /// Expects that the table will be used in most places.
    pub(super) fn prefer_huge(&mut self) {
        self.heads.prefer_huge();
    }

    /// A copy in memory of its own.
    pub(super) fn try_clone(&self) -> Result<MatchModel, MachineError> {
        Ok(MatchModel {
            heads: self.heads.try_clone()?,
            current: self.current.clone(),
            counters: self.counters.clone(),
            ..*self
        })
    }

    /// Swaps the current match with that of another stream.
    pub(super) fn exchange(&mut self, other: &mut Match) {
        std::mem::swap(&mut self.current, other);
    }

    /// The byte that the match predicts, as long as the bits of the current byte agree with it.
    #[inline]
    pub(super) fn expected(&self, partial: u32) -> Option<u8> {
        let bits = partial.ilog2();
        (self.current.pointer.is_some()
            && (u32::from(self.current.expected) | 256) >> (8 - bits) == partial)
            .then_some(self.current.expected)
    }

    /// Length class of the current match, 0 without one, at most 15.
    pub(super) fn class(&self) -> usize {
        if self.current.pointer.is_none() {
            return 0;
        }
        match self.current.length {
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
    pub(super) fn pointer(&self) -> Option<usize> {
        self.current.pointer
    }

    /// Writes two inputs for the next bit, zero without a prediction.
    pub(super) fn inputs(&mut self, partial: u32, inputs: &mut [i32]) {
        let Some(expected) = self.expected(partial) else {
            self.selected = None;
            inputs[..Self::INPUTS].fill(0);
            return;
        };
        let position = partial.ilog2();
        let recent = (self.current.misses.count_ones().min(3) * 4
            + u32::from(self.current.misses & 1) * 2
            + u32::from(self.current.misses & 2 != 0)) as usize;
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
    pub(super) fn update(&mut self, partial: u32, bit: bool) {
        if let Some(context) = self.selected.take() {
            let expected = (self.current.expected >> (7 - partial.ilog2())) & 1 == 1;
            self.counters[context].update(expected == bit, 1023);
        }
    }

    /// The slot that [`MatchModel::next_byte`] will look up after the byte just pushed to the
    /// history. It is prefetched.
    pub(super) fn seek(&self, history: &ByteHistory) -> usize {
        let slot = self.slot(history);
        prefetch(self.heads.as_chunks::<4>().0, slot);
        slot
    }

    /// The slot of the last bytes.
    fn slot(&self, history: &ByteHistory) -> usize {
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

    /// Follows the match past the byte just pushed to the history, or looks for another at `slot`,
    /// which [`MatchModel::seek`] gave.
    pub(super) fn next_byte(&mut self, history: &ByteHistory, slot: usize) {
        let position = history.position();
        if let Some(pointer) = self.current.pointer {
            let hit = history.back(1) == self.current.expected;
            self.current.misses = (self.current.misses << 1) | u8::from(!hit);
            self.current.length = if hit {
                (self.current.length + 1).min(LONGEST)
            } else {
                0
            };
            self.current.pointer = Some(pointer + 1);
            if self.current.misses.count_ones() > TOLERATED {
                self.current.pointer = None;
            }
        }
        if position >= self.minimum {
            // A match that has just missed competes with the latest occurrence.
            if self.current.pointer.is_none()
                || (self.current.length < self.minimum as u32 && self.current.misses != 0)
            {
                let candidate = u32::from_le_bytes(self.heads.as_chunks().0[slot]) as usize;
                let length = agreement(history, candidate);
                if length >= self.minimum as u32 && length > self.current.length {
                    self.current.pointer = Some(candidate);
                    self.current.length = length;
                    self.current.misses = 0;
                }
            }
            *self.heads.part_mut(slot) = (position as u32).to_le_bytes();
        }
        if let Some(pointer) = self.current.pointer {
            if position.abs_diff(pointer) >= history.capacity() {
                self.current.pointer = None;
            }
            self.current.expected = history.at(pointer);
        }
    }
}

/// How many bytes before `candidate` equal the last ones.
fn agreement(history: &ByteHistory, candidate: usize) -> u32 {
    let position = history.position();
    // Another stream of the block may have been here, at a later position of the file.
    let distance = position.abs_diff(candidate);
    if candidate == 0 || distance == 0 || distance + 64 >= history.capacity() {
        return 0;
    }
    let mut length = 0;
    while length < 48 && (length as usize) < candidate {
        let back = length as usize + 1;
        // A stream near the beginning looks back beyond it, into the end of the ring.
        if history.at(candidate - back) != history.at(position.wrapping_sub(back)) {
            break;
        }
        length += 1;
    }
    length
}
