//! Large tables that are read at random: zeroed memory in huge pages, if the system has them. With
//! small pages, nearly every look-up would walk the page table, and the first access to every 4 KiB
//! would be a page fault.

use super::MachineError;
use memmap2::MmapMut;
use std::ops::{Deref, DerefMut};

/// Zeroed bytes that begin at the start of a page.
pub struct Pages {
    map: MmapMut,
    what: &'static str,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages")
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}

impl Pages {
    /// `len` zeroed bytes for `what`.
    ///
    /// # Errors
    /// [`MachineError::Memory`] if the system has no memory for them.
    pub fn zeroed(what: &'static str, len: usize) -> Result<Pages, MachineError> {
        let map = MmapMut::map_anon(len).map_err(|_| MachineError::Memory { what, bytes: len })?;
        // A wish: where it is not granted, look-ups are slower. Miri does not know it.
        #[cfg(all(target_os = "linux", not(miri)))]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Pages { map, what })
    }

    /// The same bytes in memory of their own.
    ///
    /// # Errors
    /// [`MachineError::Memory`] if the system has no memory for them.
    pub fn try_clone(&self) -> Result<Pages, MachineError> {
        let mut copy = Pages::zeroed(self.what, self.len())?;
        copy.copy_from_slice(self);
        Ok(copy)
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_zeroed_aligned_and_copied() {
        let mut pages = Pages::zeroed("a test", 1 << 16).unwrap();
        assert!(pages.iter().all(|&byte| byte == 0));
        assert!(pages.as_ptr().addr().is_multiple_of(64));
        pages[77] = 5;
        let mut copy = pages.try_clone().unwrap();
        copy[78] = 6;
        assert_eq!((pages[77], pages[78], copy[77], copy[78]), (5, 0, 5, 6));
    }

    #[test]
    #[cfg(not(miri))]
    fn memory_that_is_not_there_is_an_error() {
        let refused = Pages::zeroed("a test", usize::MAX / 4);
        assert!(matches!(refused, Err(MachineError::Memory { .. })));
    }
}
