//! Memory that the system may refuse.
//!
//! If the system refuses memory, `vec!` and `Vec::resize` abort the process. The functions here
//! return an error instead; everything that may need more than a megabyte goes through them. For
//! small allocations, also those of other libraries, a program can install an [`Allocator`], which
//! ends the program in an orderly way.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use super::MachineError;

thread_local! {
    /// Whether this thread is in [`reserve`], which handles a refusal.
    static IS_HANDLED: Cell<bool> = const { Cell::new(false) };
}

/// The system's allocator, for programs that must not be aborted. It calls `on_refusal` if memory
/// is refused and no caller handles the refusal.
#[derive(Debug)]
pub struct Allocator {
    /// Ends the program. It may be called anywhere, by several threads, and must not allocate. A
    /// panic must not leave an allocator; with this ABI it aborts the process.
    pub on_refusal: extern "C" fn() -> !,
}

impl Allocator {
    fn check(&self, memory: *mut u8) -> *mut u8 {
        if memory.is_null() && !IS_HANDLED.get() {
            (self.on_refusal)();
        }
        memory
    }
}

// SAFETY: every call is passed on to `System` with the caller's promises, and its answer is
// returned.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: promised by the caller.
        self.check(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: promised by the caller.
        self.check(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        // SAFETY: promised by the caller.
        self.check(unsafe { System.realloc(memory, layout, len) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: promised by the caller.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Makes room for `additional` more values in `buffer`, which holds `what`.
///
/// # Errors
/// [`MachineError::Memory`] if the system has no memory for them.
pub fn reserve<T>(
    buffer: &mut Vec<T>,
    what: &'static str,
    additional: usize,
) -> Result<(), MachineError> {
    IS_HANDLED.set(true);
    let reserved = buffer.try_reserve_exact(additional);
    IS_HANDLED.set(false);
    reserved.map_err(|_| MachineError::Memory {
        what,
        bytes: additional.saturating_mul(size_of::<T>()),
    })
}

/// A buffer of `len` times `value`.
///
/// # Errors
/// [`MachineError::Memory`] if the system has no memory for it.
pub fn filled<T: Clone>(what: &'static str, len: usize, value: T) -> Result<Vec<T>, MachineError> {
    let mut buffer = Vec::new();
    reserve(&mut buffer, what, len)?;
    buffer.resize(len, value);
    Ok(buffer)
}

/// A copy of `values` with room for `capacity` of them, or for as many as there are.
///
/// # Errors
/// [`MachineError::Memory`] if the system has no memory for it.
pub fn copied<T: Copy>(
    what: &'static str,
    values: &[T],
    capacity: usize,
) -> Result<Vec<T>, MachineError> {
    let mut buffer = Vec::new();
    reserve(&mut buffer, what, capacity.max(values.len()))?;
    buffer.extend_from_slice(values);
    Ok(buffer)
}

/// Makes `buffer` as long as `len`, its new values `value`.
///
/// # Errors
/// [`MachineError::Memory`] if the system has no memory for it; the buffer is as it was.
pub fn resize<T: Clone>(
    buffer: &mut Vec<T>,
    what: &'static str,
    len: usize,
    value: T,
) -> Result<(), MachineError> {
    reserve(buffer, what, len.saturating_sub(buffer.len()))?;
    buffer.resize(len, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_given_and_what_is_not_is_an_error() {
        let mut buffer = filled("a test", 100, 7u16).unwrap();
        assert_eq!(buffer, [7; 100]);
        resize(&mut buffer, "a test", 102, 8).unwrap();
        assert_eq!(buffer[98..], [7, 7, 8, 8]);
        let copy = copied("a test", &buffer, 1000).unwrap();
        assert!(copy == buffer && copy.capacity() >= 1000);
        // More than any system has; Miri ends where memory is refused, but not at what has no size.
        let len = if cfg!(miri) {
            usize::MAX
        } else {
            usize::MAX / 4
        };
        let refused = resize(&mut buffer, "a test", len, 0);
        assert!(matches!(refused, Err(MachineError::Memory { .. })));
        assert_eq!(buffer, copy);
    }
}
