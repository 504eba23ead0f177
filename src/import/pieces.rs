//! Long stretches of files, read in small pieces: memory holds the values of a tensor once.

use std::io::{self, Read, Seek, SeekFrom};

/// Bytes of a piece at most, if no block is longer.
const PIECE: usize = 1 << 20;

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

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
