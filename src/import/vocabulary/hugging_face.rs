//! Vocabularies in `tokenizer.json`.

use super::byte_level::{self, ByteLevel};
use super::{Kind, Merges, Token, Vocabulary, is_filler, sentence_piece};
use crate::arch::Algorithm;
use crate::import::SourceError;
use crate::tokenizer::Splitter;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// The vocabulary of a `tokenizer.json`; `bos` is the token that begins a text, unless the file
/// itself says whether there is one.
///
/// # Errors
/// When it is broken or of a kind that is not supported.
pub(in crate::import) fn read(
    tokenizer: &Value,
    bos: Option<u32>,
) -> Result<Vocabulary, SourceError> {
    let model = Model::find(tokenizer)?;
    let pre_tokenizer = &tokenizer["pre_tokenizer"];
    Splitter::new(pre_tokenizer, model.escaped_spaces)
        .map_err(|error| SourceError::Unsupported(error.to_string()))?;
    let added = added_tokens(tokenizer);
    expect_one_text_each(added.iter().map(|added| (added.id, added.content)))?;
    let mut tokens = model.tokens(&added)?;
    tokens.extend(added.iter().filter_map(|added| model.added_token(added)));
    Ok(Vocabulary {
        tokens,
        merges: Merges::Listed(model.merges()),
        bos: match &tokenizer["post_processor"] {
            Value::Null => bos,
            post_processor => first_token(post_processor),
        },
        pre_tokenizer: pre_tokenizer.clone(),
        algorithm: model.algorithm,
        escaped_spaces: model.escaped_spaces,
    })
}

/// The special token that a post-processor puts before a text. A model that has a
/// beginning-of-sequence token but was trained without it is much worse behind it.
fn first_token(post_processor: &Value) -> Option<u32> {
    if let Some(parts) = post_processor["processors"].as_array() {
        return parts.iter().find_map(first_token);
    }
    let id = match post_processor["type"].as_str()? {
        "TemplateProcessing" => {
            let name = post_processor["single"][0]["SpecialToken"]["id"].as_str()?;
            &post_processor["special_tokens"][name]["ids"][0]
        }
        "BertProcessing" | "RobertaProcessing" => &post_processor["cls"][1],
        _ => return None,
    };
    id.as_u64()?.try_into().ok()
}

fn invalid(what: &str) -> SourceError {
    SourceError::Invalid(format!("tokenizer.json: {what}"))
}

/// The object `model` of a tokenizer.json, and what the objects beside it say of its strings.
struct Model<'a> {
    json: &'a Value,
    algorithm: Algorithm,
    /// Whether U+2581 has taken the place of spaces before the pre-tokenizer.
    escaped_spaces: bool,
    byte_level: ByteLevel,
}

/// An entry of `added_tokens`.
struct AddedToken<'a> {
    id: u32,
    content: &'a str,
    /// Whether text can contain it.
    is_text: bool,
}

impl<'a> Model<'a> {
    fn find(tokenizer: &'a Value) -> Result<Model<'a>, SourceError> {
        let json = &tokenizer["model"];
        let escaped_spaces = escapes_spaces(&tokenizer["normalizer"])?;
        let pre_tokenizer = &tokenizer["pre_tokenizer"];
        let algorithm = match json["type"].as_str() {
            Some("Unigram") => Algorithm::Unigram,
            // Old files do not name the type.
            Some("BPE") | None if json["merges"].is_array() => {
                if mentions(pre_tokenizer, "ByteLevel") {
                    Algorithm::ByteLevelBpe
                } else if escaped_spaces
                    || mentions(pre_tokenizer, "Metaspace")
                    || json["byte_fallback"] == true
                {
                    Algorithm::Bpe
                } else {
                    return Err(SourceError::Unsupported(
                        "a BPE vocabulary that is neither byte-level nor SentencePiece's".into(),
                    ));
                }
            }
            None if json["vocab"].is_array() => Algorithm::Unigram,
            Some("BPE") => return Err(invalid("the BPE vocabulary has no merges")),
            Some(other) => {
                return Err(SourceError::Unsupported(format!("tokenizer model {other}")));
            }
            None => return Err(invalid("no model")),
        };
        let affix = |key: &str| json[key].as_str().is_some_and(|affix| !affix.is_empty());
        if let Some(key) = ["continuing_subword_prefix", "end_of_word_suffix"]
            .into_iter()
            .find(|key| affix(key))
        {
            return Err(SourceError::Unsupported(format!("a vocabulary with {key}")));
        }
        Ok(Model {
            json,
            algorithm,
            escaped_spaces,
            byte_level: ByteLevel::default(),
        })
    }

    /// The tokens that text becomes by merges or scores: those that are not `added`.
    fn tokens(&self, added: &[AddedToken<'_>]) -> Result<Vec<Token>, SourceError> {
        let entries = match self.algorithm {
            Algorithm::Unigram => scored_entries(self.json)?,
            Algorithm::ByteLevelBpe | Algorithm::Bpe => entries(self.json)?,
        };
        let added: HashSet<u32> = added.iter().map(|added| added.id).collect();
        let tokens = entries.into_iter().filter_map(|(id, text, score)| {
            let (bytes, kind) = match added.contains(&id) {
                true => return None,
                false => self.bytes(text)?,
            };
            let score = score.filter(|_| kind == Kind::Normal);
            Some(Token {
                id,
                bytes,
                kind,
                score,
            })
        });
        Ok(tokens.collect())
    }

    /// What a string of the vocabulary stands for; nothing if it stands for no text.
    fn bytes(&self, text: &str) -> Option<(Vec<u8>, Kind)> {
        match self.algorithm {
            Algorithm::ByteLevelBpe => Some((self.byte_level.bytes(text)?, Kind::Normal)),
            Algorithm::Bpe | Algorithm::Unigram => {
                let byte = sentence_piece::byte(text);
                Some(match byte.filter(|_| self.json["byte_fallback"] == true) {
                    Some(byte) => (vec![byte], Kind::Byte),
                    None if self.is_unknown(text) => return None,
                    None => (sentence_piece::bytes(text), Kind::Normal),
                })
            }
        }
    }

    /// Whether the token stands for text that the vocabulary lacks.
    fn is_unknown(&self, text: &str) -> bool {
        match self.algorithm {
            Algorithm::Unigram => {
                let id = self.json["unk_id"].as_u64();
                let entry = id.and_then(|id| self.json["vocab"].get(usize::try_from(id).ok()?));
                entry.is_some_and(|entry| entry[0] == text)
            }
            Algorithm::ByteLevelBpe | Algorithm::Bpe => self.json["unk_token"] == text,
        }
    }

    fn added_token(&self, added: &AddedToken<'_>) -> Option<Token> {
        let bytes = match self.algorithm {
            Algorithm::ByteLevelBpe if !byte_level::is_text(added.content) => return None,
            Algorithm::ByteLevelBpe => added.content.as_bytes().to_vec(),
            Algorithm::Bpe | Algorithm::Unigram => sentence_piece::bytes(added.content),
        };
        (added.is_text && !is_filler(added.content)).then_some(Token {
            id: added.id,
            bytes,
            kind: Kind::Added,
            score: None,
        })
    }

    /// The merge rules: pairs of strings, or both in one string with a space between them.
    fn merges(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let rules = self.json["merges"].as_array();
        let parts = |rule: &'a Value| match rule {
            Value::String(rule) => rule.split_once(' '),
            Value::Array(parts) => match &parts[..] {
                [Value::String(left), Value::String(right)] => Some((&left[..], &right[..])),
                _ => None,
            },
            _ => None,
        };
        let bytes = |part: &str| match self.algorithm {
            Algorithm::ByteLevelBpe => self.byte_level.bytes(part),
            Algorithm::Bpe | Algorithm::Unigram => Some(sentence_piece::bytes(part)),
        };
        let rules = rules.into_iter().flatten().filter_map(|rule| {
            let (left, right) = parts(rule)?;
            Some((bytes(left)?, bytes(right)?))
        });
        rules.collect()
    }
}

/// An id, a string, and a score if there is one.
type Entry<'a> = (u32, &'a str, Option<f32>);

/// The vocabulary of a BPE model: ids by string.
fn entries(model: &Value) -> Result<Vec<Entry<'_>>, SourceError> {
    let vocabulary = model["vocab"].as_object();
    let vocabulary = vocabulary.ok_or_else(|| invalid("no vocabulary"))?;
    let entries = vocabulary.iter().map(|(text, id)| {
        let id = id.as_u64().ok_or_else(|| invalid("an id is no number"))?;
        let id = u32::try_from(id).map_err(|_| invalid("an id is too large"))?;
        Ok((id, &text[..], None))
    });
    let entries: Vec<Entry<'_>> = entries.collect::<Result<_, SourceError>>()?;
    expect_one_text_each(entries.iter().map(|(id, text, _)| (*id, *text)))?;
    Ok(entries)
}

/// Refuses an id that stands for two texts. (A text may have several ids.)
fn expect_one_text_each<'a>(
    tokens: impl Iterator<Item = (u32, &'a str)>,
) -> Result<(), SourceError> {
    let mut texts = HashMap::new();
    for (id, text) in tokens {
        if let Some(other) = texts.insert(id, text).filter(|other| *other != text) {
            return Err(invalid(&format!(
                "the id {id} stands for \"{}\" and for \"{}\"",
                other.escape_debug(),
                text.escape_debug()
            )));
        }
    }
    Ok(())
}

/// The vocabulary of a Unigram model: strings with their scores, in the order of their ids.
fn scored_entries(model: &Value) -> Result<Vec<Entry<'_>>, SourceError> {
    let vocabulary = model["vocab"].as_array();
    let vocabulary = vocabulary.ok_or_else(|| invalid("no vocabulary"))?;
    let entries = (0u32..).zip(vocabulary).map(|(id, entry)| {
        let text = entry[0]
            .as_str()
            .ok_or_else(|| invalid("a token is no text"))?;
        let score = entry[1]
            .as_f64()
            .ok_or_else(|| invalid("a score is no number"))?;
        Ok((id, text, Some(score as f32)))
    });
    entries.collect()
}

/// The added tokens. Special ones are no text. Nor are those that must be whole words: to look for
/// them would be too much for the few models that have any.
fn added_tokens(tokenizer: &Value) -> Vec<AddedToken<'_>> {
    let tokens = tokenizer["added_tokens"].as_array();
    let tokens = tokens.into_iter().flatten().filter_map(|token| {
        Some(AddedToken {
            id: token["id"].as_u64()?.try_into().ok()?,
            content: token["content"].as_str().unwrap_or_default(),
            is_text: token["special"] != true && token["single_word"] != true,
        })
    });
    tokens.collect()
}

/// Whether the normaliser puts U+2581 in the place of spaces.
///
/// Nothing is normalised: any tokens whose bytes concatenate to the text are valid. So a normaliser
/// is accepted if it leaves common text as it is, apart from spaces and what stands in front of a
/// text.
///
/// # Errors
/// When it rewrites common text, because the model has not seen the text as it is.
fn escapes_spaces(normalizer: &Value) -> Result<bool, SourceError> {
    let unsupported = |what: String| Err(SourceError::Unsupported(format!("normalizer {what}")));
    match normalizer["type"].as_str() {
        None if normalizer.is_null() => Ok(false),
        None => unsupported("without a type".into()),
        Some("Sequence") => {
            let parts = normalizer["normalizers"].as_array();
            let mut parts = parts.into_iter().flatten();
            parts.try_fold(false, |escaped, part| Ok(escapes_spaces(part)? || escaped))
        }
        Some("NFC" | "NFKC" | "Precompiled" | "Prepend" | "Strip") => Ok(false),
        Some("Replace") => match normalizer["content"].as_str() {
            Some("\u{2581}") if normalizer["pattern"]["String"] == " " => Ok(true),
            Some("\u{2581}" | " " | "") if replaces_spaces(&normalizer["pattern"]) => Ok(false),
            _ => {
                let pattern = &normalizer["pattern"];
                let pattern = pattern.get("String").or(pattern.get("Regex"));
                unsupported(format!(
                    "Replace ({} by {})",
                    pattern.unwrap_or_default(),
                    normalizer["content"]
                ))
            }
        },
        Some(other) => unsupported(other.to_owned()),
    }
}

/// Whether a pattern, as a string or a regular expression, matches white space alone.
fn replaces_spaces(pattern: &Value) -> bool {
    let pattern = pattern["String"].as_str().or(pattern["Regex"].as_str());
    let is_space = |part: char| part.is_whitespace() || "+*?{,}0123456789^$".contains(part);
    pattern.is_some_and(|pattern| pattern.replace("\\s", " ").chars().all(is_space))
}

fn mentions(pre_tokenizer: &Value, name: &str) -> bool {
    pre_tokenizer["type"] == name
        || pre_tokenizer["pretokenizers"]
            .as_array()
            .is_some_and(|parts| parts.iter().any(|part| mentions(part, name)))
}
