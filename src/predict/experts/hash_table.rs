//! The hashed table of bit histories.
//!
//! A row holds a check byte, then the histories of the fifteen nodes of a nibble's binary tree.
//! Four rows share a cache line. A new context replaces the row whose first history has seen the
//! fewest bits.

use crate::machine::MachineError;
use crate::machine::pages::Pages;
use crate::machine::prefetch::prefetch;

/// The index of a row.
#[derive(Clone, Copy, Default)]
pub(super) struct Row(u32);

/// Hashed rows of bit histories.
pub(super) struct HashTable {
    bytes: Pages,
    shift: u32,
}

impl HashTable {
    /// A table of `2^bits` bytes.
    pub(super) fn new(bits: u32) -> Result<HashTable, MachineError> {
        let mut bytes = Pages::zeroed("the table of bit histories", 1 << bits)?;
        // Row 0 can be used without having been found.
        let _: &mut [u8; 64] = bytes.part_mut(0);
        Ok(HashTable {
            bytes,
            shift: 32 - (bits - 6),
        })
    }

    /// Expects that the table will be used in most places.
    pub(super) fn prefer_huge(&mut self) {
        self.bytes.prefer_huge();
    }

    /// A copy in memory of its own.
    pub(super) fn try_clone(&self) -> Result<HashTable, MachineError> {
        Ok(HashTable {
            bytes: self.bytes.try_clone()?,
            ..*self
        })
    }

    /// Prefetches the line of a hash.
    #[inline]
    pub(super) fn prefetch(&self, hash: u32) {
        prefetch(self.rows(), self.line(hash));
    }

    /// The row of a hash, emptied if another context had it. `check` tells contexts with the same
    /// line apart.
    #[inline]
    pub(super) fn find(&mut self, hash: u32, check: u8) -> Row {
        let line = self.line(hash);
        let (rows, _) = self.bytes.part_mut::<64>(line / 4).as_chunks_mut::<16>();
        // Without branches: nothing could predict which slot it is.
        let mut found = 4;
        let mut victim = (u32::MAX, 0);
        for slot in (0..4).rev() {
            found = if rows[slot][0] == check { slot } else { found };
            let seen = u32::from(rows[slot][1]);
            victim = if seen <= victim.0 {
                (seen, slot)
            } else {
                victim
            };
        }
        if found == 4 {
            found = victim.1;
            rows[found] = [0; 16];
            rows[found][0] = check;
        }
        Row((line + found) as u32)
    }

    #[inline]
    fn line(&self, hash: u32) -> usize {
        (hash >> self.shift) as usize * 4
    }

    #[inline]
    fn rows(&self) -> &[[u8; 16]] {
        self.bytes.as_chunks().0
    }

    /// The history at a node (1..16) of a row's nibble.
    #[inline]
    pub(super) fn state(&self, row: Row, node: usize) -> u8 {
        self.rows()[row.0 as usize][node & 15]
    }

    /// The history at a node, to be changed. The row was found, or is row 0.
    #[inline]
    pub(super) fn state_mut(&mut self, row: Row, node: usize) -> &mut u8 {
        &mut self.bytes.noted_part_mut::<16>(row.0 as usize)[node & 15]
    }
}
