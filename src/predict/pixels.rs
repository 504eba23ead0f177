//! Pixels of a bitmap: bits that depend on the bits beside and above them.
//!
//! Active where records are rows long enough and much of the recent data is blank (all zeros or all ones).

use super::counter::Counter;
use super::history::History;
use super::logistic::stretch_quick;
use crate::machine::{MachineError, memory};

/// Shortest row, in bytes.
const SHORTEST: usize = 12;

/// What memory is asked for.
const WHAT: &str = "the pixel expert";

/// Context bits of the two neighbourhoods.
const BITS: [u32; 2] = [17, 18];

/// Two neighbourhoods of the next pixel.
pub struct Pixels {
    counters: [Vec<Counter>; 2],
    selected: [usize; 2],
    place: Place,
}

/// The pixels around the next one.
#[derive(Clone, Default)]
pub struct Place {
    active: bool,
    /// Share of blank bytes of late, 16 bits.
    blank: u32,
    /// This row so far, and the three bytes around the next one in the rows above, the latest lowest.
    row: u32,
    above: [u32; 3],
}

impl Pixels {
    /// Inputs it gives for a bit.
    pub const INPUTS: usize = 2;

    pub fn new() -> Result<Pixels, MachineError> {
        let counters = |bits: u32| memory::filled(WHAT, 1 << bits, Counter::new(1 << 21, 0));
        Ok(Pixels {
            counters: [counters(BITS[0])?, counters(BITS[1])?],
            selected: [0; 2],
            place: Place::default(),
        })
    }

    /// A copy in memory of its own.
    pub fn try_clone(&self) -> Result<Pixels, MachineError> {
        let [first, second] = &self.counters;
        Ok(Pixels {
            counters: [
                memory::copied(WHAT, first, 0)?,
                memory::copied(WHAT, second, 0)?,
            ],
            selected: self.selected,
            place: self.place.clone(),
        })
    }

    /// Goes on at `place`, and leaves there where it was.
    pub fn exchange(&mut self, place: &mut Place) {
        std::mem::swap(&mut self.place, place);
    }

    /// A small context (below 256) while active: the nearest pixels.
    pub fn nearest(&self) -> Option<usize> {
        self.place.active.then_some(self.selected[0] & 255)
    }

    /// Takes in the byte just pushed to the history; `length`: bytes of a row.
    pub fn next_byte(&mut self, history: &History, length: usize) {
        let byte = history.back(1);
        let blank = u32::from(byte == 0 || byte == 255) << 16;
        self.place.blank = self.place.blank - (self.place.blank >> 7) + (blank >> 7);
        self.place.active = length >= SHORTEST && self.place.blank > 1 << 14;
        if self.place.active {
            self.place.row = history.recent()[0] as u32;
            for (i, above) in self.place.above.iter_mut().enumerate() {
                let distance = (i + 1) * length;
                *above = u32::from(history.back(distance + 1)) << 16
                    | u32::from(history.back(distance)) << 8
                    | u32::from(history.back(distance - 1));
            }
        }
    }

    /// Two logits on the next bit, zero when inactive. `partial`: bits of this byte behind a leading one.
    #[inline]
    pub fn inputs(&mut self, partial: u32, inputs: &mut [i32]) {
        if !self.place.active {
            inputs[..Self::INPUTS].fill(0);
            return;
        }
        let bits = partial.ilog2();
        let row = self.place.row << bits | partial & ((1 << bits) - 1);
        // `width` pixels of a row above, `right` of them to the right of the next one.
        let above = |i: usize, width: u32, right: u32| {
            self.place.above[i] >> (15 - bits - right) & ((1 << width) - 1)
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
            *input = stretch_quick(counters[selected].p22());
        }
    }

    /// Learns the bit.
    #[inline]
    pub fn update(&mut self, bit: bool) {
        if self.place.active {
            for (counters, &selected) in self.counters.iter_mut().zip(&self.selected) {
                counters[selected].update(bit, 255);
            }
        }
    }
}
