//! Prefetch hints to the memory system. They change no result.

use std::ops::Range;

use super::aligned::LINE;

/// The first-level cache, for what is needed next: `_MM_HINT_T0`.
const NEAR: i32 = 3;
/// The second-level cache, which has room for what is needed later: `_MM_HINT_T1`.
const FAR: i32 = 2;

/// Asks for the cache line of `data[index]`, if there is one.
#[inline(always)]
pub fn prefetch<T>(data: &[T], index: usize) {
    ask::<T, NEAR>(data, index);
}

/// Asks for the cache lines of `data[range]`, as far as there are any.
#[inline(always)]
pub fn prefetch_range<T>(data: &[T], range: Range<usize>) {
    ask_for_range::<T, NEAR>(data, range);
}

/// As [`prefetch_range`], for data that is needed later: it displaces nothing that is in use now.
#[inline(always)]
pub fn prefetch_range_for_later<T>(data: &[T], range: Range<usize>) {
    ask_for_range::<T, FAR>(data, range);
}

#[inline(always)]
fn ask_for_range<T, const CACHE: i32>(data: &[T], range: Range<usize>) {
    let items = LINE.checked_div(size_of::<T>()).unwrap_or(LINE).max(1);
    for index in (range.start..range.end.min(data.len())).step_by(items) {
        ask::<T, CACHE>(data, index);
    }
}

#[inline(always)]
fn ask<T, const CACHE: i32>(data: &[T], index: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if let Some(item) = data.get(index) {
        // SAFETY: prefetching has no effect but on the caches, and the address is that of a live
        // reference.
        unsafe { std::arch::x86_64::_mm_prefetch::<CACHE>(std::ptr::from_ref(item).cast()) };
    }
    #[cfg(any(not(target_arch = "x86_64"), miri))]
    let _ = (data, index);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_is_safe_and_soon_done() {
        let data = [1u8; 100];
        prefetch(&data, usize::MAX);
        prefetch_range(&data, 0..usize::MAX);
        let (end, start) = (0, usize::MAX);
        prefetch_range(&data, start..end);
        prefetch_range(&data, usize::MAX - 1..usize::MAX);
        prefetch_range(&[(); 7], 0..usize::MAX);
        prefetch_range_for_later(&data, 0..usize::MAX);
    }
}
