//! From a source model's vocabulary to the rows of a packed one.
//!
//! A packed model orders its tokens by their bytes, because the coder walks a token as a path of
//! bytes and wants every prefix to be one contiguous range. This module decides which source tokens
//! get a row and which row of the source's embedding each takes, and rewrites the merge rules from
//! token strings to rows. Each format and each kind of vocabulary has a file that says which bytes
//! a token stands for.
//!
//! Special tokens are left out, because they must never match text. Empty tokens are left out, too.
//! Of several tokens with equal bytes, only one is kept: the one that the source's tokenizer would
//! find first. A beginning-of-sequence token gets an input row behind all output rows: it can be
//! fed, never predicted.

mod byte_level;
#[cfg(test)]
mod cuts;
pub(super) mod gguf;
pub(super) mod hugging_face;
mod pre_tokenizer;
mod sentence_piece;

use super::SourceError;
use crate::arch::{Algorithm, Segmentation};
use crate::tokenizer::UNKNOWN_PENALTY;
use std::collections::{HashMap, HashSet};

/// Largest vocabulary that can be packed.
const MAX_TOKENS: usize = 1 << 20;

/// Largest magnitude of a score: the logarithm of a probability.
const MAX_SCORE: f32 = 65_536.0;

/// The tokens of a source model that stand for text, before sorting.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// In any order.
    pub tokens: Vec<Token>,
    /// How tokens merge.
    pub merges: Merges,
    /// Source id of the token that begins a text, if the model has one.
    pub bos: Option<u32>,
    /// The `pre_tokenizer` fragment of tokenizer.json, or null.
    pub pre_tokenizer: serde_json::Value,
    /// How a word becomes tokens.
    pub algorithm: Algorithm,
    /// Whether the pre-tokenizer sees U+2581 in place of spaces.
    pub escaped_spaces: bool,
}

/// A token that stands for text.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// Its id in the source.
    pub id: u32,
    /// What it stands for.
    pub bytes: Vec<u8>,
    /// How text comes to contain it.
    pub kind: Kind,
    /// Logarithm of its probability, where the source has one.
    pub score: Option<f32>,
}

/// How text comes to contain a token. Of several tokens with equal bytes, the first kind is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It is looked for before anything else.
    Added,
    /// By the merges or the scores.
    Normal,
    /// It stands for a byte of a character that is no token. No merge leads to it or from it.
    Byte,
}

/// How tokens merge.
#[derive(Debug, Clone)]
pub enum Merges {
    /// The bytes of the two parts of each rule, most important first.
    Listed(Vec<(Vec<u8>, Vec<u8>)>),
    /// Any two tokens merge that make a third one. The best score comes first.
    ByScore,
}

impl Default for Merges {
    fn default() -> Self {
        Merges::Listed(Vec::new())
    }
}

/// A vocabulary laid out in packed rows.
#[derive(Debug, Clone, PartialEq)]
pub struct RowPlan {
    /// Source id of each input row; the first `tokens.len()` of them are output rows too.
    pub rows: Vec<u32>,
    /// Bytes of each output row, strictly ascending.
    pub tokens: Vec<Vec<u8>>,
    /// Merge rules as pairs of rows, most important first.
    pub merges: Vec<(u32, u32)>,
    /// Score of each output row for `Unigram`; else none.
    pub scores: Vec<f32>,
    /// Input row of the beginning-of-sequence token.
    pub bos: Option<u32>,
    /// How text is cut into tokens.
    pub segmentation: Segmentation,
}

impl Vocabulary {
    /// Sorts, removes duplicates and renumbers.
    ///
    /// Merges whose parts or result are not rows are dropped. Of a repeated pair the first counts.
    ///
    /// # Errors
    /// When no token is left, or more than 2^20, or a score has no meaning.
    pub fn plan(&self) -> Result<RowPlan, SourceError> {
        let sorted = self.sorted()?;
        let row_of: HashMap<&[u8], u32> = (0u32..)
            .zip(&sorted)
            .map(|(row, token)| (&token.bytes[..], row))
            .collect();
        let merges = match &self.merges {
            Merges::Listed(rules) => listed_merges(rules, &row_of),
            Merges::ByScore => merges_by_score(&sorted, &row_of),
        };
        let mut rows: Vec<u32> = sorted.iter().map(|token| token.id).collect();
        let bos = self.bos.map(|id| {
            let row = rows.iter().position(|&source| source == id);
            row.unwrap_or_else(|| {
                rows.push(id);
                rows.len() - 1
            }) as u32
        });
        let added = (0u32..).zip(&sorted);
        let added = added.filter(|(_, token)| token.kind == Kind::Added);
        Ok(RowPlan {
            tokens: sorted.iter().map(|token| token.bytes.clone()).collect(),
            rows,
            merges,
            scores: match self.algorithm {
                Algorithm::Unigram => scores(&sorted)?,
                Algorithm::ByteLevelBpe | Algorithm::Bpe => Vec::new(),
            },
            bos,
            segmentation: Segmentation {
                algorithm: self.algorithm,
                escaped_spaces: self.escaped_spaces,
                added: added.map(|(row, _)| row).collect(),
            },
        })
    }

    /// The tokens that get a row, in the order of the rows.
    fn sorted(&self) -> Result<Vec<&Token>, SourceError> {
        let tokens = self.tokens.iter();
        let mut sorted: Vec<&Token> = tokens.filter(|token| !token.bytes.is_empty()).collect();
        sorted.sort_unstable_by_key(|token| (&token.bytes, token.kind, token.id));
        sorted.dedup_by_key(|token| &token.bytes);
        match sorted.len() {
            0 => Err(SourceError::invalid("the vocabulary has no ordinary token")),
            count if count > MAX_TOKENS => Err(SourceError::Unsupported(format!(
                "a vocabulary of {count} tokens (the limit is {MAX_TOKENS})"
            ))),
            _ => Ok(sorted),
        }
    }
}

fn listed_merges(rules: &[(Vec<u8>, Vec<u8>)], row_of: &HashMap<&[u8], u32>) -> Vec<(u32, u32)> {
    let mut seen = HashSet::new();
    let mut merges = Vec::new();
    let mut joined = Vec::new();
    for (left, right) in rules {
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
    merges
}

/// Every way to make a normal token from two others, by falling score. Tokens with equal scores
/// keep the order of their ids; so do the ways to make one token.
fn merges_by_score(sorted: &[&Token], row_of: &HashMap<&[u8], u32>) -> Vec<(u32, u32)> {
    let normal = |bytes: &[u8]| {
        let row = *row_of.get(bytes)?;
        let token = sorted[row as usize];
        (token.kind == Kind::Normal).then_some((token.id, row))
    };
    let mut results: Vec<&Token> = sorted.to_vec();
    results.retain(|token| token.kind == Kind::Normal);
    results.sort_unstable_by(|a, b| {
        let score = |token: &Token| token.score.unwrap_or(0.0);
        score(b).total_cmp(&score(a)).then(a.id.cmp(&b.id))
    });
    let mut merges = Vec::new();
    for token in results {
        let cuts = 1..token.bytes.len();
        let ways = cuts.filter_map(|cut| {
            let (left, right) = token.bytes.split_at(cut);
            Some((normal(left)?, normal(right)?))
        });
        let mut ways: Vec<_> = ways.collect();
        ways.sort_unstable();
        merges.extend(ways.iter().map(|((_, left), (_, right))| (*left, *right)));
    }
    merges
}

/// The scores of rows. A token without a score is as likely as an unknown character.
fn scores(sorted: &[&Token]) -> Result<Vec<f32>, SourceError> {
    let known = || sorted.iter().filter_map(|token| token.score);
    if let Some(bad) = known().find(|score| score.is_nan() || score.abs() > MAX_SCORE) {
        return Err(SourceError::Invalid(format!("a token has the score {bad}")));
    }
    let unknown = known().fold(0.0, f32::min) - UNKNOWN_PENALTY as f32;
    let unknown = unknown.max(-MAX_SCORE);
    let scores = sorted.iter().map(|token| token.score.unwrap_or(unknown));
    Ok(scores.collect())
}

/// Whether the name of an added token says that it only fills up the vocabulary, as `[PAD151665]`
/// and `<unused17>` do. No text contains it.
fn is_filler(name: &str) -> bool {
    let number = |open: &str, close: char| {
        let number = name.strip_prefix(open)?.strip_suffix(close)?;
        Some(!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    number("[PAD", ']') == Some(true) || number("<unused", '>') == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: u32, bytes: &[u8]) -> Token {
        Token {
            id,
            bytes: bytes.to_vec(),
            kind: Kind::Normal,
            score: None,
        }
    }

    fn vocabulary(tokens: &[(u32, &[u8])]) -> Vocabulary {
        Vocabulary {
            tokens: tokens.iter().map(|(id, b)| token(*id, b)).collect(),
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
        source.merges = Merges::Listed(vec![
            rule(b"b", b"a"),
            rule(b"a", b"a"),
            rule(b"a", b"c"),
            rule(b"a", b"b"),
            rule(b"b", b"a"),
        ]);
        // Rows: a 0, ab 1, b 2, ba 3.
        assert_eq!(source.plan().unwrap().merges, [(2, 0), (0, 2)]);
    }

    #[test]
    fn an_empty_vocabulary_is_refused() {
        assert!(vocabulary(&[(0, b"")]).plan().is_err());
    }

    #[test]
    fn an_added_token_is_kept_before_a_normal_one_and_that_before_a_byte() {
        let mut source = vocabulary(&[(1, b"a"), (2, b"a"), (3, b"b"), (4, b"b"), (5, b"c")]);
        source.tokens[1].kind = Kind::Added;
        source.tokens[2].kind = Kind::Byte;
        source.tokens[4].kind = Kind::Added;
        let plan = source.plan().unwrap();
        assert_eq!(plan.rows, [2, 4, 5]);
        assert_eq!(plan.segmentation.added, [0, 2]);
    }

    #[test]
    fn scores_give_the_merges() {
        let tokens: [&[u8]; 8] = [b"a", b"b", b"c", b"ab", b"bc", b"abc", b"\xc3", b"\xa9"];
        let mut source = Vocabulary {
            tokens: (0..)
                .zip(tokens)
                .map(|(id, bytes)| token(id, bytes))
                .collect(),
            merges: Merges::ByScore,
            ..Vocabulary::default()
        };
        for (token, score) in source
            .tokens
            .iter_mut()
            .zip([0., 0., 0., -2., -1., -3., 0., 0.])
        {
            token.score = Some(score);
        }
        source.tokens.push(token(8, "\u{e9}".as_bytes()));
        source.tokens[6].kind = Kind::Byte;
        source.tokens[7].kind = Kind::Byte;
        let plan = source.plan().unwrap();
        // Rows: a 0, ab 1, abc 2, b 3, bc 4, c 5. Bytes do not merge.
        assert_eq!(plan.merges, [(3, 5), (0, 3), (0, 4), (1, 5)]);
        assert!(plan.scores.is_empty());
    }

    #[test]
    fn a_token_without_a_score_is_unlikely() {
        let mut source = vocabulary(&[(0, b"a"), (1, b"b")]);
        source.algorithm = Algorithm::Unigram;
        source.tokens[1].score = Some(-4.5);
        assert_eq!(source.plan().unwrap().scores, [-14.5, -4.5]);
        source.tokens[1].score = Some(-65_536.0);
        assert_eq!(source.plan().unwrap().scores, [-65_536.0; 2]);
        for bad in [f32::NAN, f32::INFINITY, -65_536.01] {
            source.tokens[1].score = Some(bad);
            assert!(source.plan().is_err(), "{bad}");
        }
    }

    #[test]
    fn fillers_are_known_by_their_names() {
        for (name, filler) in [
            ("[PAD151665]", true),
            ("<unused17>", true),
            ("[PAD]", false),
            ("<unused>", false),
            ("[PAD1x]", false),
            ("  ", false),
            ("<table>", false),
        ] {
            assert_eq!(is_filler(name), filler, "{name}");
        }
    }
}
