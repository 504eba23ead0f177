//! Finds the words of text, by the `pre_tokenizer` of a tokenizer.json.

use super::error::TokenizerError;
use serde_json::{Value, json};
use tokenizers::{
    OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, PreTokenizerWrapper,
};

/// The character that stands for a space in `SentencePiece` vocabularies.
const ESCAPED_SPACE: &str = "\u{2581}";

/// Most digits of one number that the rules see. Some models cut numbers into groups of three from
/// the right; for this, their rules look at all digits behind each digit.
const LONGEST_NUMBER: usize = 255;

/// The splitting rule of GPT-2; `ByteLevel` with `use_regex` means this one.
const GPT2_SPLIT: &str =
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// The types of pre-tokenizers that the `tokenizers` crate has.
const TYPES: [&str; 12] = [
    "BertPreTokenizer",
    "ByteLevel",
    "CharDelimiterSplit",
    "Digits",
    "FixedLength",
    "Metaspace",
    "Punctuation",
    "Sequence",
    "Split",
    "UnicodeScripts",
    "Whitespace",
    "WhitespaceSplit",
];

/// Cuts text into words, inside of which tokens lie.
pub(crate) struct Splitter {
    /// `None` if all text is one word.
    rules: Option<PreTokenizerWrapper>,
    escaped_spaces: bool,
}

impl Splitter {
    /// The splitter that a `pre_tokenizer` fragment describes. With `escaped_spaces` its rules see
    /// U+2581 in place of every space.
    ///
    /// # Errors
    /// When a part of it is not understood.
    pub(crate) fn new(fragment: &Value, escaped_spaces: bool) -> Result<Splitter, TokenizerError> {
        let mut rules = Vec::new();
        collect_rules(fragment, escaped_spaces, &mut rules)?;
        let rules = match rules.iter().any(splits) {
            true => Some(json!({"type": "Sequence", "pretokenizers": rules})),
            false => None,
        };
        Ok(Splitter {
            rules: rules.map(|rules| parse(&rules)).transpose()?,
            escaped_spaces,
        })
    }

    /// Byte ranges of the words of `text`, in order. What lies between two of them belongs to none.
    pub(crate) fn words(&self, text: &str) -> Vec<(usize, usize)> {
        let Some(rules) = &self.rules else {
            return vec![(0, text.len())];
        };
        let mut words = Vec::new();
        let mut start = 0;
        for end in ends(text) {
            let found = self.split(rules, &text[start..end]).into_iter();
            words.extend(found.map(|(from, to)| (start + from, start + to)));
            start = end;
        }
        words
    }

    /// The words of `text` by the `rules`. All of it is one word if they fail.
    fn split(&self, rules: &PreTokenizerWrapper, text: &str) -> Vec<(usize, usize)> {
        let whole = vec![(0, text.len())];
        let mut words = PreTokenizedString::from(text);
        let escape = |words: &mut PreTokenizedString| match self.escaped_spaces {
            true => words.normalize(|part| part.replace(' ', ESCAPED_SPACE)),
            false => Ok(()),
        };
        if escape(&mut words).is_err() || rules.pre_tokenize(&mut words).is_err() {
            return whole;
        }
        words
            .get_splits(OffsetReferential::Original, OffsetType::Byte)
            .into_iter()
            .map(|(_, range, _)| range)
            .collect()
    }
}

/// Where the parts of `text` end that the rules see at a time. They see no number of more than
/// [`LONGEST_NUMBER`] digits whole.
fn ends(text: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut digits = 0;
    for (place, character) in text.char_indices() {
        digits = if character.is_numeric() {
            digits + 1
        } else {
            0
        };
        if digits > LONGEST_NUMBER {
            ends.push(place);
            digits = 1;
        }
    }
    ends.push(text.len());
    ends
}

fn parse(rule: &Value) -> Result<PreTokenizerWrapper, TokenizerError> {
    serde_json::from_value(rule.clone()).map_err(|error| TokenizerError::PreTokenizer {
        name: rule["type"].as_str().unwrap_or("without a type").to_owned(),
        reason: match error.to_string() {
            // The name of a type of the crate's would say nothing to a reader.
            reason if !reason.contains("untagged enum") => reason,
            _ if TYPES.iter().any(|known| rule["type"] == **known) => {
                "its settings have another form than is known".to_owned()
            }
            _ => "there is no such type".to_owned(),
        },
    })
}

/// Adds the rules of `fragment` that cut, or that later rules rely on. Those that rewrite text do
/// so here only if the words keep their places in it.
fn collect_rules(
    fragment: &Value,
    escaped_spaces: bool,
    rules: &mut Vec<Value>,
) -> Result<(), TokenizerError> {
    match fragment["type"].as_str() {
        None if fragment.is_null() => Ok(()),
        Some("Sequence") => {
            let parts = fragment["pretokenizers"].as_array();
            let mut parts = parts.into_iter().flatten();
            parts.try_for_each(|part| collect_rules(part, escaped_spaces, rules))
        }
        // It also rewrites bytes as characters. The rule that it cuts by takes its place.
        Some("ByteLevel") => {
            if fragment["use_regex"].as_bool() != Some(false) {
                rules.push(json!({"type": "Split", "pattern": {"Regex": GPT2_SPLIT},
                                  "behavior": "Isolated", "invert": false}));
            }
            Ok(())
        }
        // It may put a space in front of the text. The text has none, so nothing is put there.
        Some("Metaspace") => {
            rules.push(
                json!({"type": "Metaspace", "replacement": fragment["replacement"],
                              "prepend_scheme": "never",
                              "split": fragment["split"].as_bool().unwrap_or(true)}),
            );
            parse(&rules[rules.len() - 1]).map(drop)
        }
        // The crate would panic at the first text.
        Some(name @ "FixedLength") if fragment["length"] == 0 => {
            Err(TokenizerError::PreTokenizer {
                name: name.to_owned(),
                reason: "words of length 0".to_owned(),
            })
        }
        // There is no space left.
        Some("Split") if escaped_spaces && fragment["pattern"]["String"] == " " => Ok(()),
        _ => {
            parse(fragment)?;
            rules.push(fragment.clone());
            Ok(())
        }
    }
}

fn splits(rule: &Value) -> bool {
    rule["type"] != "Metaspace" || rule["split"] == true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of `text`, each with the bytes in front of it that belong to none.
    fn words(fragment: &Value, escaped_spaces: bool, text: &str) -> Vec<String> {
        let splitter = Splitter::new(fragment, escaped_spaces).unwrap();
        let words = splitter.words(text).into_iter();
        words
            .map(|(start, end)| text[start..end].to_owned())
            .collect()
    }

    #[test]
    fn byte_level_cuts_and_rewrites_nothing() {
        let fragment = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": true},
            {"type": "ByteLevel", "add_prefix_space": true, "use_regex": true}]});
        let cut = words(&fragment, false, "the \u{e9}t\u{e9} of 42");
        assert_eq!(cut, ["the", " \u{e9}t\u{e9}", " of", " ", "4", "2"]);
        let plain = json!({"type": "ByteLevel", "use_regex": false});
        assert_eq!(words(&plain, false, "a b"), ["a b"]);
        assert_eq!(words(&Value::Null, false, "a b"), ["a b"]);
    }

    #[test]
    fn what_is_not_understood_is_told_in_words() {
        for (fragment, reason) in [
            (
                json!({"type": "Split"}),
                "Split is not understood: missing field",
            ),
            (
                json!({"type": "Bert"}),
                "Bert is not understood: there is no such type",
            ),
            (
                json!({"kind": 1}),
                "without a type is not understood: there is no such type",
            ),
        ] {
            let error = Splitter::new(&fragment, false).err().unwrap().to_string();
            assert!(error.contains(reason) && !error.contains("enum"), "{error}");
        }
    }

    #[test]
    fn metaspace_cuts_before_spaces_in_all_its_forms() {
        let form = |more: Value| {
            let mut fragment = json!({"type": "Metaspace", "replacement": "\u{2581}"});
            let more = more.as_object().unwrap().clone();
            fragment.as_object_mut().unwrap().extend(more);
            words(&fragment, false, "a  bc d\u{2581}e")
        };
        let cut = ["a", " ", " bc", " d", "\u{2581}e"];
        assert_eq!(form(json!({"add_prefix_space": true})), cut);
        assert_eq!(form(json!({"add_prefix_space": false})), cut);
        assert_eq!(
            form(json!({"prepend_scheme": "always", "split": true})),
            cut
        );
        let first = json!({"prepend_scheme": "first", "split": false, "add_prefix_space": true});
        assert_eq!(form(first), ["a  bc d\u{2581}e"]);
    }

    #[test]
    fn rules_see_escaped_spaces() {
        let split = |pattern: Value| {
            json!({"type": "Split", "pattern": pattern,
                   "behavior": "MergedWithPrevious", "invert": false})
        };
        let space = split(json!({"String": " "}));
        assert_eq!(words(&space, true, "a b\nc"), ["a b\nc"]);
        assert_eq!(words(&space, false, "a b\nc"), ["a ", "b\nc"]);
        let escaped = split(json!({"String": "\u{2581}"}));
        assert_eq!(words(&escaped, true, "\u{e9} b c"), ["\u{e9} ", "b ", "c"]);
        let after = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Metaspace", "replacement": "\u{2581}", "split": false}, escaped]});
        assert_eq!(words(&after, false, "a b c"), ["a ", "b ", "c"]);
    }

    #[test]
    fn removed_spaces_lie_between_words() {
        let removed = json!({"type": "WhitespaceSplit"});
        assert_eq!(words(&removed, false, " a \n b"), ["a", "b"]);
    }

    #[test]
    fn long_numbers_are_cut_before_the_rules_see_them() {
        let groups = json!({"type": "Split", "pattern": {"Regex": r"(?=(\d{3})+(?!\d))"},
                            "behavior": "Isolated", "invert": false});
        let text = format!("a{}b12345", "7".repeat(600));
        let cut = words(&groups, false, &text);
        assert_eq!(cut.concat(), text);
        assert_eq!(cut[cut.len() - 2..], ["777b12", "345"]);
        assert_eq!(ends(&text), [256, 511, text.len()]);
        assert_eq!(ends(""), [0]);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let reason = |fragment: Value| {
            let sequence = json!({"type": "Sequence", "pretokenizers": [fragment]});
            Splitter::new(&sequence, false).err().unwrap().to_string()
        };
        let unknown = reason(json!({"type": "FancyNewThing"}));
        assert!(unknown.contains("FancyNewThing"), "{unknown}");
        let broken = json!({"type": "Split", "pattern": {"Regex": "(unclosed"},
                            "behavior": "Isolated", "invert": false});
        assert!(reason(broken).contains("Split"));
        assert!(reason(json!({"type": "Metaspace", "replacement": 7})).contains("Metaspace"));
        assert!(reason(json!({"type": "FixedLength", "length": 0})).contains("length 0"));
        assert!(Splitter::new(&json!("words"), false).is_err());
    }
}
