//! The index of a frame: an auxiliary frame that follows the frame and repeats its lengths.
//!
//! Each frame has an index of its own, so that files can be concatenated without an edit. An index
//! ends with its own length, so that it can be found from the end of the file. Readers here compare
//! it with the frame and believe the frame alone.

use xxhash_rust::xxh3::xxh3_64;

use super::error::ContainerError;
use super::{AUXILIARY_MAGIC, FrameTotals, varint};

/// The first byte of an auxiliary frame's content if it is an index.
const KIND: u8 = 1;

/// Most bytes of content of an index: kind, two varints, its own length.
pub(super) const MAX_CONTENT: usize = 1 + 10 + 10 + 1;

/// The bytes of the index that follows a frame with these `totals`.
pub fn index_of(totals: &FrameTotals) -> Vec<u8> {
    let mut content = vec![KIND];
    varint::write(&mut content, totals.frame_len);
    varint::write(&mut content, totals.original_len);
    content.push(content.len() as u8 + 1);
    let mut bytes = AUXILIARY_MAGIC.to_vec();
    varint::write(&mut bytes, content.len() as u64);
    bytes.append(&mut content);
    let checksum = xxh3_64(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Checks the content of an auxiliary frame, of which `content` has the first bytes, at least
/// [`MAX_CONTENT`] and one more if there are as many. `before` is the frame just before it, if that
/// is a data frame. Content of another kind is not looked at.
pub(super) fn check(content: &[u8], before: Option<&FrameTotals>) -> Result<(), ContainerError> {
    if content.first() != Some(&KIND) {
        return Ok(());
    }
    let wrong = |reason| ContainerError::Index { reason };
    let (frame_len, original_len) = parse(content).ok_or(wrong("is malformed"))?;
    let before = before.ok_or(wrong("does not follow a frame"))?;
    match frame_len == before.frame_len && original_len == before.original_len {
        true => Ok(()),
        false => Err(wrong("contradicts the frame before it")),
    }
}

/// The two lengths of an index.
fn parse(content: &[u8]) -> Option<(u64, u64)> {
    let (own_len, lens) = content.get(1..)?.split_last()?;
    let mut lens = lens.iter();
    let mut number = || {
        let next = || lens.next().copied().ok_or(ContainerError::Empty);
        varint::read("an index", next).ok()
    };
    let (frame_len, original_len) = (number()?, number()?);
    let ends = lens.next().is_none() && usize::from(*own_len) == content.len();
    ends.then_some((frame_len, original_len))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn totals(frame_len: u64, original_len: u64) -> FrameTotals {
        FrameTotals {
            frame_len,
            original_len,
            ..FrameTotals::default()
        }
    }

    proptest! {
        #[test]
        fn an_index_has_the_lengths_of_its_frame_and_its_own(
            frame_len: u64, original_len: u64, shifts in (0..64u32, 0..64u32), other: u64,
        ) {
            let (frame_len, original_len) = (frame_len >> shifts.0, original_len >> shifts.1);
            let index = index_of(&totals(frame_len, original_len));
            let content = &index[5..index.len() - 8];
            prop_assert!(content.len() <= MAX_CONTENT);
            prop_assert_eq!(usize::from(index[4]), content.len());
            prop_assert_eq!(usize::from(content[content.len() - 1]), content.len());
            prop_assert_eq!(parse(content), Some((frame_len, original_len)));
            prop_assert!(check(content, Some(&totals(frame_len, original_len))).is_ok());
            prop_assert!(check(content, None).is_err());
            if other != original_len {
                prop_assert!(check(content, Some(&totals(frame_len, other))).is_err());
            }
        }

        #[test]
        fn whatever_parses_is_what_would_be_written(
            bytes in prop::collection::vec(any::<u8>(), 0..24),
        ) {
            let content = [&[KIND], &bytes[..]].concat();
            if let Some((frame_len, original_len)) = parse(&content) {
                let index = index_of(&totals(frame_len, original_len));
                prop_assert_eq!(&index[5..index.len() - 8], content);
            }
        }
    }

    #[test]
    fn content_of_another_kind_is_not_looked_at() {
        assert!(check(&[], None).is_ok());
        assert!(check(&[2, 1, 1], None).is_ok());
        assert!(check(&[KIND], None).is_err());
    }
}
