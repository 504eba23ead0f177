//! The bytes seen so far, and after which of them a token ended.

use crate::machine::MachineError;
use crate::machine::pages::Pages;

/// A ring of the last bytes; positions count from the beginning of the frame.
pub struct History {
    bytes: Pages,
    /// One flag a byte: 1 if a token ended after it.
    ends: Pages,
    place: Place,
}

/// Where the next byte goes, and what came before it.
#[derive(Clone, Default)]
pub struct Place {
    /// Where its stream began.
    origin: usize,
    position: usize,
    /// The last 24 bytes, the latest lowest.
    recent: [u64; 3],
}

impl Place {
    /// A place with nothing before it.
    pub fn new(position: usize) -> Place {
        Place {
            origin: position,
            position,
            recent: [0; 3],
        }
    }
}

impl History {
    /// Remembers the last `2^bits` bytes, and on demand where tokens ended.
    pub fn new(bits: u32, tokens: bool) -> Result<History, MachineError> {
        let ends = if tokens { 1 << bits } else { 1 };
        Ok(History {
            bytes: Pages::zeroed("the history", 1 << bits)?,
            ends: Pages::zeroed("the ends of tokens", ends)?,
            place: Place::default(),
        })
    }

    /// A copy in memory of its own.
    pub fn try_clone(&self) -> Result<History, MachineError> {
        Ok(History {
            bytes: self.bytes.try_clone()?,
            ends: self.ends.try_clone()?,
            place: self.place.clone(),
        })
    }

    /// Goes on at `place`, and leaves there where it was.
    pub fn exchange(&mut self, place: &mut Place) {
        std::mem::swap(&mut self.place, place);
    }

    /// Where the next byte goes, counted from the beginning of the frame.
    pub fn position(&self) -> usize {
        self.place.position
    }

    /// Where the bytes began that have led here without a gap.
    pub fn origin(&self) -> usize {
        self.place.origin
    }

    /// How many bytes are remembered at most.
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Appends a byte.
    pub fn push(&mut self, byte: u8) {
        let slot = self.slot(self.place.position);
        self.bytes[slot] = byte;
        let end = self.place.position & (self.ends.len() - 1);
        self.ends[end] = 0;
        self.place.position += 1;
        let [a, b, c] = self.place.recent;
        self.place.recent = [a << 8 | u64::from(byte), b << 8 | a >> 56, c << 8 | b >> 56];
    }

    /// The last 24 bytes, eight a word, the latest lowest.
    #[inline]
    pub fn recent(&self) -> [u64; 3] {
        self.place.recent
    }

    /// Notes that a token ended after the last byte.
    pub fn mark_end(&mut self) {
        let end = self.place.position.wrapping_sub(1) & (self.ends.len() - 1);
        self.ends[end] = 1;
    }

    /// The byte at a position; any position is safe, forgotten ones give other bytes.
    #[inline]
    pub fn at(&self, position: usize) -> u8 {
        self.bytes[self.slot(position)]
    }

    /// Whether a token ended after the byte at a position.
    pub fn ended_after(&self, position: usize) -> bool {
        self.ends[position & (self.ends.len() - 1)] != 0
    }

    /// The byte `distance` back: 1 is the last one. Zero before the beginning.
    #[inline]
    pub fn back(&self, distance: usize) -> u8 {
        self.at(self.place.position.wrapping_sub(distance))
    }

    #[inline]
    fn slot(&self, position: usize) -> usize {
        position & (self.bytes.len() - 1)
    }
}
