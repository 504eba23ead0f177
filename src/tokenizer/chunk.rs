//! Cuts long inputs into chunks.

/// Bytes of text that are cut into tokens at a time: the pre-tokenizer keeps about 50 bytes of
/// bookkeeping for each.
const CHUNK: usize = 32 << 10;

/// Length of the next chunk of `input`, which is not empty.
///
/// A small input is one chunk. A longer one is cut in the second half of the limit, where a word
/// ends whatever follows: if possible after the end of a line between two visible characters, else
/// before a single space, else at a character boundary.
pub(super) fn safe_cut(input: &[u8]) -> usize {
    if input.len() <= CHUNK {
        return input.len();
    }
    let candidates = || (CHUNK / 2..=CHUNK).rev();
    let visible = |byte: u8| !byte.is_ascii_whitespace();
    candidates()
        .find(|&i| visible(input[i]) && input[i - 1] == b'\n' && visible(input[i - 2]))
        .or_else(|| {
            candidates().find(|&i| {
                input[i] == b' '
                    && visible(input[i - 1])
                    && input.get(i + 1).is_some_and(|&b| visible(b))
            })
        })
        .or_else(|| candidates().find(|&i| input[i] & 0xc0 != 0x80))
        .unwrap_or(CHUNK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_end_at_word_boundaries_and_never_exceed_the_limit() {
        let mut text = "a line of words\n".repeat(10_000).into_bytes();
        let cut = safe_cut(&text);
        assert!(cut <= CHUNK && cut > CHUNK / 2);
        assert_eq!(text[cut - 1], b'\n');
        text.iter_mut()
            .for_each(|b| *b = if *b == b'\n' { b' ' } else { *b });
        assert_eq!(text[safe_cut(&text)], b' ');
        for filler in [b'x', b' ', b'\n', 0xff, 0x80] {
            let cut = safe_cut(&vec![filler; 3 * CHUNK]);
            assert!((CHUNK / 2..=CHUNK).contains(&cut));
        }
    }
}
