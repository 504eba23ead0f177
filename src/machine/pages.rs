//! Large tables that are read at random: zeroed memory in huge pages, where the system has them. With small pages
//! nearly every look-up would walk the page table, and the first touch of every 4 KiB be a fault.

use memmap2::MmapMut;
use std::ops::{Deref, DerefMut};

/// Zeroed bytes that begin at the start of a page.
pub struct Pages(MmapMut);

impl Pages {
    /// `len` zeroed bytes, at least one.
    ///
    /// # Panics
    /// If the system has no such memory, as any other allocation would end the program.
    pub fn zeroed(len: usize) -> Pages {
        let map = MmapMut::map_anon(len).expect("memory for a table");
        // A wish: where it is not granted, look-ups are slower.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Pages(map)
    }
}

impl Clone for Pages {
    fn clone(&self) -> Pages {
        let mut copy = Pages::zeroed(self.len());
        copy.copy_from_slice(self);
        copy
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_zeroed_aligned_and_copied() {
        let mut pages = Pages::zeroed(1 << 16);
        assert!(pages.iter().all(|&byte| byte == 0));
        assert!(pages.as_ptr().addr().is_multiple_of(64));
        pages[77] = 5;
        let mut copy = pages.clone();
        copy[78] = 6;
        assert_eq!((pages[77], pages[78], copy[77], copy[78]), (5, 0, 5, 6));
    }
}
