//! Which machine's code a segment holds.

use crate::container::BranchFilter;

/// The filter for a segment of machine code; `None` if it holds none that is known.
pub(super) fn filter(segment: &[u8]) -> Option<BranchFilter> {
    if is_arm64(segment) {
        return Some(BranchFilter::Arm64);
    }
    let x86 = X86::count(segment);
    let is_frequent = |count: usize, among: usize| count * among > segment.len();
    if is_frequent(x86.wide_moves, 160) {
        Some(BranchFilter::X86_64)
    } else if is_frequent(x86.near_calls, 400) && x86.near_calls * 4 >= x86.calls * 3 {
        Some(BranchFilter::X86)
    } else {
        None
    }
}

/// What marks code of x86.
#[derive(Default)]
struct X86 {
    /// Moves of 64 bits: the most frequent instructions of 64-bit code, and rare elsewhere.
    wide_moves: usize,
    /// Bytes with the value of the opcode of a call.
    calls: usize,
    /// Those whose distance is less than 2^24; of random bytes, one in 128.
    near_calls: usize,
}

impl X86 {
    fn count(segment: &[u8]) -> X86 {
        let mut counts = X86::default();
        for window in segment.windows(5) {
            match window[..2] {
                [0x48 | 0x4c, 0x89 | 0x8b | 0x8d] => counts.wide_moves += 1,
                [0xe8, _] => {
                    counts.calls += 1;
                    // A distance that is small or a multiple of 256 is rather a number in a table.
                    let is_number = window[1] == 0 || window[2..4] == [0; 2];
                    let is_near = matches!(window[4], 0 | 0xff) && !is_number;
                    counts.near_calls += usize::from(is_near);
                }
                _ => {}
            }
        }
        counts
    }
}

/// Whether most words are frequent instructions of ARM64. Runs begin where segments do, and
/// segments at multiples of four.
fn is_arm64(segment: &[u8]) -> bool {
    /// The highest bytes of moves, additions, loads, stores, comparisons, calls and jumps, and of
    /// addresses of pages. One random byte in nine is one of them.
    const FREQUENT: [u8; 28] = [
        0x14, 0x17, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x39, 0x52, 0x54, 0x71, 0x90, 0x91, 0x94, 0x97,
        0xa8, 0xa9, 0xaa, 0xb0, 0xb4, 0xb5, 0xb9, 0xd0, 0xd2, 0xd6, 0xf0, 0xf1, 0xf9,
    ];
    let words = segment.as_chunks::<4>().0;
    let frequent = words.iter().filter(|word| FREQUENT.contains(&word[3]));
    frequent.count() * 5 >= words.len() * 3 && words.len() >= 64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `len` bytes of a pattern.
    fn cycle(pattern: &[u8], len: usize) -> Vec<u8> {
        pattern.iter().copied().cycle().take(len).collect()
    }

    #[test]
    fn code_is_told_from_data() {
        let wide = cycle(
            &[0x48, 0x89, 0xe5, 0xe8, 0x10, 0x20, 0, 0, 0x5d, 0xc3],
            16_384,
        );
        assert_eq!(filter(&wide), Some(BranchFilter::X86_64));
        let narrow = cycle(
            &[0x55, 0x89, 0xe5, 0xe8, 0x10, 0x20, 0, 0, 0x5d, 0xc3],
            16_384,
        );
        assert_eq!(filter(&narrow), Some(BranchFilter::X86));
        // stp x29, x30, [sp, #-16]!; mov x29, sp; bl; ret
        let words = [0xa9bf_7bfdu32, 0x9100_03fd, 0x9400_1234, 0xd65f_03c0];
        let arm: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(filter(&cycle(&arm, 16_384)), Some(BranchFilter::Arm64));
        // Numbers of 32 bits, many of which are 0xe8.
        assert_eq!(
            filter(&cycle(&[0xe8, 0, 0, 0, 0xe8, 3, 0, 0], 16_384)),
            None
        );
        assert_eq!(filter(&[]), None);
    }
}
