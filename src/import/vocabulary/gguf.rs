//! Vocabularies in the metadata of GGUF files.

use super::Vocabulary;
use super::byte_level::ByteLevel;
use crate::import::SourceError;
use crate::import::metadata::{Metadata, integer};
use candle_core::quantized::gguf_file::Value;
use serde_json::json;

/// Token types that stand for text: normal ones. (2 unknown, 3 control, 4 user-defined, 5 unused,
/// 6 byte of a `SentencePiece` vocabulary.)
const NORMAL: u64 = 1;

/// The vocabulary that the metadata describe.
///
/// # Errors
/// When it is broken or of a kind that is not supported.
pub(in crate::import) fn read(metadata: &Metadata<'_>) -> Result<Vocabulary, SourceError> {
    match metadata.text("tokenizer.ggml.model") {
        Some("gpt2") => {}
        Some("llama") => {
            return Err(SourceError::Unsupported(
                "SentencePiece vocabularies (only byte-level BPE is)".into(),
            ));
        }
        Some(other) => return Err(SourceError::Unsupported(format!("tokenizer {other}"))),
        None => return Err(SourceError::invalid("GGUF metadata hold no tokenizer")),
    }
    let pre = metadata.text("tokenizer.ggml.pre").unwrap_or("default");
    let pre_tokenizer = pre_tokenizer(pre)
        .ok_or_else(|| SourceError::Unsupported(format!("pre-tokenizer {pre}")))?;
    let tokens = metadata
        .array("tokenizer.ggml.tokens")
        .ok_or_else(|| SourceError::invalid("GGUF metadata hold no vocabulary"))?;
    let types = metadata.array("tokenizer.ggml.token_type").unwrap_or(&[]);
    let byte_level = ByteLevel::default();
    let mut ordinary = Vec::with_capacity(tokens.len());
    for (id, token) in (0u32..).zip(tokens) {
        let normal = types
            .get(id as usize)
            .is_none_or(|kind| integer(kind) == Some(NORMAL));
        if let (true, Value::String(text)) = (normal, token)
            && let Some(bytes) = byte_level.bytes(text)
        {
            ordinary.push((id, bytes));
        }
    }
    let merges = metadata
        .array("tokenizer.ggml.merges")
        .ok_or_else(|| SourceError::invalid("GGUF metadata hold no merges"))?
        .iter()
        .filter_map(|rule| match rule {
            Value::String(rule) => byte_level.merge(rule),
            _ => None,
        })
        .collect();
    let bos = metadata
        .integer("tokenizer.ggml.bos_token_id")
        .filter(|&id| id < tokens.len() as u64);
    Ok(Vocabulary {
        tokens: ordinary,
        merges,
        bos: bos.map(|id| id as u32),
        pre_tokenizer,
    })
}

/// The splitting of GPT-2 as tokenizer.json spells it.
fn byte_level_split() -> serde_json::Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true})
}

/// A split by `pattern` in front of byte-level characters.
fn split(pattern: &str) -> serde_json::Value {
    json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
    ]})
}

/// The `pre_tokenizer` fragment that a name in `tokenizer.ggml.pre` stands for.
///
/// A name picked wrongly costs ratio only, so aliases are generous.
fn pre_tokenizer(name: &str) -> Option<serde_json::Value> {
    Some(match name {
        "default" | "gpt-2" | "gpt2" | "mpt" | "olmo" | "phi-2" | "jina-en" => byte_level_split(),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" => {
            json!({"type": "Sequence", "pretokenizers": [
                {"type": "Digits", "individual_digits": true},
                byte_level_split(),
            ]})
        }
        "llama-bpe" | "llama3" | "llama-v3" | "smaug-bpe" | "dbrx" => split(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
        "qwen2" | "deepseek-r1-qwen" | "stablelm2" | "hunyuan" => split(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
        "tekken" => split(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
        _ => return None,
    })
}
