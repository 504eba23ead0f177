//! Estimates the length of records: the distance at which bytes recur.

use super::byte_history::ByteHistory;

/// Longest record that is looked for.
const LONGEST: usize = 2048;

/// Whenever a byte recurs twice at the same distance, the distance gets votes; votes fade.
#[derive(Clone)]
pub(super) struct RecordLength {
    /// For each byte, its last two positions.
    seen: Vec<[u32; 2]>,
    votes: Vec<u32>,
    length: usize,
}

impl RecordLength {
    pub(super) fn new() -> RecordLength {
        RecordLength {
            seen: vec![[0; 2]; 256],
            votes: vec![0; LONGEST + 1],
            length: 1,
        }
    }

    /// The current estimate, at least 1.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// The column of a position in its record.
    pub(super) fn column(&self, position: usize) -> u32 {
        (position % self.length) as u32
    }

    /// Learns from the byte just pushed to the history.
    pub(super) fn next_byte(&mut self, history: &ByteHistory) {
        let position = history.position() as u32;
        let seen = &mut self.seen[usize::from(history.back(1))];
        let (first, second) = (
            position.wrapping_sub(seen[0]),
            seen[0].wrapping_sub(seen[1]),
        );
        if first == second && first > 1 && first as usize <= LONGEST {
            // Long distances are rarely equal by chance.
            self.votes[first as usize] += 16 + first.min(128);
        }
        *seen = [position, seen[0]];
        if position.is_multiple_of(1024) {
            let mut best = self.length;
            for (length, votes) in self.votes.iter().enumerate() {
                if *votes > self.votes[best] + self.votes[best] / 2 {
                    best = length;
                }
            }
            self.length = best;
            for votes in &mut self.votes {
                *votes -= *votes >> 3;
            }
        }
    }
}
