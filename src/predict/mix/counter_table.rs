//! Tables of counters that begin as zeroed memory, so that making one takes no time.

use super::counter::Counter;
use crate::machine::MachineError;
use crate::machine::pages::Pages;
use crate::machine::prefetch::prefetch;

/// Many counters. A counter that has not been changed takes no memory.
///
/// The caller knows what each counter is at first, and says so at every access. The table holds the
/// bits in which a counter differs from that.
pub(crate) struct CounterTable {
    bytes: Pages,
}

impl CounterTable {
    /// `len` counters for `what`, all as at first.
    pub(crate) fn new(what: &'static str, len: usize) -> Result<CounterTable, MachineError> {
        let bytes = Pages::zeroed(what, len * size_of::<Counter>())?;
        Ok(CounterTable { bytes })
    }

    /// A copy in memory of its own.
    pub(crate) fn try_clone(&self) -> Result<CounterTable, MachineError> {
        Ok(CounterTable {
            bytes: self.bytes.try_clone()?,
        })
    }

    /// Expects that most counters will be used.
    pub(crate) fn prefer_huge(&mut self) {
        self.bytes.prefer_huge();
    }

    /// Prefetches the cache line of a counter.
    pub(crate) fn prefetch(&self, index: usize) {
        prefetch(&self.bytes, size_of::<Counter>() * index);
    }

    /// The counter at `index`, which was `first` at first.
    #[inline]
    pub(crate) fn get(&self, index: usize, first: Counter) -> Counter {
        Counter::from_bits(u32::from_le_bytes(self.bytes.as_chunks().0[index]) ^ first.to_bits())
    }

    /// Changes the counter at `index`, which was `first` at first.
    #[inline]
    pub(crate) fn set(&mut self, index: usize, first: Counter, counter: Counter) {
        let difference = counter.to_bits() ^ first.to_bits();
        *self.bytes.part_mut(index) = difference.to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_what_it_was_at_first_until_it_is_set() {
        let first = Counter::new(3 << 20, 6);
        let mut table = CounterTable::new("a test", 10).unwrap();
        let mut counter = table.get(7, first);
        assert_eq!(counter.to_bits(), first.to_bits());
        counter.update(true, 255);
        table.set(7, first, counter);
        let copy = table.try_clone().unwrap();
        assert_eq!(copy.get(7, first).to_bits(), counter.to_bits());
        assert_eq!(copy.get(6, first).to_bits(), first.to_bits());
    }
}
