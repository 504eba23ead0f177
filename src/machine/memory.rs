//! Memory that may not be there: large buffers are asked for, and what cannot be had is an error.
//!
//! `vec!` and `Vec::resize` end the program where the system has no memory left. That is right for small things, without
//! which nothing works, and wrong for tables and caches of megabytes.

use super::MachineError;

/// Makes room for `additional` more values in `buffer`, which holds `what`.
///
/// # Errors
/// [`MachineError::Memory`] if the system has no memory for them.
pub fn reserve<T>(
    buffer: &mut Vec<T>,
    what: &'static str,
    additional: usize,
) -> Result<(), MachineError> {
    buffer
        .try_reserve_exact(additional)
        .map_err(|_| MachineError::Memory {
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
        let refused = resize(&mut buffer, "a test", usize::MAX / 4, 0);
        assert!(matches!(refused, Err(MachineError::Memory { .. })));
        assert_eq!(buffer, copy);
    }
}
