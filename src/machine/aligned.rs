//! Buffers that begin at a cache line, so that no register of 64 bytes is loaded from two.

use std::ops::{Deref, DerefMut};

use super::{MachineError, memory};

/// Bytes of a cache line.
pub const LINE: usize = 64;

/// Values from the beginning of a cache line on.
#[derive(Debug, Default)]
pub struct Aligned<T> {
    buffer: Vec<T>,
    /// Index in `buffer` of the first value that lies at the beginning of a line.
    start: usize,
}

impl<T: Copy + Default> Aligned<T> {
    /// No values yet, and room for `capacity` of them.
    ///
    /// # Errors
    /// [`MachineError::Memory`] if the system has no memory for them.
    pub fn reserved(what: &'static str, capacity: usize) -> Result<Aligned<T>, MachineError> {
        let mut buffer = Vec::new();
        memory::reserve(&mut buffer, what, capacity.saturating_add(Self::SPARE))?;
        Ok(Self::of(buffer))
    }

    /// `len` times `value`.
    ///
    /// # Errors
    /// [`MachineError::Memory`] if the system has no memory for them.
    pub fn filled(what: &'static str, len: usize, value: T) -> Result<Aligned<T>, MachineError> {
        let mut filled = Self::reserved(what, len)?;
        filled.resize(len, value);
        Ok(filled)
    }

    /// A copy of `values` with room for `capacity` of them, or for as many as there are.
    ///
    /// # Errors
    /// [`MachineError::Memory`] if the system has no memory for it.
    pub fn copied(
        what: &'static str,
        values: &[T],
        capacity: usize,
    ) -> Result<Aligned<T>, MachineError> {
        let mut copy = Self::reserved(what, capacity.max(values.len()))?;
        copy.buffer.extend_from_slice(values);
        Ok(copy)
    }

    /// Makes it `len` values long, new ones `value`. Without room for them, it is moved.
    pub fn resize(&mut self, len: usize, value: T) {
        if len > self.buffer.capacity() - self.start {
            let room = len.max(2 * self.len()).saturating_add(Self::SPARE);
            let mut moved = Self::of(Vec::with_capacity(room));
            moved.buffer.extend_from_slice(self);
            *self = moved;
        }
        self.buffer.resize(self.start + len, value);
    }

    /// Values that may lie before the first line of a buffer.
    const SPARE: usize = {
        assert!(size_of::<T>() > 0 && LINE.is_multiple_of(size_of::<T>()));
        LINE / size_of::<T>()
    };

    /// An empty buffer.
    fn of(mut buffer: Vec<T>) -> Aligned<T> {
        let start = buffer.as_ptr().align_offset(LINE).min(Self::SPARE);
        buffer.resize(start, T::default());
        Aligned { buffer, start }
    }
}

impl<T: Copy + Default> From<&[T]> for Aligned<T> {
    fn from(values: &[T]) -> Aligned<T> {
        let mut copy = Self::of(Vec::with_capacity(values.len() + Self::SPARE));
        copy.buffer.extend_from_slice(values);
        copy
    }
}

impl<T: Copy + Default> Clone for Aligned<T> {
    fn clone(&self) -> Aligned<T> {
        Self::from(&**self)
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.buffer[self.start..]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.buffer[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_aligned<T>(buffer: &Aligned<T>) -> bool {
        // Miri may find no way to align a pointer.
        cfg!(miri) || buffer.as_ptr().addr().is_multiple_of(LINE)
    }

    #[test]
    fn buffers_and_their_copies_begin_at_a_line() {
        for len in (0..20).map(|index| index * 7) {
            let mut buffer = Aligned::filled("a test", len, 3u8).unwrap();
            let copies = [
                buffer.clone(),
                Aligned::copied("a test", &buffer, 200).unwrap(),
            ];
            for longer in [len, len + 1, 200, 5000] {
                buffer.resize(longer, 5);
                assert!(is_aligned(&buffer) && buffer.len() == longer);
                let (kept, new) = buffer.split_at(len);
                assert!(kept.iter().all(|value| *value == 3));
                assert!(new.iter().all(|value| *value == 5));
            }
            assert!(copies.iter().all(|copy| copy[..] == vec![3; len]));
            assert!(copies.iter().all(is_aligned));
        }
        assert!(is_aligned(&Aligned::filled("a test", 9, 1i32).unwrap()));
    }

    #[test]
    fn what_is_reserved_is_not_moved() {
        let mut buffer = Aligned::<u16>::reserved("a test", 1000).unwrap();
        buffer.resize(1, 1);
        let place = buffer.as_ptr();
        buffer.resize(1000, 2);
        assert_eq!(buffer.as_ptr(), place);
    }
}
