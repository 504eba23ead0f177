//! Bit histories of hashed contexts, and what they say about the next bit. Which contexts there are is not known here.

use super::counter::Counter;
use super::logistic::stretch_quick;
use super::state::STATES;
use super::table::{Row, Table};
use crate::machine::MachineError;

/// The histories of `N` contexts: a row of the table for each and for each nibble, and, for each context and state of a
/// history, the probability that came with it.
pub struct Histories<const N: usize> {
    table: Table,
    place: Place<N>,
    states: [u8; N],
    maps: Vec<[Counter; 256]>,
}

/// Which histories come next.
#[derive(Clone)]
pub struct Place<const N: usize> {
    /// Hashes of the contexts of this byte, and of their rows of this nibble.
    contexts: [u32; N],
    hashes: [u32; N],
    /// The rows of this nibble once they have been found.
    rows: [Row; N],
    found: bool,
}

impl<const N: usize> Place<N> {
    /// Before the first byte, where all contexts are one.
    pub fn new() -> Place<N> {
        Place {
            contexts: [0; N],
            hashes: [0; N],
            rows: [Row::default(); N],
            found: true,
        }
    }
}

impl<const N: usize> Histories<N> {
    /// Inputs they give for a bit: two logits for each context.
    pub const INPUTS: usize = 2 * N;

    /// Histories in a table of `2^table_bits` bytes.
    pub fn new(table_bits: u32) -> Result<Histories<N>, MachineError> {
        let prior = std::array::from_fn(|state| {
            let (zeros, ones) = STATES.seen(state as u8);
            let p = ((2 * ones + 1) << 22) / (2 * (zeros + ones) + 2);
            Counter::new(p.min((1 << 22) - 1), 0)
        });
        Ok(Histories {
            table: Table::new(table_bits)?,
            place: Place::new(),
            states: [0; N],
            maps: vec![prior; N],
        })
    }

    /// A copy in memory of its own.
    pub fn try_clone(&self) -> Result<Histories<N>, MachineError> {
        Ok(Histories {
            table: self.table.try_clone()?,
            place: self.place.clone(),
            states: self.states,
            maps: self.maps.clone(),
        })
    }

    /// Goes on with other histories, and leaves those that came next.
    pub fn exchange(&mut self, place: &mut Place<N>) {
        std::mem::swap(&mut self.place, place);
    }

    /// What each context has seen before the next bit, 0 for nothing.
    pub fn states(&self) -> &[u8; N] {
        &self.states
    }

    /// A byte begins, and these are the hashes of its contexts. Memory is asked for its rows, which are looked up when
    /// its first bit is predicted.
    pub fn next_byte(&mut self, contexts: [u32; N]) {
        self.place.contexts = contexts;
        self.next_nibble(0);
    }

    /// A nibble begins; `first`: the first nibble behind a one, or 0.
    pub fn next_nibble(&mut self, first: u32) {
        let salt = first.wrapping_mul(0x3d4d_51cb);
        for (hash, context) in self.place.hashes.iter_mut().zip(self.place.contexts) {
            *hash = (context ^ salt).wrapping_mul(0x9e37_79b1);
            *hash = (*hash ^ *hash >> 14).wrapping_mul(0x85eb_ca6b);
        }
        for hash in self.place.hashes {
            self.table.prefetch(hash);
        }
        self.place.found = false;
    }

    /// Looks up the rows of this nibble, if that has not been done.
    pub fn find(&mut self) {
        if self.place.found {
            return;
        }
        for (row, hash) in self.place.rows.iter_mut().zip(self.place.hashes) {
            *row = self.table.find(hash, (hash & 255) as u8);
        }
        self.place.found = true;
    }

    /// Two logits from each context on the next bit, [`Self::INPUTS`] in all; `partial`: the bits of the byte so far,
    /// behind a leading one.
    pub fn consult(&mut self, partial: u32, inputs: &mut [i32]) {
        self.find();
        let node = node(partial);
        let (pairs, _) = inputs[..Self::INPUTS].as_chunks_mut::<2>();
        let contexts =
            (pairs.iter_mut().zip(&mut self.states)).zip(self.place.rows.iter().zip(&self.maps));
        for ((pair, state), (&row, map)) in contexts {
            *state = self.table.state(row, node);
            let p22 = map[usize::from(*state)].p22();
            *pair = [stretch_quick(p22), (p22 as i32 - (1 << 21)) >> 12];
        }
    }

    /// Learns the bit just consulted about.
    pub fn learn(&mut self, partial: u32, bit: bool) {
        let node = node(partial);
        let next = STATES.after(bit);
        let contexts = (self.states.iter().zip(&self.place.rows)).zip(&mut self.maps);
        for ((&state, &row), map) in contexts {
            map[usize::from(state)].update(bit, 255);
            // A context that has seen nothing has no opinion.
            map[0] = Counter::new(1 << 21, 0);
            *self.table.state_mut(row, node) = next[usize::from(state)];
        }
    }
}

/// Where the bits of a byte so far, behind a leading one, lie in the tree of their nibble.
fn node(partial: u32) -> usize {
    let bits = partial.ilog2() & 3;
    (1 << bits | partial & ((1 << bits) - 1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_expects_what_followed_it() {
        let mut histories = Histories::<1>::new(16).unwrap();
        let mut inputs = [0; 2];
        for round in 0..20 {
            for (context, byte) in [(7, b'x'), (8, 0xa5)] {
                histories.next_byte([context]);
                let mut partial = 1;
                for position in (0..8).rev() {
                    let bit = byte >> position & 1 == 1;
                    histories.consult(partial, &mut inputs);
                    if round == 0 {
                        assert_eq!((histories.states()[0], inputs), (0, [0; 2]));
                    } else {
                        assert_eq!((inputs[0] > 0, inputs[1] > 0), (bit, bit), "{round}");
                    }
                    histories.learn(partial, bit);
                    partial = partial << 1 | u32::from(bit);
                    if position == 4 {
                        histories.next_nibble(partial);
                    }
                }
            }
        }
    }
}
