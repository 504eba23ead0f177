//! Unsigned LEB128 integers, in their shortest form only.
//!
//! Each byte holds seven bits, the least significant group first; the top bit is set on all bytes
//! but the last. A number has one encoding: a last byte of zero (other than for 0 itself) is
//! refused, so that no flipped bit goes unnoticed.

use super::error::ContainerError;

/// Appends `value` to `out`.
pub(super) fn write(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads one number from `next`, which returns byte after byte. `field` is its name in errors.
pub(super) fn read(
    field: &'static str,
    mut next: impl FnMut() -> Result<u8, ContainerError>,
) -> Result<u64, ContainerError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = next()?;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if (shift == 63 && bits > 1) || (byte == 0 && shift > 0) {
            return Err(ContainerError::Varint { field });
        }
        value |= bits << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(ContainerError::Varint { field })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Option<(u64, usize)> {
        let mut at = 0;
        let value = read("test", || {
            at += 1;
            bytes.get(at - 1).copied().ok_or(ContainerError::Empty)
        });
        value.ok().map(|value| (value, at))
    }

    proptest! {
        #[test]
        fn every_number_has_one_encoding(value: u64, shift in 0..64u32) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            write(&mut bytes, value);
            prop_assert_eq!(parse(&bytes), Some((value, bytes.len())));
        }

        #[test]
        fn whatever_parses_is_what_would_be_written(bytes: [u8; 11]) {
            if let Some((value, len)) = parse(&bytes) {
                let mut canonical = Vec::new();
                write(&mut canonical, value);
                prop_assert_eq!(&bytes[..len], &canonical);
            }
        }
    }

    #[test]
    fn overlong_and_overflowing_are_refused() {
        assert_eq!(parse(&[0x80, 0x00]), None);
        assert_eq!(parse(&[0xff, 0x80, 0x00]), None);
        let mut ten = [0xff; 10];
        ten[9] = 0x01;
        assert_eq!(parse(&ten), Some((u64::MAX, 10)));
        ten[9] = 0x02;
        assert_eq!(parse(&ten), None);
        ten[9] = 0x81;
        assert_eq!(parse(&ten), None);
    }
}
