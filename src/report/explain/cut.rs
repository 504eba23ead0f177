//! Cuts bytes that have no tokens into readable runs.

/// Longest run of similar characters, bytes.
const LONGEST_RUN: usize = 32;
/// Bytes of invalid UTF-8 taken together.
const INVALID_RUN: usize = 8;

/// Lengths of the runs that `bytes` is cut into, in order; they add up to `bytes.len()`.
///
/// A run is a series of letters with one space before it, of digits, or of white space. Any other
/// character is a run by itself. Bytes that are not text are taken eight at a time.
pub(super) fn run_lengths(bytes: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(first) = rest.chars().next() {
            let same: fn(char) -> bool = match first {
                ' ' if rest[1..].starts_with(char::is_alphabetic) => char::is_alphabetic,
                _ if first.is_alphabetic() => char::is_alphabetic,
                _ if first.is_numeric() => char::is_numeric,
                _ if first.is_whitespace() => char::is_whitespace,
                _ => |_| false,
            };
            let len = rest
                .char_indices()
                .skip(1)
                .find(|&(at, char)| !same(char) || at >= LONGEST_RUN)
                .map_or(rest.len(), |(at, _)| at);
            lengths.push(len);
            rest = &rest[len..];
        }
        lengths.extend(chunk.invalid().chunks(INVALID_RUN).map(<[u8]>::len));
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_loses_nothing() {
        let cuts = |bytes: &[u8]| {
            let mut rest = bytes;
            let mut pieces = Vec::new();
            for len in run_lengths(bytes) {
                let (piece, others) = rest.split_at(len);
                pieces.push(String::from_utf8_lossy(piece).into_owned());
                rest = others;
            }
            assert!(rest.is_empty());
            pieces
        };
        assert_eq!(
            cuts("A cat, 12  mice.\n".as_bytes()),
            ["A", " cat", ",", " ", "12", "  ", "mice", ".", "\n"]
        );
        assert_eq!(cuts(&[b'x'; 70]).len(), 3);
        assert_eq!(cuts(b"\xff\xffab").len(), 3);
        assert!(cuts(b"").is_empty());
    }
}
