//! The bit histories of hashed contexts, and the predictions that follow from them.
//!
//! A bit history is a state of one byte that summarises the bits seen in a context. The caller
//! chooses the contexts.

use super::bit_states::STATES;
use super::hash_table::{HashTable, Row};
use crate::machine::MachineError;
use crate::predict::mix::counter::Counter;
use crate::predict::mix::logistic::stretch_quick;

/// The bit histories of `N` contexts. Each context has a row of the table for each nibble, and a
/// map from states to the probability of a one after that state.
pub(super) struct BitHistories<const N: usize> {
    table: HashTable,
    selected: SelectedRows<N>,
    states: [u8; N],
    maps: Vec<[Counter; 256]>,
}

/// The histories that predict the current nibble of a stream.
#[derive(Clone)]
pub(super) struct SelectedRows<const N: usize> {
    /// Hashes of the contexts of this byte, and of their rows of this nibble.
    contexts: [u32; N],
    hashes: [u32; N],
    /// The rows of this nibble once they have been found.
    rows: [Row; N],
    found: bool,
}

impl<const N: usize> SelectedRows<N> {
    /// Those before the first byte, where all contexts share one row.
    pub(super) fn new() -> SelectedRows<N> {
        SelectedRows {
            contexts: [0; N],
            hashes: [0; N],
            rows: [Row::default(); N],
            found: true,
        }
    }
}

impl<const N: usize> BitHistories<N> {
    /// Inputs of the mixer for a bit: two for each context.
    pub(super) const INPUTS: usize = 2 * N;

    /// `BitHistories` in a table of `2^table_bits` bytes.
    pub(super) fn new(table_bits: u32) -> Result<BitHistories<N>, MachineError> {
        let prior = std::array::from_fn(|state| {
            let (zeros, ones) = STATES.seen(state as u8);
            let p = ((2 * ones + 1) << 22) / (2 * (zeros + ones) + 2);
            Counter::new(p.min((1 << 22) - 1), 0)
        });
        Ok(BitHistories {
            table: HashTable::new(table_bits)?,
            selected: SelectedRows::new(),
            states: [0; N],
            maps: vec![prior; N],
        })
    }

    /// Expects that the table will be used in most places.
    pub(super) fn prefer_huge(&mut self) {
        self.table.prefer_huge();
    }

    /// A copy in memory of its own.
    pub(super) fn try_clone(&self) -> Result<BitHistories<N>, MachineError> {
        Ok(BitHistories {
            table: self.table.try_clone()?,
            selected: self.selected.clone(),
            states: self.states,
            maps: self.maps.clone(),
        })
    }

    /// Swaps the selected histories with those of another stream.
    pub(super) fn exchange(&mut self, other: &mut SelectedRows<N>) {
        std::mem::swap(&mut self.selected, other);
    }

    /// The state of each context before the next bit; 0 has seen nothing.
    pub(super) fn states(&self) -> &[u8; N] {
        &self.states
    }

    /// Starts a byte whose contexts have these hashes. The rows are prefetched now and looked up
    /// when the first bit is predicted.
    pub(super) fn next_byte(&mut self, contexts: [u32; N]) {
        self.selected.contexts = contexts;
        self.next_nibble(0);
    }

    /// Starts a nibble. `first` is the first nibble of the byte after a leading one, or 0.
    pub(super) fn next_nibble(&mut self, first: u32) {
        let salt = first.wrapping_mul(0x3d4d_51cb);
        for (hash, context) in self.selected.hashes.iter_mut().zip(self.selected.contexts) {
            *hash = (context ^ salt).wrapping_mul(0x9e37_79b1);
            *hash = (*hash ^ *hash >> 14).wrapping_mul(0x85eb_ca6b);
        }
        for hash in self.selected.hashes {
            self.table.prefetch(hash);
        }
        self.selected.found = false;
    }

    /// Looks up the rows of this nibble, unless that has been done.
    pub(super) fn find(&mut self) {
        if self.selected.found {
            return;
        }
        for (row, hash) in self.selected.rows.iter_mut().zip(self.selected.hashes) {
            *row = self.table.find(hash, (hash & 255) as u8);
        }
        self.selected.found = true;
    }

    /// Writes the two inputs of each context for the next bit, [`Self::INPUTS`] in all. `partial`
    /// is the bits of the byte so far, after a leading one.
    pub(super) fn predict(&mut self, partial: u32, inputs: &mut [i32]) {
        self.find();
        let node = node(partial);
        let (pairs, _) = inputs[..Self::INPUTS].as_chunks_mut::<2>();
        let contexts =
            (pairs.iter_mut().zip(&mut self.states)).zip(self.selected.rows.iter().zip(&self.maps));
        for ((pair, state), (&row, map)) in contexts {
            *state = self.table.state(row, node);
            let p22 = map[usize::from(*state)].p22();
            *pair = [stretch_quick(p22), (p22 as i32 - (1 << 21)) >> 12];
        }
    }

    /// Learns the bit just predicted.
    pub(super) fn learn(&mut self, partial: u32, bit: bool) {
        let node = node(partial);
        let next = STATES.after(bit);
        let contexts = (self.states.iter().zip(&self.selected.rows)).zip(&mut self.maps);
        for ((&state, &row), map) in contexts {
            map[usize::from(state)].update(bit, 255);
            // A context that has seen nothing predicts nothing.
            map[0] = Counter::new(1 << 21, 0);
            *self.table.state_mut(row, node) = next[usize::from(state)];
        }
    }
}

/// The node of the bits so far in the binary tree of their nibble.
fn node(partial: u32) -> usize {
    let bits = partial.ilog2() & 3;
    (1 << bits | partial & ((1 << bits) - 1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_expects_what_followed_it() {
        let mut histories = BitHistories::<1>::new(16).unwrap();
        let mut inputs = [0; 2];
        for round in 0..20 {
            for (context, byte) in [(7, b'x'), (8, 0xa5)] {
                histories.next_byte([context]);
                let mut partial = 1;
                for position in (0..8).rev() {
                    let bit = byte >> position & 1 == 1;
                    histories.predict(partial, &mut inputs);
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
