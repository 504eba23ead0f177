//! Vocabularies in `tokenizer.json`.

use super::Vocabulary;
use super::byte_level::ByteLevel;
use crate::import::SourceError;
use serde_json::Value;
use std::collections::HashSet;

/// The vocabulary of a `tokenizer.json`; `bos` is the token that begins a text.
///
/// # Errors
/// When it is broken or of a kind that is not supported.
pub(in crate::import) fn read(
    tokenizer: &Value,
    bos: Option<u32>,
) -> Result<Vocabulary, SourceError> {
    let invalid = |what: &str| SourceError::Invalid(format!("tokenizer.json: {what}"));
    // NFC changes no text that is already composed, and the coder may cut text as it likes;
    // anything that rewrites common text would waste the model.
    match tokenizer["normalizer"]["type"].as_str() {
        None | Some("NFC") => {}
        Some(other) => return Err(SourceError::Unsupported(format!("normalizer {other}"))),
    }
    let model = &tokenizer["model"];
    let merges = model["merges"].as_array();
    let merges =
        merges.ok_or_else(|| SourceError::Unsupported("tokenizers without merges".into()))?;
    if !mentions_byte_level(&tokenizer["pre_tokenizer"]) {
        return Err(SourceError::Unsupported(
            "SentencePiece vocabularies (only byte-level BPE is)".into(),
        ));
    }
    let added: HashSet<u64> = tokenizer["added_tokens"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|token| token["id"].as_u64())
        .collect();
    let byte_level = ByteLevel::default();
    let mut tokens = Vec::new();
    for (text, id) in model["vocab"]
        .as_object()
        .ok_or_else(|| invalid("no vocabulary"))?
    {
        let id = id.as_u64().ok_or_else(|| invalid("an id is no number"))?;
        if added.contains(&id) {
            continue;
        }
        let small = u32::try_from(id).map_err(|_| invalid("an id is too large"))?;
        if let Some(bytes) = byte_level.bytes(text) {
            tokens.push((small, bytes));
        }
    }
    let merges = merges.iter().filter_map(|rule| match rule {
        Value::String(rule) => byte_level.merge(rule),
        Value::Array(parts) => match &parts[..] {
            [Value::String(left), Value::String(right)] => {
                Some((byte_level.bytes(left)?, byte_level.bytes(right)?))
            }
            _ => None,
        },
        _ => None,
    });
    Ok(Vocabulary {
        tokens,
        merges: merges.collect(),
        bos,
        pre_tokenizer: tokenizer["pre_tokenizer"].clone(),
    })
}

fn mentions_byte_level(fragment: &Value) -> bool {
    fragment["type"] == "ByteLevel"
        || fragment["pretokenizers"]
            .as_array()
            .is_some_and(|parts| parts.iter().any(mentions_byte_level))
}
