//! From a source model's vocabulary to the rows of a packed one.
//!
//! A packed model orders its tokens by their bytes, because the coder walks a token as a path of
//! bytes and wants every prefix to be one contiguous range. This module decides which source tokens
//! get a row and which row of the source's embedding each takes, and rewrites the merge rules from
//! token strings to rows.
//!
//! Special and added tokens are left out, because they must never match text. Empty tokens are left
//! out, too. Of several tokens with equal bytes, only the one with the lowest source id is kept. A
//! beginning-of-sequence token gets an input row behind all output rows: it can be fed, never
//! predicted.

mod byte_level;
pub(super) mod gguf;
pub(super) mod hugging_face;

use super::SourceError;
use std::collections::{HashMap, HashSet};

/// The ordinary tokens of a source model, before sorting.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// Source id and bytes of every ordinary token, in any order.
    pub tokens: Vec<(u32, Vec<u8>)>,
    /// Merge rules, most important first: the bytes of the two parts.
    pub merges: Vec<(Vec<u8>, Vec<u8>)>,
    /// Source id of the token that begins a text, if the model has one.
    pub bos: Option<u32>,
    /// The `pre_tokenizer` fragment of tokenizer.json, or null.
    pub pre_tokenizer: serde_json::Value,
}

/// A vocabulary laid out in packed rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowPlan {
    /// Source id of each input row; the first `tokens.len()` of them are output rows too.
    pub rows: Vec<u32>,
    /// Bytes of each output row, strictly ascending.
    pub tokens: Vec<Vec<u8>>,
    /// Merge rules as pairs of rows, most important first.
    pub merges: Vec<(u32, u32)>,
    /// Input row of the beginning-of-sequence token.
    pub bos: Option<u32>,
}

impl Vocabulary {
    /// Sorts, removes duplicates and renumbers.
    ///
    /// Merges whose parts or result are not rows are dropped. Of a repeated pair the first counts.
    ///
    /// # Errors
    /// When no token is left, or more than 2^20.
    pub fn plan(&self) -> Result<RowPlan, SourceError> {
        let mut sorted: Vec<(&[u8], u32)> = self
            .tokens
            .iter()
            .filter(|(_, bytes)| !bytes.is_empty())
            .map(|(id, bytes)| (bytes.as_slice(), *id))
            .collect();
        sorted.sort_unstable();
        sorted.dedup_by(|later, earlier| later.0 == earlier.0);
        if sorted.is_empty() {
            return Err(SourceError::invalid("the vocabulary has no ordinary token"));
        }
        if sorted.len() > 1 << 20 {
            return Err(SourceError::Unsupported(format!(
                "a vocabulary of {} tokens (the limit is {})",
                sorted.len(),
                1 << 20
            )));
        }
        let row_of: HashMap<&[u8], u32> = (0u32..)
            .zip(&sorted)
            .map(|(row, (bytes, _))| (*bytes, row))
            .collect();

        let mut seen = HashSet::new();
        let mut merges = Vec::new();
        let mut joined = Vec::new();
        for (left, right) in &self.merges {
            let (Some(&l), Some(&r)) = (row_of.get(&left[..]), row_of.get(&right[..])) else {
                continue;
            };
            joined.clear();
            joined.extend_from_slice(left);
            joined.extend_from_slice(right);
            if row_of.contains_key(&joined[..]) && seen.insert((l, r)) {
                merges.push((l, r));
            }
        }

        let mut rows: Vec<u32> = sorted.iter().map(|(_, id)| *id).collect();
        let bos = self.bos.map(|id| {
            let row = rows.iter().position(|&source| source == id);
            row.unwrap_or_else(|| {
                rows.push(id);
                rows.len() - 1
            }) as u32
        });
        Ok(RowPlan {
            tokens: sorted.iter().map(|(bytes, _)| bytes.to_vec()).collect(),
            rows,
            merges,
            bos,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary(tokens: &[(u32, &[u8])]) -> Vocabulary {
        Vocabulary {
            tokens: tokens.iter().map(|(id, b)| (*id, b.to_vec())).collect(),
            ..Vocabulary::default()
        }
    }

    #[test]
    fn rows_are_sorted_unique_and_keep_the_lowest_source_id() {
        let plan = vocabulary(&[(7, b"b"), (3, b"ab"), (9, b"a"), (5, b"a"), (4, b"")])
            .plan()
            .unwrap();
        assert_eq!(
            plan.tokens,
            [b"a".to_vec(), b"ab".to_vec(), b"b".to_vec()].to_vec()
        );
        assert_eq!(plan.rows, [5, 3, 7]);
        assert_eq!(plan.bos, None);
    }

    #[test]
    fn bos_is_input_only_unless_it_is_an_ordinary_token() {
        let mut source = vocabulary(&[(1, b"x"), (2, b"y")]);
        source.bos = Some(0);
        let plan = source.plan().unwrap();
        assert_eq!(
            (plan.rows, plan.bos, plan.tokens.len()),
            (vec![1, 2, 0], Some(2), 2)
        );
        source.bos = Some(2);
        let plan = source.plan().unwrap();
        assert_eq!((plan.rows, plan.bos), (vec![1, 2], Some(1)));
    }

    #[test]
    fn merges_without_rows_are_dropped_and_repeats_count_once() {
        let mut source = vocabulary(&[(0, b"a"), (1, b"b"), (2, b"ab"), (3, b"ba")]);
        let rule = |l: &[u8], r: &[u8]| (l.to_vec(), r.to_vec());
        source.merges = vec![
            rule(b"b", b"a"),
            rule(b"a", b"a"),
            rule(b"a", b"c"),
            rule(b"a", b"b"),
            rule(b"b", b"a"),
        ];
        // Rows: a 0, ab 1, b 2, ba 3.
        assert_eq!(source.plan().unwrap().merges, [(2, 0), (0, 2)]);
    }

    #[test]
    fn an_empty_vocabulary_is_refused() {
        assert!(vocabulary(&[(0, b"")]).plan().is_err());
    }
}
