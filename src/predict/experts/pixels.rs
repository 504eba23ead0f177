//! The expert on bitmaps: predicts a bit from the bits beside and above it.
//!
//! It is active where records are as long as a row of pixels can be and much of the recent data is
//! blank, all zeros or all ones.

use super::byte_history::ByteHistory;
use crate::machine::MachineError;
use crate::predict::mix::counter::Counter;
use crate::predict::mix::counter_table::CounterTable;
use crate::predict::mix::logistic::stretch_quick;

/// Shortest row, in bytes.
const SHORTEST: usize = 12;

/// What memory is asked for.
const WHAT: &str = "the pixel expert";

/// Context bits of the two neighbourhoods.
const BITS: [u32; 2] = [17, 18];

/// A counter at first.
const FIRST: Counter = Counter::new(1 << 21, 0);

/// Two neighbourhoods of the next pixel.
pub(super) struct Pixels {
    counters: [CounterTable; 2],
    selected: [usize; 2],
    around: Neighbourhood,
}

/// The pixels around the next one.
#[derive(Clone, Default)]
pub(super) struct Neighbourhood {
    active: bool,
    /// Recent share of blank bytes, 16 bits.
    blank: u32,
    /// The last four bytes of this row, and of each of three rows above the three bytes around the
    /// next one, the latest lowest.
    row: u32,
    above: [u32; 3],
}

impl Pixels {
    /// Inputs it gives for a bit.
    pub(super) const INPUTS: usize = 2;

    pub(super) fn new() -> Result<Pixels, MachineError> {
        let counters = |bits: u32| CounterTable::new(WHAT, 1 << bits);
        Ok(Pixels {
            counters: [counters(BITS[0])?, counters(BITS[1])?],
            selected: [0; 2],
            around: Neighbourhood::default(),
        })
    }

    /// A copy in memory of its own.
    pub(super) fn try_clone(&self) -> Result<Pixels, MachineError> {
        let [first, second] = &self.counters;
        Ok(Pixels {
            counters: [first.try_clone()?, second.try_clone()?],
            selected: self.selected,
            around: self.around.clone(),
        })
    }

    /// Swaps the current neighbourhood with that of another stream.
    pub(super) fn exchange(&mut self, other: &mut Neighbourhood) {
        std::mem::swap(&mut self.around, other);
    }

    /// The nearest pixels as a context below 256, while active.
    pub(super) fn nearest(&self) -> Option<usize> {
        self.around.active.then_some(self.selected[0] & 255)
    }

    /// Moves on after the byte just pushed to the history; a row has `length` bytes.
    pub(super) fn next_byte(&mut self, history: &ByteHistory, length: usize) {
        let byte = history.back(1);
        let blank = u32::from(byte == 0 || byte == 255) << 16;
        self.around.blank = self.around.blank - (self.around.blank >> 7) + (blank >> 7);
        self.around.active = length >= SHORTEST && self.around.blank > 1 << 14;
        if self.around.active {
            self.around.row = history.recent()[0] as u32;
            for (i, above) in self.around.above.iter_mut().enumerate() {
                let distance = (i + 1) * length;
                *above = u32::from(history.back(distance + 1)) << 16
                    | u32::from(history.back(distance)) << 8
                    | u32::from(history.back(distance - 1));
            }
        }
    }

    /// Writes two inputs for the next bit, zero while inactive. `partial` is the bits of the byte
    /// so far, after a leading one.
    #[inline]
    pub(super) fn inputs(&mut self, partial: u32, inputs: &mut [i32]) {
        if !self.around.active {
            inputs[..Self::INPUTS].fill(0);
            return;
        }
        let bits = partial.ilog2();
        let row = self.around.row << bits | partial & ((1 << bits) - 1);
        // `width` pixels of a row above, `right` of them to the right of the next one.
        let above = |i: usize, width: u32, right: u32| {
            self.around.above[i] >> (15 - bits - right) & ((1 << width) - 1)
        };
        let nearest = row & 7 | above(0, 5, 2) << 3;
        self.selected = [
            (nearest
                | (row >> 3 & 31) << 8
                | (above(0, 9, 4) >> 7 | (above(0, 9, 4) & 3) << 2) << 13) as usize,
            (row & 15 | above(0, 7, 3) << 4 | above(1, 5, 2) << 11 | above(2, 2, 0) << 16) as usize,
        ];
        for ((input, counters), &selected) in
            inputs.iter_mut().zip(&self.counters).zip(&self.selected)
        {
            *input = stretch_quick(counters.get(selected, FIRST).p22());
        }
    }

    /// Learns the bit.
    #[inline]
    pub(super) fn update(&mut self, bit: bool) {
        if self.around.active {
            for (counters, &selected) in self.counters.iter_mut().zip(&self.selected) {
                let mut counter = counters.get(selected, FIRST);
                counter.update(bit, 255);
                counters.set(selected, FIRST, counter);
            }
        }
    }
}
