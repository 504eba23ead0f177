//! The bytes of every token.

use std::cmp::Ordering;

use super::PackedError;

/// The bytes of every token, ascending.
#[derive(Clone, Copy, Debug)]
pub struct TokenTable<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) offsets: &'a [u32],
}

/// A table that owns its bytes.
#[cfg(feature = "encode")]
#[derive(Clone, Debug)]
pub(crate) struct OwnedTokenTable {
    bytes: Vec<u8>,
    offsets: Vec<u32>,
}

#[cfg(feature = "encode")]
impl OwnedTokenTable {
    /// The table of these tokens.
    #[cfg(feature = "convert")]
    pub(crate) fn new(tokens: &[Vec<u8>]) -> OwnedTokenTable {
        let ends = tokens.iter().scan(0, |end, token| {
            *end += token.len() as u32;
            Some(*end)
        });
        OwnedTokenTable {
            bytes: tokens.concat(),
            offsets: std::iter::once(0).chain(ends).collect(),
        }
    }

    /// The tokens of `rows`, which ascend, of `table`.
    pub(crate) fn select(
        table: TokenTable<'_>,
        rows: impl IntoIterator<Item = u32>,
    ) -> OwnedTokenTable {
        let (mut bytes, mut offsets) = (Vec::new(), vec![0]);
        for row in rows {
            bytes.extend_from_slice(table.bytes(row));
            offsets.push(bytes.len() as u32);
        }
        OwnedTokenTable { bytes, offsets }
    }

    /// The table.
    pub(crate) fn table(&self) -> TokenTable<'_> {
        TokenTable {
            bytes: &self.bytes,
            offsets: &self.offsets,
        }
    }
}

impl<'a> TokenTable<'a> {
    /// A table whose row `r` is `bytes[offsets[r]..offsets[r + 1]]`.
    ///
    /// # Errors
    /// [`PackedError::Value`] unless the rows cover `bytes`, none is empty, and each is greater
    /// than the one before it.
    pub fn new(bytes: &'a [u8], offsets: &'a [u32]) -> Result<TokenTable<'a>, PackedError> {
        let name = "token.offsets";
        let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else {
            return Err(PackedError::value(name, "no token", "all of token.bytes"));
        };
        if (*first, *last as usize) != (0, bytes.len()) {
            let got = format!("{first} to {last}");
            return Err(PackedError::value(name, got, "all of token.bytes"));
        }
        if let Some(bad) = offsets.windows(2).find(|pair| pair[0] >= pair[1]) {
            let got = format!("{} before {}", bad[0], bad[1]);
            return Err(PackedError::value(name, got, "ascending offsets"));
        }
        let table = TokenTable { bytes, offsets };
        let mut rows = 1..table.len() as u32;
        match rows.find(|row| table.bytes(row - 1) >= table.bytes(*row)) {
            None => Ok(table),
            Some(row) => Err(PackedError::value(
                "token.bytes",
                format!("row {row} out of order"),
                "rows in strictly ascending order",
            )),
        }
    }

    /// Whether each of the 256 bytes is a token by itself.
    pub fn has_every_byte(&self) -> bool {
        (0..=u8::MAX).all(|byte| self.find(&[byte]).is_some())
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no token; never so in an opened model.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of output row `row`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn bytes(&self, row: u32) -> &'a [u8] {
        let row = row as usize;
        &self.bytes[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    /// The row of the longest token that `bytes` begins with.
    pub fn longest_prefix(&self, bytes: &[u8]) -> Option<u32> {
        self.prefixes(bytes).last()
    }

    /// The rows of all tokens that `bytes` begins with, the shortest first.
    pub fn prefixes(&self, bytes: &[u8]) -> impl Iterator<Item = u32> {
        // The rows that begin with the bytes so far. The shortest of them is the first.
        let (mut low, mut high) = (0, self.len() as u32);
        let narrowed = bytes.iter().enumerate().map_while(move |(depth, byte)| {
            let at_depth = |row| self.bytes(row).get(depth);
            low = partition_point(low, high, |row| at_depth(row) < Some(byte));
            high = partition_point(low, high, |row| at_depth(row) <= Some(byte));
            (low < high).then_some((low, depth + 1))
        });
        narrowed.filter_map(|(row, len)| (self.bytes(row).len() == len).then_some(row))
    }

    /// The row whose bytes are exactly `bytes`.
    pub fn find(&self, bytes: &[u8]) -> Option<u32> {
        let (mut low, mut high) = (0, self.len() as u32);
        while low < high {
            let middle = low.midpoint(high);
            match self.bytes(middle).cmp(bytes) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Some(middle),
                Ordering::Greater => high = middle,
            }
        }
        None
    }
}

/// The first of the rows `low..high` for which `is_before` is false; it is true for all before it.
fn partition_point(mut low: u32, mut high: u32, is_before: impl Fn(u32) -> bool) -> u32 {
    while low < high {
        let middle = low.midpoint(high);
        match is_before(middle) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_token_is_found() {
        let table = TokenTable::new(b"aababcbcd", &[0, 1, 3, 6, 7, 9]).unwrap();
        let longest = |bytes: &[u8]| table.longest_prefix(bytes).map(|row| table.bytes(row));
        for (bytes, token) in [
            (&b""[..], None),
            (b"a", Some(&b"a"[..])),
            (b"ac", Some(b"a")),
            (b"aba", Some(b"ab")),
            (b"abcd", Some(b"abc")),
            (b"bc", Some(b"b")),
            (b"cd", Some(b"cd")),
            (b"c", None),
            (b"d", None),
        ] {
            assert_eq!(longest(bytes), token, "{bytes:?}");
        }
        assert_eq!(table.prefixes(b"abcd").collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn only_ascending_rows_that_cover_the_bytes_are_a_table() {
        let table = TokenTable::new(b"aabb", &[0, 1, 3, 4]).unwrap();
        assert_eq!((table.len(), table.bytes(1)), (3, &b"ab"[..]));
        assert_eq!((table.find(b"b"), table.find(b"ba")), (Some(2), None));
        assert!(TokenTable::new(b"", &[0]).unwrap().is_empty());
        for (bytes, offsets) in [
            (&b"ab"[..], &[][..]),
            (b"ab", &[0, 1]),
            (b"ab", &[1, 2]),
            (b"ab", &[0, 3]),
            (b"ab", &[0, 1, 1, 2]),
            (b"abc", &[0, 2, 1, 3]),
            (b"ba", &[0, 1, 2]),
            (b"aa", &[0, 1, 2]),
            (b"ab", &[0, u32::MAX, 2]),
        ] {
            assert!(TokenTable::new(bytes, offsets).is_err(), "{offsets:?}");
        }
    }
}
