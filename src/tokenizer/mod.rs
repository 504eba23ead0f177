//! Cuts bytes into tokens: rows of a packed model's vocabulary. Only the encoder needs it.
//!
//! The decoder never runs this code, so any cut whose bytes concatenate to the input is right; a
//! better one only makes files smaller. That freedom decides the design:
//!
//! - The cut is the one that the `tokenizers` crate makes with the model's tokenizer.json, because
//!   the model has learned such cuts. First the added tokens are taken out of the text. What
//!   remains is cut into words by the `pre_tokenizer`, with that crate. Each word becomes tokens by
//!   merges or by scores; this folder does that itself.
//! - Nothing is normalised. A `SentencePiece` vocabulary puts a space in front of each text, of
//!   which the input knows nothing. So its first word is cut as if it stood inside a word. To put a
//!   space there and to take it away again would save a few bits once for each block, and would
//!   need a mark in the file.
//! - All tokens are bytes, so invalid UTF-8 takes the same path as everything else and no byte can
//!   be dropped. A byte without a token of its own becomes [`Symbol::Byte`], an escape.
//! - Long inputs are cut into chunks where a word boundary is certain, so memory stays bounded and
//!   the cut of one place cannot depend on text far away.
//! - The concatenation is checked. A chunk that fails is coded byte by byte: a bug here can cost
//!   ratio, never data.
//!
//! This folder knows packed models and symbols, but no block and no predictor.

mod added;
mod bpe;
mod chunk;
mod error;
mod splitter;
mod unigram;

#[cfg(feature = "convert")]
use crate::arch::Config;
use crate::arch::{Algorithm, Segmentation};
pub use crate::codec::Symbol;
use crate::packed::{OwnedTokenTable, PackedModel, TokenTable};
use added::{Added, Piece};
use bpe::Bpe;
use chunk::safe_cut;
pub use error::TokenizerError;
pub(crate) use splitter::Splitter;
use std::collections::HashMap;
#[cfg(feature = "convert")]
pub(crate) use unigram::UNKNOWN_PENALTY;
use unigram::Unigram;

/// Entries of the word cache, which lives for one call.
const CACHE: usize = 1 << 16;

/// Longest word in the cache, in bytes.
const CACHED_WORD: usize = 32;

/// Cuts text into rows of one packed model.
pub struct Tokenizer {
    tokens: OwnedTokenTable,
    added: Added,
    splitter: Splitter,
    bpe: Bpe,
    /// Takes the place of the merges, if there is one.
    unigram: Option<Unigram>,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("tokens", &self.tokens.table().len())
            .finish_non_exhaustive()
    }
}

/// Words that have been cut.
type Cache<'a> = HashMap<&'a [u8], Box<[Symbol]>>;

impl Tokenizer {
    /// Prepares the tables of `model`'s vocabulary.
    ///
    /// # Errors
    /// When the pre-tokenizer stored in the model is not understood.
    pub fn new(model: &PackedModel) -> Result<Tokenizer, TokenizerError> {
        let config = model.config();
        let (pre_tokenizer, segmentation) = (&config.pre_tokenizer, &config.segmentation);
        let splitter = Splitter::new(pre_tokenizer, segmentation.escaped_spaces)?;
        let (tokens, merges, scores) = (model.tokens(), model.merges(), model.scores());
        Ok(Tokenizer::build(
            tokens,
            merges,
            scores,
            splitter,
            segmentation,
        ))
    }

    /// The tokenizer of a model that is not packed yet: of its tokens in the order of the packed
    /// model, its merges and its scores.
    ///
    /// # Errors
    /// As [`Tokenizer::new`].
    #[cfg(feature = "convert")]
    pub(crate) fn of_vocabulary(
        tokens: &[Vec<u8>],
        merges: &[(u32, u32)],
        scores: &[f32],
        config: &Config,
    ) -> Result<Tokenizer, TokenizerError> {
        let (pre_tokenizer, segmentation) = (&config.pre_tokenizer, &config.segmentation);
        let splitter = Splitter::new(pre_tokenizer, segmentation.escaped_spaces)?;
        let owned = OwnedTokenTable::new(tokens);
        Ok(Tokenizer::build(
            owned.table(),
            merges.iter().copied(),
            scores,
            splitter,
            segmentation,
        ))
    }

    /// The tokenizer of a vocabulary: its tokens, pairs of rows that merge, and scores of rows.
    pub(crate) fn build(
        tokens: TokenTable<'_>,
        merges: impl Iterator<Item = (u32, u32)>,
        scores: &[f32],
        splitter: Splitter,
        segmentation: &Segmentation,
    ) -> Tokenizer {
        let characters = segmentation.algorithm != Algorithm::ByteLevelBpe;
        Tokenizer {
            tokens: OwnedTokenTable::select(tokens, 0..tokens.len() as u32),
            added: Added::new(tokens, &segmentation.added),
            splitter,
            bpe: Bpe::new(tokens, merges, characters),
            unigram: match segmentation.algorithm {
                Algorithm::Unigram => Some(Unigram::new(scores)),
                Algorithm::ByteLevelBpe | Algorithm::Bpe => None,
            },
        }
    }

    /// Cuts any `input` into symbols whose bytes concatenate to it.
    ///
    /// The result depends on `input` alone. Memory beside the result is bounded.
    pub fn encode(&self, input: &[u8]) -> Vec<Symbol> {
        let mut symbols = Vec::with_capacity(input.len() / 3 + 8);
        let mut cache = HashMap::new();
        let mut rest = input;
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(safe_cut(rest));
            let start = symbols.len();
            self.encode_chunk(chunk, &mut cache, &mut symbols);
            if !self.spells(&symbols[start..], chunk) {
                symbols.truncate(start);
                symbols.extend(chunk.iter().map(|&byte| self.bpe.byte(byte)));
            }
            rest = after;
        }
        symbols
    }

    /// The bytes of `symbols`, one after the other.
    pub fn decode(&self, symbols: &[Symbol]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for &symbol in symbols {
            match symbol {
                Symbol::Token(row) => bytes.extend_from_slice(self.tokens.table().bytes(row)),
                Symbol::Byte(byte) => bytes.push(byte),
            }
        }
        bytes
    }

    fn spells(&self, symbols: &[Symbol], text: &[u8]) -> bool {
        let tokens = self.tokens.table();
        let rest = symbols.iter().try_fold(text, |rest, &symbol| match symbol {
            Symbol::Token(row) => rest.strip_prefix(tokens.bytes(row)),
            Symbol::Byte(byte) => rest.strip_prefix(&[byte]),
        });
        rest.is_some_and(<[u8]>::is_empty)
    }

    fn encode_chunk<'a>(&self, chunk: &'a [u8], cache: &mut Cache<'a>, symbols: &mut Vec<Symbol>) {
        for piece in self.added.pieces(chunk) {
            match piece {
                Piece::Token(row) => symbols.push(Symbol::Token(row)),
                Piece::Text(text) => self.encode_text(text, cache, symbols),
            }
        }
    }

    fn encode_text<'a>(&self, text: &'a [u8], cache: &mut Cache<'a>, symbols: &mut Vec<Symbol>) {
        for run in text.utf8_chunks() {
            let valid = run.valid();
            let mut done = 0;
            for (_, end) in self.splitter.words(valid) {
                // What lies between two words belongs to the second: where a pre-tokenizer removes
                // spaces, a later part of it puts one in front of each word. Ends that run
                // backwards or past the text would be a bug of the splitter; the check after the
                // chunk catches what this skips.
                let Some(word) = valid.as_bytes().get(done..end) else {
                    break;
                };
                self.encode_word(word, cache, symbols);
                done = end;
            }
            self.encode_word(&valid.as_bytes()[done..], cache, symbols);
            self.encode_word(run.invalid(), cache, symbols);
        }
    }

    fn encode_word<'a>(&self, word: &'a [u8], cache: &mut Cache<'a>, symbols: &mut Vec<Symbol>) {
        if word.is_empty() {
            return;
        }
        if let Some(known) = cache.get(word) {
            symbols.extend_from_slice(known);
            return;
        }
        let start = symbols.len();
        let tokens = self.tokens.table();
        match &self.unigram {
            Some(unigram) => unigram.encode(word, tokens, symbols),
            None => self.bpe.encode(word, tokens, symbols),
        }
        if word.len() <= CACHED_WORD && cache.len() < CACHE {
            cache.insert(word, symbols[start..].into());
        }
    }
}

#[cfg(all(test, feature = "builtin"))]
mod tests {
    use super::*;
    use crate::store::embedded;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static DEFAULT: LazyLock<Tokenizer> =
        LazyLock::new(|| Tokenizer::new(&embedded::default().open()).unwrap());

    fn tokens(text: &[u8]) -> Vec<Vec<u8>> {
        let pieces = DEFAULT.encode(text);
        pieces.iter().map(|&p| DEFAULT.decode(&[p])).collect()
    }

    /// The default tokenizer without rows for `bytes`, as `SmolLM2` lacks some.
    fn without(bytes: &[u8]) -> Tokenizer {
        let model = embedded::default().open();
        let all = model.tokens();
        let lacks = |row: &u32| matches!(all.bytes(*row), [byte] if bytes.contains(byte));
        let kept: Vec<u32> = (0..all.len() as u32).filter(|row| !lacks(row)).collect();
        let table = OwnedTokenTable::select(all, kept.iter().copied());
        let place = |row| kept.binary_search(&row).ok().map(|place| place as u32);
        let merges = model
            .merges()
            .filter_map(|(l, r)| Some((place(l)?, place(r)?)));
        let splitter = Splitter::new(&model.config().pre_tokenizer, false).unwrap();
        let plain = Segmentation::default();
        Tokenizer::build(table.table(), merges, &[], splitter, &plain)
    }

    #[test]
    fn words_become_tokens_and_digits_stand_alone() {
        let cut = tokens(b"the house and the 42 trees\n");
        let cut: Vec<&str> = cut.iter().map(|t| str::from_utf8(t).unwrap()).collect();
        assert_eq!(cut[..2], ["the", " house"]);
        assert!(cut.windows(2).any(|w| w == ["4", "2"]), "{cut:?}");
    }

    #[test]
    fn the_cut_is_that_of_the_tokenizers_crate() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/fixtures/fixture-hf/tokenizer.json"
        );
        let theirs = tokenizers::Tokenizer::from_file(path).unwrap();
        let model = PackedModel::from_bytes(embedded::FIXTURE).unwrap();
        let ours = Tokenizer::new(&model).unwrap();
        let text = include_str!("../import/gguf/mod.rs").to_owned()
            + "\u{e9}t\u{e9} \u{4e2d}\u{6587} 12  \n\n x\r\n";
        let encoding = theirs.encode(text.as_str(), false).unwrap();
        // One byte-level character stands for one byte.
        let tokens = encoding.get_tokens().iter();
        let theirs: Vec<usize> = tokens.map(|token| token.chars().count()).collect();
        let ours: Vec<usize> = ours
            .encode(text.as_bytes())
            .iter()
            .map(|&piece| ours.decode(&[piece]).len())
            .collect();
        assert!(ours == theirs, "{} and {}", ours.len(), theirs.len());
    }

    #[test]
    fn special_tokens_never_match_text() {
        let text = b"a\x04b<|endoftext|>";
        let pieces = DEFAULT.encode(text);
        assert_eq!(DEFAULT.decode(&pieces), text);
        assert!(pieces.len() > 5, "{pieces:?}");
    }

    #[test]
    fn bytes_without_a_row_become_escapes() {
        let lacking = without(&[0x04, 0xf1]);
        let text = "a\u{4}b\u{40000} the hat".as_bytes();
        let pieces = lacking.encode(text);
        assert_eq!(lacking.decode(&pieces), text);
        let escaped: Vec<u8> = pieces
            .iter()
            .filter_map(|p| match p {
                Symbol::Byte(byte) => Some(*byte),
                Symbol::Token(_) => None,
            })
            .collect();
        assert_eq!(escaped, [0x04, 0xf1]);
    }

    #[test]
    fn a_wrong_table_costs_ratio_and_no_data() {
        let mut wrong = Tokenizer::new(&embedded::default().open()).unwrap();
        let Symbol::Token(row) = wrong.bpe.byte(b'x') else {
            panic!("every byte is a token");
        };
        wrong
            .bpe
            .merges
            .values_mut()
            .for_each(|(_, result)| *result = row);
        let text = b"the house that Jack built";
        assert_eq!(wrong.decode(&wrong.encode(text)), text);
    }

    #[test]
    fn long_runs_of_one_byte_are_cut_in_good_time() {
        for filler in [b'a', b' ', b'\n', b'=', b'7', 0, 0x80, 0xff] {
            let text = vec![filler; 300_000];
            assert!(DEFAULT.decode(&DEFAULT.encode(&text)) == text, "{filler}");
        }
    }

    #[test]
    fn the_cache_changes_no_cut() {
        let once = tokens(b" reader");
        assert_eq!(tokens(b" reader reader"), [&once[..], &once[..]].concat());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert_eq!(DEFAULT.decode(&DEFAULT.encode(&bytes)), bytes);
        }

        #[test]
        fn any_text_comes_back(text in "(\\PC|[ \n\r\t<|>a-f0-9]){0,200}", lacking in any::<[u8; 4]>()) {
            let tokenizer = without(&lacking);
            prop_assert_eq!(tokenizer.decode(&tokenizer.encode(text.as_bytes())), text.as_bytes());
        }
    }
}
