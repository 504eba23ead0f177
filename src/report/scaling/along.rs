//! The cost of a file along its length: cross-entropy in segments that double.

/// Bytes of the first segment. Each of the others begins where the one before ends, and ends at
/// twice the distance from the beginning of the file.
const FIRST: u64 = 512;

/// Bytes of a file, or of several beginning side by side, and their cost, segment by segment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Along {
    /// The segments, from the beginning of the file.
    pub segments: Vec<Segment>,
    /// Length of the longest file.
    pub longest: u64,
}

/// The part of files between two distances from their beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Segment {
    /// Original bytes, of all files together.
    pub bytes: u64,
    /// Their cost in bits.
    pub bits: f64,
}

impl Along {
    /// Adds the cost of the next bytes of a file whose first `before` bytes have been added.
    /// Whatever reaches over the end of a segment is divided by its length.
    pub(super) fn push(&mut self, before: u64, bytes: u64, bits: f64) {
        let (mut start, end) = (before, before + bytes);
        while start < end {
            let index = index(start);
            let next = segment_end(index).min(end);
            if index == self.segments.len() {
                self.segments.push(Segment::default());
            }
            self.segments[index].bytes += next - start;
            self.segments[index].bits += bits * (next - start) as f64 / bytes as f64;
            start = next;
        }
        self.longest = self.longest.max(end);
    }

    /// Adds another file.
    pub(super) fn add(&mut self, other: &Along) {
        let len = self.segments.len().max(other.segments.len());
        self.segments.resize(len, Segment::default());
        for (sum, segment) in self.segments.iter_mut().zip(&other.segments) {
            sum.bytes += segment.bytes;
            sum.bits += segment.bits;
        }
        self.longest = self.longest.max(other.longest);
    }

    /// Where the segment with this index begins and ends, in the longest file.
    pub(super) fn range(&self, index: usize) -> (u64, u64) {
        let start = index.checked_sub(1).map_or(0, segment_end);
        (start, segment_end(index).min(self.longest))
    }
}

/// The index of the segment that holds a byte.
fn index(byte: u64) -> usize {
    (byte / FIRST)
        .checked_ilog2()
        .map_or(0, |log| log as usize + 1)
}

fn segment_end(index: usize) -> u64 {
    FIRST << index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_double_and_share_what_lies_on_their_border() {
        let mut along = Along::default();
        along.push(0, 500, 1000.0);
        along.push(500, 24, 48.0);
        along.push(524, 1000, 10.0);
        let bytes: Vec<u64> = along.segments.iter().map(|one| one.bytes).collect();
        assert_eq!(bytes, [512, 512, 500]);
        assert!((along.segments[0].bits - 1024.0).abs() < 1e-9);
        assert_eq!(along.range(0), (0, 512));
        assert_eq!(along.range(2), (1024, 1524));
        let mut sum = along.clone();
        let mut short = Along::default();
        short.push(0, 100, 7.0);
        sum.add(&short);
        short.add(&along);
        assert_eq!(sum, short);
        assert_eq!((sum.segments[0].bytes, sum.longest), (612, 1524));
    }
}
