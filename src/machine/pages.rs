//! Large tables that are read at random: zeroed memory, on request in huge pages.
//!
//! With small pages, nearly every look-up in a table in full use walks the page table, and the
//! first access to every 4 KiB is a page fault. With huge pages, the first access to every 2 MiB
//! zeroes them all, which takes longer than everything else where only few places are used.
//!
//! Where few places are used, page faults are still most of the work. So a table notes which places
//! were written, and while somebody [keeps](keep) tables, one that is dropped is zeroed at these
//! places and serves again.

use super::{MachineError, forks};
use memmap2::MmapMut;
use std::cell::RefCell;
use std::mem::{self, ManuallyDrop};
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// Bytes of a place: a cache line.
const PLACE: usize = 64;
/// Most places that are noted. Zeroing more takes about as long as new memory.
const MOST_NOTED: usize = 1 << 16;

/// Tables that are not in use.
static KEPT: Mutex<Kept> = Mutex::new(Kept {
    users: 0,
    maps: Vec::new(),
});

struct Kept {
    /// How many [`Keep`]s there are.
    users: usize,
    /// Zeroed memory.
    maps: Vec<MmapMut>,
}

impl Kept {
    fn lock() -> MutexGuard<'static, Kept> {
        // Nothing that holds the lock can panic halfway.
        KEPT.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory of this length. If there is none, other tables are needed from now on, and all is
    /// given back: so there is never more memory than was once in use at the same time.
    fn take(len: usize) -> Option<MmapMut> {
        let mut kept = Kept::lock();
        let found = kept.maps.iter().position(|map| map.len() == len);
        let unneeded = match found {
            Some(_) => Vec::new(),
            None => mem::take(&mut kept.maps),
        };
        let map = found.map(|found| kept.maps.swap_remove(found));
        drop(kept);
        drop(unneeded);
        map
    }
}

/// While it lives, tables that are dropped may serve again.
#[derive(Debug)]
pub struct Keep(());

thread_local! {
    /// The lock, while this thread forks.
    static HELD: RefCell<Option<MutexGuard<'static, Kept>>> = const { RefCell::new(None) };
}

/// Waits, before a fork, until no other thread has the lock: the child has a copy of the lock, but
/// not of the thread that would open it.
extern "C" fn hold() {
    // A thread that has ended so far forks no more.
    let _ = HELD.try_with(|held| *held.borrow_mut() = Some(Kept::lock()));
}

extern "C" fn let_go() {
    let _ = HELD.try_with(|held| *held.borrow_mut() = None);
}

/// Keeps tables that are dropped until the result is dropped.
pub fn keep() -> Keep {
    static HOLDS: Once = Once::new();
    HOLDS.call_once(|| forks::hold(hold, let_go));
    Kept::lock().users += 1;
    Keep(())
}

impl Drop for Keep {
    fn drop(&mut self) {
        let mut kept = Kept::lock();
        kept.users -= 1;
        if kept.users == 0 {
            let maps = mem::take(&mut kept.maps);
            drop(kept);
            drop(maps);
        }
    }
}

/// Zeroed bytes that begin at the start of a page.
pub struct Pages {
    map: ManuallyDrop<MmapMut>,
    what: &'static str,
    huge: bool,
    /// Whether `written` has every place that was written.
    notes: bool,
    /// Numbers of places.
    written: Vec<u32>,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages")
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}

impl Pages {
    /// `len` zeroed bytes for `what`, less than 256 GiB.
    ///
    /// # Errors
    /// [`MachineError::Memory`] if the system has no memory for them.
    pub fn zeroed(what: &'static str, len: usize) -> Result<Pages, MachineError> {
        let map = match Kept::take(len) {
            Some(map) => map,
            None => {
                MmapMut::map_anon(len).map_err(|_| MachineError::Memory { what, bytes: len })?
            }
        };
        Ok(Pages {
            map: ManuallyDrop::new(map),
            what,
            huge: false,
            notes: true,
            written: Vec::new(),
        })
    }

    /// Expects that most of these bytes will be used, and asks the system for huge pages. Where it
    /// has none, look-ups are slower.
    pub fn prefer_huge(&mut self) {
        if mem::replace(&mut self.huge, true) {
            return;
        }
        self.stop_noting();
        // Miri does not know it.
        #[cfg(all(target_os = "linux", not(miri)))]
        let _ = self.map.advise(memmap2::Advice::HugePage);
    }

    /// All bytes, to be changed. Expects that most of them will be used.
    pub fn all_mut(&mut self) -> &mut [u8] {
        self.prefer_huge();
        &mut self.map
    }

    /// The part number `index`, if these bytes are cut into parts of `N`, to be changed. `N`
    /// divides 64.
    #[inline]
    pub fn part_mut<const N: usize>(&mut self, index: usize) -> &mut [u8; N] {
        if self.notes {
            self.note(index * N / PLACE);
        }
        self.noted_part_mut(index)
    }

    /// As [`part_mut`](Pages::part_mut), for a part of which `part_mut` has given the place.
    #[inline]
    pub fn noted_part_mut<const N: usize>(&mut self, index: usize) -> &mut [u8; N] {
        const { assert!(PLACE.is_multiple_of(N)) }
        &mut self.map.as_chunks_mut().0[index]
    }

    #[cold]
    fn note(&mut self, place: usize) {
        if self.written.last() == Some(&(place as u32)) {
            return;
        }
        if self.written.len() == MOST_NOTED {
            self.stop_noting();
        } else {
            self.written.push(place as u32);
        }
    }

    fn stop_noting(&mut self) {
        self.notes = false;
        self.written = Vec::new();
    }

    /// The same bytes in memory of their own.
    ///
    /// # Errors
    /// [`MachineError::Memory`] if the system has no memory for them.
    pub fn try_clone(&self) -> Result<Pages, MachineError> {
        let mut copy = Pages::zeroed(self.what, self.len())?;
        if self.notes {
            for &place in &self.written {
                let start = place as usize * PLACE;
                let end = self.len().min(start + PLACE);
                copy.map[start..end].copy_from_slice(&self.map[start..end]);
            }
            copy.written.clone_from(&self.written);
        } else {
            copy.prefer_huge();
            copy.map.copy_from_slice(self);
        }
        Ok(copy)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the field is not used after this.
        let mut map = unsafe { ManuallyDrop::take(&mut self.map) };
        if !self.notes {
            return;
        }
        let mut kept = Kept::lock();
        if kept.users == 0 {
            return;
        }
        for &place in &self.written {
            let start = place as usize * PLACE;
            let end = map.len().min(start + PLACE);
            map[start..end].fill(0);
        }
        kept.maps.push(map);
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pages_are_zeroed_aligned_and_copied() {
        for huge in [false, true] {
            let mut pages = Pages::zeroed("a test", 1 << 16).unwrap();
            if huge {
                pages.prefer_huge();
            }
            assert!(pages.iter().all(|&byte| byte == 0));
            assert!(pages.as_ptr().addr().is_multiple_of(64));
            *pages.part_mut(77) = [5];
            let mut copy = pages.try_clone().unwrap();
            *copy.part_mut(78) = [6];
            assert_eq!((pages[77], pages[78], copy[77], copy[78]), (5, 0, 5, 6));
        }
    }

    #[test]
    #[cfg(not(miri))]
    fn memory_that_is_not_there_is_an_error() {
        let refused = Pages::zeroed("a test", usize::MAX / 4);
        assert!(matches!(refused, Err(MachineError::Memory { .. })));
    }

    proptest! {
        /// Lengths that no other test has, so that this one gets back what it drops.
        #[test]
        fn what_was_in_use_before_is_zeroed(
            len in 4097usize..4200,
            rounds in prop::collection::vec(
                prop::collection::vec(any::<(u16, u32)>(), 0..50),
                1..9,
            ),
        ) {
            let _keep = keep();
            for writes in rounds {
                let mut pages = Pages::zeroed("a test", len).unwrap();
                prop_assert!(pages.iter().all(|&byte| byte == 0));
                for (at, value) in writes {
                    *pages.part_mut(usize::from(at) % (len / 4)) = value.to_le_bytes();
                }
            }
        }
    }
}
