//! A hint to the memory system; it changes no result.

use std::ops::Range;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Asks for the cache line of `data[index]`, if there is one.
#[inline(always)]
pub fn prefetch<T>(data: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(item) = data.get(index) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: prefetching has no effect but on the caches, and the address is that of a live reference.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(item).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (data, index);
}

/// Asks for the cache lines of `data[range]`, as far as there are any.
#[inline(always)]
pub fn prefetch_range<T>(data: &[T], range: Range<usize>) {
    for index in range.step_by((LINE / size_of::<T>()).max(1)) {
        prefetch(data, index);
    }
}
