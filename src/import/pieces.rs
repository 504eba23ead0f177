//! Long stretches of files, read in small pieces: memory holds the values of a tensor once.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// Bytes of a piece at most, if no block is longer.
const PIECE: usize = 1 << 14;

/// Reads `len` bytes from `start` on and hands them to `take` piece by piece. The length of each
/// piece is a multiple of `block`, as `len` must be.
///
/// # Errors
/// If the reader or `take` fails, or the reader ends too early.
pub(super) fn read<E: From<io::Error>>(
    reader: &mut (impl Read + Seek),
    start: u64,
    len: u64,
    block: usize,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    reader.seek(SeekFrom::Start(start))?;
    let most = (PIECE / block).max(1) * block;
    let mut piece = vec![0; most.min(usize::try_from(len).unwrap_or(most))];
    let mut left = len;
    while left > 0 {
        let size = most.min(usize::try_from(left).unwrap_or(most));
        reader.read_exact(&mut piece[..size])?;
        take(&piece[..size])?;
        left -= size as u64;
    }
    Ok(())
}

/// Shape and place of a tensor, or, with an `index`, of that matrix in a list of them; `None` if
/// there is none of that number. Matrices are of one length.
pub(super) fn part(
    shape: &[usize],
    place: Range<u64>,
    index: Option<usize>,
) -> Option<(&[usize], Range<u64>)> {
    let Some(index) = index else {
        return Some((shape, place));
    };
    let (count, shape) = shape.split_first().filter(|(count, _)| index < **count)?;
    let len = (place.end - place.start) / *count as u64;
    let start = place.start + index as u64 * len;
    Some((shape, start..start + len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn a_matrix_is_a_part_of_a_list() {
        let shape = [3, 2, 4];
        assert_eq!(part(&shape, 10..58, None), Some((&shape[..], 10..58)));
        assert_eq!(part(&shape, 10..58, Some(2)), Some((&shape[1..], 42..58)));
        assert_eq!(part(&shape, 10..58, Some(3)), None);
        assert_eq!(part(&[], 10..14, Some(0)), None);
        assert_eq!(part(&[0, 2], 10..10, Some(0)), None);
    }

    #[test]
    fn pieces_are_whole_blocks_and_make_up_the_stretch() {
        let content: Vec<u8> = (0..3_000_000u32).map(|i| (i * 31 / 8) as u8).collect();
        let mut file = Cursor::new(content.clone());
        let mut got = Vec::new();
        read(&mut file, 7, 18 * 120_000, 18, |piece| {
            assert!(piece.len().is_multiple_of(18) && piece.len() <= PIECE);
            got.extend_from_slice(piece);
            io::Result::Ok(())
        })
        .unwrap();
        assert!(got == content[7..7 + 18 * 120_000]);
        let beyond = read(&mut file, 2_999_999, 2, 1, |_| io::Result::Ok(()));
        assert_eq!(beyond.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
