//! The states of bit histories: what one context has seen, in one byte.
//!
//! A state of up to four bits holds all of them. A state of more bits holds the numbers of zeros
//! and of ones, and the last bit; the larger one number is, the smaller is the limit of the other.
//! A bit that contradicts a long run reduces the number that stands for the run, so that the state
//! follows a changing source. States are numbered by how much they have seen; state 0 has seen
//! nothing.

/// Longest history that is kept exactly.
const EXACT: u32 = 4;

/// `LIMIT[n]`: the largest count of one bit beside `n` of the other.
const LIMIT: [u32; 6] = [35, 21, 13, 9, 7, 6];

/// What remains of a count when the other bit is seen.
const fn contradicted(count: u32) -> u32 {
    match count {
        0..=2 => count,
        3..=4 => 3,
        5..=7 => 4,
        8..=11 => 5,
        12..=17 => 6,
        _ => 7,
    }
}

/// Zeros, ones and the ending: all bits after a leading one in exact histories, else the last bit.
type Node = (u32, u32, u32);

const fn allowed(zeros: u32, ones: u32) -> bool {
    let (less, more) = if zeros < ones {
        (zeros, ones)
    } else {
        (ones, zeros)
    };
    less < LIMIT.len() as u32 && more <= LIMIT[less as usize]
}

/// The transitions between states, and the counts that each state stands for.
pub(super) struct States {
    next: [[u8; 256]; 2],
    seen: [(u8, u8); 256],
}

impl States {
    const fn build() -> States {
        let mut nodes: [Node; 256] = [(0, 0, 0); 256];
        let mut count = 0;
        // Exact histories, shortest first.
        let mut history = 1;
        while history < 2 << EXACT {
            let ones = u32::count_ones(history) - 1;
            let length = history.ilog2();
            nodes[count] = (length - ones, ones, history);
            count += 1;
            history += 1;
        }
        // Counted histories, by total.
        let mut total = EXACT + 1;
        while total < 64 {
            let mut zeros = 0;
            while zeros <= total {
                let ones = total - zeros;
                if allowed(zeros, ones) {
                    let mut last = 0;
                    while last < 2 {
                        if (last == 0 && zeros > 0) || (last == 1 && ones > 0) {
                            nodes[count] = (zeros, ones, last);
                            count += 1;
                        }
                        last += 1;
                    }
                }
                zeros += 1;
            }
            total += 1;
        }
        assert!(count <= 256);

        let mut states = States {
            next: [[0; 256]; 2],
            seen: [(0, 0); 256],
        };
        let mut state = 0;
        while state < count {
            let (zeros, ones, history) = nodes[state];
            states.seen[state] = (zeros as u8, ones as u8);
            let mut bit = 0;
            while bit < 2 {
                let exact = zeros + ones < EXACT;
                let (mut zeros, mut ones) = (zeros, ones);
                if bit == 1 {
                    ones += 1;
                    if !exact {
                        zeros = contradicted(zeros);
                    }
                } else {
                    zeros += 1;
                    if !exact {
                        ones = contradicted(ones);
                    }
                }
                while !allowed(zeros, ones) {
                    if zeros > ones {
                        zeros -= 1;
                    } else {
                        ones -= 1;
                    }
                }
                let wanted = if exact { history * 2 + bit } else { bit };
                // A contradiction can lead back to few enough bits for an exact history: the last
                // one with these counts that ends in this bit.
                let mut found = 0;
                let mut candidate = 0;
                while candidate < count {
                    let (z, o, h) = nodes[candidate];
                    if z == zeros && o == ones {
                        let matches = if exact {
                            h == wanted
                        } else if z + o <= EXACT {
                            h & 1 == bit
                        } else {
                            h == wanted
                        };
                        if matches {
                            found = candidate;
                        }
                    }
                    candidate += 1;
                }
                assert!(found != 0);
                states.next[bit as usize][state] = found as u8;
                bit += 1;
            }
            state += 1;
        }
        states
    }

    /// For every state, the state after one more bit.
    #[inline]
    pub(super) fn after(&self, bit: bool) -> &[u8; 256] {
        &self.next[usize::from(bit)]
    }

    /// Zeros and ones that a state remembers.
    pub(super) fn seen(&self, state: u8) -> (u32, u32) {
        let (zeros, ones) = self.seen[state as usize];
        (zeros.into(), ones.into())
    }
}

/// The tables, computed at compile time.
pub(super) static STATES: States = States::build();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_histories_are_exact() {
        let mut state = 0;
        for bit in [true, false, false, true] {
            state = STATES.after(bit)[usize::from(state)];
        }
        assert_eq!(STATES.seen(state), (2, 2));
        assert_eq!(usize::from(state), 0b11001 - 1);
    }

    #[test]
    fn runs_saturate_and_contradictions_forget() {
        let mut state = 0;
        for _ in 0..100 {
            state = STATES.after(true)[usize::from(state)];
        }
        assert_eq!(STATES.seen(state), (0, LIMIT[0]));
        let after = STATES.after(false)[usize::from(state)];
        assert_eq!(STATES.seen(after), (1, 7));
    }

    #[test]
    fn every_state_remembers_the_last_bit() {
        for state in 0..=255u8 {
            if state > 0 && STATES.seen(state) == (0, 0) {
                continue;
            }
            for bit in [false, true] {
                let (zeros, ones) = STATES.seen(STATES.after(bit)[usize::from(state)]);
                assert!(if bit { ones } else { zeros } > 0, "{state}");
            }
        }
    }
}
