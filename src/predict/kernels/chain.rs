//! Following a chain of states while something else is computed.
//!
//! Each step of a chain waits for the step before, and each state found waits for memory. Memory
//! serves about a dozen requests of a core at a time, so a core that does nothing else stands
//! still. Therefore a kernel that has enough to compute takes a step now and then.

use crate::machine::prefetch::prefetch_range;

/// What is known of a state beside its numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Past {
    /// How many states ago the next state of its chain was; its own number if there is none.
    pub distance: u32,
    /// The token that followed the state.
    pub token: u32,
    /// 2^24 over the norm of the state.
    pub scale: u32,
}

/// A chain that leads from state to earlier state of a ring.
///
/// States are numbered from 1. Number `n` is at `n % capacity`.
#[derive(Debug)]
#[must_use = "what it leads to is found only when it is followed"]
pub struct Chain<'a> {
    /// The number of the next state; 0 at the end.
    pub next: u64,
    /// The states up to this number have been overwritten.
    pub gone: u64,
    /// States that the ring has room for; a power of two.
    pub capacity: u64,
    /// What is known of the states so far.
    pub past: &'a [Past],
    /// Their numbers, [capacity, width].
    pub states: &'a [i8],
    /// Numbers in a state.
    pub width: usize,
    /// Where the states found are.
    pub found: &'a mut Vec<u32>,
    /// How many are wanted.
    pub wanted: usize,
}

impl Chain<'_> {
    /// Finds the next `steps` states that are wanted, and asks memory for them.
    #[inline(always)]
    pub fn follow(&mut self, steps: usize) {
        for _ in 0..steps {
            if self.next <= self.gone || self.found.len() >= self.wanted {
                return;
            }
            let at = (self.next & (self.capacity - 1)) as usize;
            self.found.push(at as u32);
            prefetch_range(self.states, at * self.width..(at + 1) * self.width);
            self.next -= u64::from(self.past[at].distance);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The states that a chain finds in `steps` steps: of 11 states in a ring for 8, each linked to
    /// the state two before it, if 3 are wanted.
    fn found(next: u64, steps: usize) -> Vec<u32> {
        let past = [Past {
            distance: 2,
            ..Past::default()
        }; 8];
        let mut found = Vec::new();
        let mut chain = Chain {
            next,
            gone: 3,
            capacity: 8,
            past: &past,
            states: &[1; 16],
            width: 2,
            found: &mut found,
            wanted: 3,
        };
        chain.follow(steps);
        found
    }

    #[test]
    fn a_chain_ends_where_states_are_gone_or_enough() {
        assert_eq!(found(11, 2), [3, 1]);
        assert_eq!(found(11, usize::MAX), [3, 1, 7]);
        assert_eq!(found(6, usize::MAX), [6, 4]);
        assert!(found(3, usize::MAX).is_empty());
        assert!(found(0, usize::MAX).is_empty());
    }
}
