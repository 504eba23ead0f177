//! Classes of bytes: noise, text, and what is neither.

use std::ops::Range;

use super::machine_code;
use crate::container::BranchFilter;

/// The class of a run of bytes, which decides how the run may be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Noise: it is stored.
    Incompressible,
    /// None of the others: the experts code it.
    Binary,
    /// Machine code: the experts code it after a filter has rewritten it.
    Code(BranchFilter),
    /// Mostly valid UTF-8 without control characters: the language model may code it.
    Text,
}

impl Class {
    /// The filter that rewrites a run of this class.
    pub(super) fn filter(self) -> Option<BranchFilter> {
        match self {
            Class::Code(filter) => Some(filter),
            _ => None,
        }
    }
}

/// Bytes that are classified together.
const SEGMENT: usize = 16 << 10;
/// A tail shorter than this belongs to the segment before it.
const SHORTEST_TAIL: usize = 4 << 10;

/// Cuts `window` into runs of one class, in order and without gaps.
pub fn runs(window: &[u8]) -> Vec<(Range<usize>, Class)> {
    let mut runs: Vec<(Range<usize>, Class)> = Vec::new();
    let mut start = 0;
    while start < window.len() {
        let mut end = (start + SEGMENT).min(window.len());
        if window.len() - end < SHORTEST_TAIL {
            end = window.len();
        }
        let class = classify(&window[start..end]);
        match runs.last_mut() {
            Some((range, last)) if *last == class => range.end = end,
            _ => runs.push((start..end, class)),
        }
        start = end;
    }
    absorb_lone_segments(runs)
}

/// Joins a single segment inside binary data or machine code to what is around it: a model that has
/// seen nothing before gains too little from one segment of text, and a filter from one of code.
fn absorb_lone_segments(runs: Vec<(Range<usize>, Class)>) -> Vec<(Range<usize>, Class)> {
    let mut merged: Vec<(Range<usize>, Class)> = Vec::new();
    for (i, (range, class)) in runs.iter().enumerate() {
        let after = runs.get(i + 1).map(|next| next.1);
        let before = merged.last().map(|last| last.1);
        let is_lone = before == after && range.len() <= SEGMENT;
        let class = match before {
            Some(around @ (Class::Binary | Class::Code(_)))
                if is_lone && *class != Class::Incompressible =>
            {
                around
            }
            _ => *class,
        };
        match merged.last_mut() {
            Some((last, last_class)) if *last_class == class => last.end = range.end,
            _ => merged.push((range.clone(), class)),
        }
    }
    merged
}

fn classify(segment: &[u8]) -> Class {
    if looks_random(segment) {
        Class::Incompressible
    } else if looks_like_text(segment) {
        Class::Text
    } else {
        machine_code::filter(segment).map_or(Class::Binary, Class::Code)
    }
}

/// Whether `run` may not shrink at all: its histogram alone would save less than about 3 %.
pub(super) fn is_nearly_random(run: &[u8]) -> bool {
    equal_pairs(run) <= uniform_pairs(run) / 100 * 130
}

/// Pairs of equal bytes, a measure of how uneven the histogram is.
fn equal_pairs(bytes: &[u8]) -> u64 {
    let mut counts = [0u64; 256];
    for &byte in bytes {
        counts[usize::from(byte)] += 1;
    }
    counts.iter().map(|count| count * count).sum()
}

/// The average of [`equal_pairs`] for as many uniformly random bytes.
fn uniform_pairs(bytes: &[u8]) -> u64 {
    let n = bytes.len() as u64;
    n * n / 256 + n
}

/// Whether neither the histogram nor repeated strings give an expert anything to learn.
fn looks_random(segment: &[u8]) -> bool {
    // 3 % more pairs than uniform bytes have are 0.04 bits a byte of collision entropy: the
    // histogram can save at most 0.5 %.
    if segment.len() < 512 || equal_pairs(segment) > uniform_pairs(segment) / 100 * 103 {
        return false;
    }
    // Counts 4-byte strings seen before, found through a small table: noise has almost none.
    let mut last = vec![u32::MAX; 1 << 14];
    let mut repeats = 0;
    for (i, string) in segment.windows(4).enumerate() {
        let string = u32::from_le_bytes([string[0], string[1], string[2], string[3]]);
        let slot = &mut last[(string.wrapping_mul(0x9E37_79B1) >> 18) as usize];
        let before = std::mem::replace(slot, i as u32);
        if before != u32::MAX && segment[before as usize..].starts_with(&string.to_le_bytes()) {
            repeats += 1;
        }
    }
    repeats * 256 < segment.len()
}

/// Whether at most one byte in 64 is invalid UTF-8 or a control character that text does not use.
fn looks_like_text(segment: &[u8]) -> bool {
    let mut strange = 0;
    let mut rest = segment;
    loop {
        let (valid, invalid) = match std::str::from_utf8(rest) {
            Ok(valid) => (valid.as_bytes(), 0),
            Err(error) => (
                &rest[..error.valid_up_to()],
                error
                    .error_len()
                    .unwrap_or(rest.len() - error.valid_up_to()),
            ),
        };
        strange += valid.iter().filter(|byte| is_strange(**byte)).count() + invalid;
        rest = &rest[valid.len() + invalid..];
        if rest.is_empty() {
            return strange * 64 <= segment.len();
        }
    }
}

fn is_strange(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b) || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x1234_5678_9abc_def1u64;
        (0..len)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect()
    }

    fn prose(len: usize) -> Vec<u8> {
        "It was a bright cold day, naïve and clear.\n"
            .bytes()
            .cycle()
            .take(len)
            .collect()
    }

    fn records(len: usize) -> Vec<u8> {
        (0..len)
            .map(|i| [0, 0x48, 0x79, 0xe5, 0xc3, (i / 97) as u8][i % 6])
            .collect()
    }

    fn machine_code(len: usize) -> Vec<u8> {
        (0..len)
            .map(|i| [0, 0x48, 0x89, 0xe5, 0xc3, (i / 97) as u8][i % 6])
            .collect()
    }

    const CODE: Class = Class::Code(BranchFilter::X86_64);

    #[test]
    fn kinds_are_told_apart() {
        assert_eq!(classify(&noise(SEGMENT)), Class::Incompressible);
        assert_eq!(machine_code::filter(&noise(SEGMENT)), None);
        assert_eq!(classify(&prose(SEGMENT)), Class::Text);
        assert_eq!(classify(&records(SEGMENT)), Class::Binary);
        assert_eq!(classify(&machine_code(SEGMENT)), CODE);
    }

    #[test]
    fn repeated_noise_is_compressible() {
        let mut twice = noise(SEGMENT / 2);
        twice.extend_from_within(..);
        assert_eq!(classify(&twice), Class::Binary);
    }

    #[test]
    fn runs_cover_the_window_and_change_with_the_kind() {
        let mut window = prose(3 * SEGMENT);
        window.extend(noise(2 * SEGMENT));
        window.extend(machine_code(2 * SEGMENT + 100));
        let runs = runs(&window);
        let classes: Vec<Class> = runs.iter().map(|run| run.1).collect();
        assert_eq!(classes, [Class::Text, Class::Incompressible, CODE]);
        assert_eq!(runs[0].0, 0..3 * SEGMENT);
        assert_eq!(runs[2].0.end, window.len());
        assert!(runs.windows(2).all(|pair| pair[0].0.end == pair[1].0.start));
    }

    #[test]
    fn a_lone_segment_stays_with_what_is_around_it() {
        let kinds = [prose, records, machine_code];
        for (around, class) in [
            (records as fn(usize) -> _, Class::Binary),
            (machine_code, CODE),
        ] {
            for alone in kinds {
                let mut window = around(2 * SEGMENT);
                window.extend(alone(SEGMENT));
                window.extend(around(2 * SEGMENT));
                assert_eq!(runs(&window), [(0..5 * SEGMENT, class)]);
            }
            let mut window = around(2 * SEGMENT);
            window.extend(noise(SEGMENT));
            window.extend(around(2 * SEGMENT));
            assert_eq!(runs(&window).len(), 3);
        }
    }
}
