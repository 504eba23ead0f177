//! The last bytes of the file, and after which of them a token ended.

use crate::machine::MachineError;
use crate::machine::pages::Pages;

/// A ring of the last bytes; positions count from the beginning of the frame.
pub(super) struct ByteHistory {
    bytes: Pages,
    /// One flag a byte: 1 if a token ended after it.
    ends: Pages,
    stream: StreamPosition,
}

/// A stream's position in the file, and the bytes just before it.
#[derive(Clone, Default)]
pub(super) struct StreamPosition {
    /// Where the stream began.
    origin: usize,
    position: usize,
    /// The last 24 bytes, the latest lowest.
    recent: [u64; 3],
}

impl StreamPosition {
    /// The state of a stream that begins at `position`.
    pub(super) fn new(position: usize) -> StreamPosition {
        StreamPosition {
            origin: position,
            position,
            recent: [0; 3],
        }
    }
}

impl ByteHistory {
    /// A history of the last `2^bits` bytes; with `tokens`, also of where tokens ended.
    pub(super) fn new(bits: u32, tokens: bool) -> Result<ByteHistory, MachineError> {
        let ends = if tokens { 1 << bits } else { 1 };
        Ok(ByteHistory {
            bytes: Pages::zeroed("the history", 1 << bits)?,
            ends: Pages::zeroed("the ends of tokens", ends)?,
            stream: StreamPosition::default(),
        })
    }

    /// Expects that the history will be used in most places.
    pub(super) fn prefer_huge(&mut self) {
        self.bytes.prefer_huge();
        self.ends.prefer_huge();
    }

    /// A copy in memory of its own.
    pub(super) fn try_clone(&self) -> Result<ByteHistory, MachineError> {
        Ok(ByteHistory {
            bytes: self.bytes.try_clone()?,
            ends: self.ends.try_clone()?,
            stream: self.stream.clone(),
        })
    }

    /// Swaps the current stream with `other`.
    pub(super) fn exchange(&mut self, other: &mut StreamPosition) {
        std::mem::swap(&mut self.stream, other);
    }

    /// Where the next byte goes, counted from the beginning of the frame.
    pub(super) fn position(&self) -> usize {
        self.stream.position
    }

    /// Where the current stream began.
    pub(super) fn origin(&self) -> usize {
        self.stream.origin
    }

    /// How many bytes are remembered at most.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Appends a byte.
    pub(super) fn push(&mut self, byte: u8) {
        let slot = self.slot(self.stream.position);
        *self.bytes.part_mut(slot) = [byte];
        let end = self.stream.position & (self.ends.len() - 1);
        *self.ends.part_mut(end) = [0];
        self.stream.position += 1;
        let [a, b, c] = self.stream.recent;
        self.stream.recent = [a << 8 | u64::from(byte), b << 8 | a >> 56, c << 8 | b >> 56];
    }

    /// The last 24 bytes, eight a word, the latest lowest.
    #[inline]
    pub(super) fn recent(&self) -> [u64; 3] {
        self.stream.recent
    }

    /// Notes that a token ended after the last byte.
    pub(super) fn mark_end(&mut self) {
        let end = self.stream.position.wrapping_sub(1) & (self.ends.len() - 1);
        *self.ends.part_mut(end) = [1];
    }

    /// The byte at a position. A position that the ring no longer holds gives the byte that
    /// replaced it.
    #[inline]
    pub(super) fn at(&self, position: usize) -> u8 {
        self.bytes[self.slot(position)]
    }

    /// Whether a token ended after the byte at a position.
    pub(super) fn ended_after(&self, position: usize) -> bool {
        self.ends[position & (self.ends.len() - 1)] != 0
    }

    /// The byte `distance` back: 1 is the last one. Zero before the beginning.
    #[inline]
    pub(super) fn back(&self, distance: usize) -> u8 {
        self.at(self.stream.position.wrapping_sub(distance))
    }

    #[inline]
    fn slot(&self, position: usize) -> usize {
        position & (self.bytes.len() - 1)
    }
}
