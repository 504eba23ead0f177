//! Cuts bytes into tokens: rows of a packed model's vocabulary. Only the encoder needs it.
//!
//! The decoder never runs this code, so any cut whose bytes concatenate to the input is right; a
//! better one only makes files smaller. That freedom decides the design:
//!
//! - The `tokenizers` crate finds the boundaries of words in text, by the `pre_tokenizer` of the
//!   model's tokenizer.json. This module merges inside a word itself, on bytes, so invalid UTF-8
//!   takes the same path as everything else and no byte can be dropped.
//! - A byte without a token of its own becomes [`Symbol::Byte`], an escape.
//! - Long inputs are cut where a word boundary is certain, so memory stays bounded and the cut of
//!   one place cannot depend on text far away.
//! - The concatenation is checked. A chunk that fails is coded byte by byte: a bug here can cost
//!   ratio, never data.
//!
//! This folder knows packed models and symbols, but no block and no predictor.

pub use crate::codec::Symbol;
use crate::packed::PackedModel;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use tokenizers::{
    OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, PreTokenizerWrapper,
};

/// Bytes of text handed to the pre-tokenizer at a time: it keeps about 50 bytes of bookkeeping for
/// each.
const CHUNK: usize = 32 << 10;

/// Longest run of bytes merged as one word; merging is quadratic in it.
const WORD: usize = 512;

/// Entries of the word cache, which lives for one call.
const CACHE: usize = 1 << 16;

/// No row, no priority.
const NONE: u32 = u32::MAX;

/// Why no tokenizer could be made from a packed model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// Neither this crate nor the `tokenizers` crate knows the pre-tokenizer.
    #[error("the model's pre-tokenizer is not understood: {0}")]
    PreTokenizer(String),
}

/// A byte-level byte-pair encoder over the rows of one packed model.
pub struct Tokenizer {
    /// Bytes of all tokens.
    bytes: Vec<u8>,
    /// Where each row starts in `bytes`, and where the last one ends.
    offsets: Vec<usize>,
    /// Finds the words; without it, all text is one word.
    split: Option<PreTokenizerWrapper>,
    /// Row of each single byte, [`NONE`] where the vocabulary has none.
    single: [u32; 256],
    /// (left row, right row) -> (priority, row of the concatenation).
    merges: HashMap<u64, (u32, u32), BuildHasherDefault<PairHasher>>,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("merges", &self.merges.len())
            .finish_non_exhaustive()
    }
}

/// Hash of a pair of rows: one multiplication. Nobody gains by choosing keys that collide: a slow
/// table slows only its author.
#[derive(Default)]
struct PairHasher(u64);

impl Hasher for PairHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only u64 keys are hashed")
    }
    fn write_u64(&mut self, key: u64) {
        let product = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ (product >> 29);
    }
}

fn pair(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

impl Tokenizer {
    /// Prepares the tables of `model`'s vocabulary.
    ///
    /// # Errors
    /// When the pre-tokenizer stored in the model is not understood.
    pub fn new(model: &PackedModel) -> Result<Tokenizer, TokenizerError> {
        let fragment = without_byte_mapping(&model.config().pre_tokenizer);
        let split = match fragment {
            serde_json::Value::Null => None,
            fragment => Some(
                serde_json::from_value(fragment)
                    .map_err(|error| TokenizerError::PreTokenizer(error.to_string()))?,
            ),
        };
        let tokens = model.tokens();
        let mut single = [NONE; 256];
        let mut row_of: HashMap<&[u8], u32> = HashMap::with_capacity(tokens.len());
        let (mut all, mut offsets) = (Vec::new(), vec![0]);
        for row in 0..tokens.len() as u32 {
            let bytes = tokens.bytes(row);
            if let [byte] = bytes {
                single[usize::from(*byte)] = row;
            }
            row_of.insert(bytes, row);
            all.extend_from_slice(bytes);
            offsets.push(all.len());
        }
        let mut merges = HashMap::default();
        let mut joined = Vec::new();
        for (priority, (left, right)) in (0u32..).zip(model.merges()) {
            joined.clear();
            joined.extend_from_slice(tokens.bytes(left));
            joined.extend_from_slice(tokens.bytes(right));
            if let Some(&result) = row_of.get(&joined[..]) {
                merges
                    .entry(pair(left, right))
                    .or_insert((priority, result));
            }
        }
        Ok(Tokenizer {
            bytes: all,
            offsets,
            split,
            single,
            merges,
        })
    }

    /// Cuts any `input` into symbols whose bytes concatenate to it.
    ///
    /// The result depends on `input` alone. Memory beside the result is bounded.
    pub fn encode(&self, input: &[u8]) -> Vec<Symbol> {
        let mut pieces = Vec::with_capacity(input.len() / 3 + 8);
        let mut cache = HashMap::new();
        let mut rest = input;
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(safe_cut(rest));
            let start = pieces.len();
            self.encode_chunk(chunk, &mut cache, &mut pieces);
            if !self.spells(&pieces[start..], chunk) {
                pieces.truncate(start);
                pieces.extend(chunk.iter().map(|&byte| self.byte(byte)));
            }
            rest = after;
        }
        pieces
    }

    /// The bytes of `pieces`, one after the other.
    pub fn decode(&self, pieces: &[Symbol]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for &piece in pieces {
            match piece {
                Symbol::Token(row) => bytes.extend_from_slice(self.token(row)),
                Symbol::Byte(byte) => bytes.push(byte),
            }
        }
        bytes
    }

    fn token(&self, row: u32) -> &[u8] {
        let row = row as usize;
        &self.bytes[self.offsets[row]..self.offsets[row + 1]]
    }

    fn spells(&self, pieces: &[Symbol], text: &[u8]) -> bool {
        let rest = pieces.iter().try_fold(text, |rest, &piece| match piece {
            Symbol::Token(row) => rest.strip_prefix(self.token(row)),
            Symbol::Byte(byte) => rest.strip_prefix(&[byte]),
        });
        rest.is_some_and(<[u8]>::is_empty)
    }

    fn byte(&self, byte: u8) -> Symbol {
        match self.single[usize::from(byte)] {
            NONE => Symbol::Byte(byte),
            row => Symbol::Token(row),
        }
    }

    fn encode_chunk<'a>(
        &self,
        chunk: &'a [u8],
        cache: &mut HashMap<&'a [u8], Box<[Symbol]>>,
        pieces: &mut Vec<Symbol>,
    ) {
        for run in chunk.utf8_chunks() {
            let text = run.valid();
            let mut done = 0;
            for (start, end) in self.words(text) {
                // Offsets that run backwards or past the text would be a bug of the splitter; the
                // check after the chunk catches what this skips.
                let Some(word) = text.as_bytes().get(start..end) else {
                    break;
                };
                if start != done {
                    break;
                }
                self.encode_word(word, cache, pieces);
                done = end;
            }
            self.encode_word(&text.as_bytes()[done..], cache, pieces);
            self.encode_word(run.invalid(), cache, pieces);
        }
    }

    /// Byte ranges of the words of `text`; none if the splitter fails.
    fn words(&self, text: &str) -> Vec<(usize, usize)> {
        let whole = vec![(0, text.len())];
        let Some(split) = &self.split else {
            return whole;
        };
        let mut words = PreTokenizedString::from(text);
        if split.pre_tokenize(&mut words).is_err() {
            return whole;
        }
        words
            .get_splits(OffsetReferential::Original, OffsetType::Byte)
            .into_iter()
            .map(|(_, range, _)| range)
            .collect()
    }

    fn encode_word<'a>(
        &self,
        word: &'a [u8],
        cache: &mut HashMap<&'a [u8], Box<[Symbol]>>,
        pieces: &mut Vec<Symbol>,
    ) {
        for part in word.chunks(WORD) {
            if let Some(known) = cache.get(part) {
                pieces.extend_from_slice(known);
                continue;
            }
            let start = pieces.len();
            self.merge(part, pieces);
            if part.len() <= 32 && cache.len() < CACHE {
                cache.insert(part, pieces[start..].into());
            }
        }
    }

    /// Byte-pair merging: the adjacent pair of the best priority first, the leftmost among equals,
    /// until no pair has a rule.
    fn merge(&self, word: &[u8], pieces: &mut Vec<Symbol>) {
        // Row of each symbol, NONE with the byte beside it for escapes, and the priority and result
        // of merging it with its right neighbour.
        let mut symbols: Vec<(u32, u8, u32, u32)> = word
            .iter()
            .map(|&byte| (self.single[usize::from(byte)], byte, NONE, NONE))
            .collect();
        let rule = |left: u32, right: u32| {
            if left == NONE || right == NONE {
                return (NONE, NONE);
            }
            let found = self.merges.get(&pair(left, right));
            found.copied().unwrap_or((NONE, NONE))
        };
        for i in 1..symbols.len() {
            let (priority, result) = rule(symbols[i - 1].0, symbols[i].0);
            (symbols[i - 1].2, symbols[i - 1].3) = (priority, result);
        }
        loop {
            let (mut best, mut place) = (NONE, 0);
            for (i, symbol) in symbols.iter().enumerate() {
                if symbol.2 < best {
                    (best, place) = (symbol.2, i);
                }
            }
            if best == NONE {
                break;
            }
            symbols[place].0 = symbols[place].3;
            symbols.remove(place + 1);
            let next = symbols.get(place + 1).map_or(NONE, |s| s.0);
            (symbols[place].2, symbols[place].3) = rule(symbols[place].0, next);
            if place > 0 {
                let (priority, result) = rule(symbols[place - 1].0, symbols[place].0);
                (symbols[place - 1].2, symbols[place - 1].3) = (priority, result);
            }
        }
        pieces.extend(symbols.iter().map(|&(row, byte, _, _)| match row {
            NONE => Symbol::Byte(byte),
            row => Symbol::Token(row),
        }));
    }
}

/// Length of the next chunk of `input`, which is not empty.
///
/// A small input is one chunk. A longer one is cut in the second half of the limit, where a word
/// ends whatever follows: if possible after the end of a line between two visible characters, else
/// before a single space, else at a character boundary.
fn safe_cut(input: &[u8]) -> usize {
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

/// The splitting rule of GPT-2; `ByteLevel` with `use_regex` means this one.
const GPT2_SPLIT: &str =
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// A pre-tokenizer fragment that only splits. `ByteLevel` also rewrites bytes as characters, which
/// must not happen here, so the rule that it splits by takes its place.
fn without_byte_mapping(fragment: &serde_json::Value) -> serde_json::Value {
    use serde_json::{Value, json};
    match fragment.get("type").and_then(Value::as_str) {
        Some("ByteLevel") => match fragment.get("use_regex").and_then(Value::as_bool) {
            Some(false) => Value::Null,
            _ => json!({"type": "Split", "pattern": {"Regex": GPT2_SPLIT},
                        "behavior": "Isolated", "invert": false}),
        },
        Some("Sequence") => {
            let parts = fragment.get("pretokenizers").and_then(Value::as_array);
            let parts: Vec<Value> = parts
                .into_iter()
                .flatten()
                .map(without_byte_mapping)
                .filter(|part| !part.is_null())
                .collect();
            match parts.is_empty() {
                true => Value::Null,
                false => json!({"type": "Sequence", "pretokenizers": parts}),
            }
        }
        _ => fragment.clone(),
    }
}

#[cfg(all(test, feature = "builtin"))]
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

    #[test]
    fn byte_level_becomes_the_split_it_stands_for() {
        let fragment = serde_json::json!({"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": true},
            {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}]});
        let parts = &without_byte_mapping(&fragment)["pretokenizers"];
        assert_eq!(parts[0]["type"], "Digits");
        assert_eq!(parts[1]["type"], "Split");
        let plain = serde_json::json!({"type": "ByteLevel", "use_regex": false});
        assert!(without_byte_mapping(&plain).is_null());
    }

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
        let mut lacking = Tokenizer::new(&embedded::default().open()).unwrap();
        for &byte in bytes {
            lacking.single[usize::from(byte)] = NONE;
        }
        lacking
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
        let lacking = without(&[0x04, 0xf1, b'h']);
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
        assert_eq!(escaped, [0x04, 0xf1, b'h', b'h']);
    }

    #[test]
    fn a_wrong_table_costs_ratio_and_no_data() {
        let mut wrong = Tokenizer::new(&embedded::default().open()).unwrap();
        let row = wrong.single[usize::from(b'x')];
        wrong
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
