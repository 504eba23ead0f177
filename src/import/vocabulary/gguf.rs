//! Vocabularies in the metadata of GGUF files.

use super::byte_level::{self, ByteLevel};
use super::pre_tokenizer::PreTokenizer;
use super::{Kind, Merges, Token, Vocabulary, is_filler, sentence_piece};
use crate::arch::Algorithm;
use crate::import::SourceError;
use crate::import::metadata::{Metadata, integer};
use candle_core::quantized::gguf_file::Value;

/// Token types. (2 is the unknown token, 3 are control tokens, 5 unused ones: no text.)
const NORMAL: u64 = 1;
const USER_DEFINED: u64 = 4;
const BYTE: u64 = 6;

/// The vocabulary that the metadata describe.
///
/// # Errors
/// When it is broken or of a kind that is not supported.
pub(in crate::import) fn read(metadata: &Metadata) -> Result<Vocabulary, SourceError> {
    let model = metadata.text("tokenizer.ggml.model");
    let model = model.ok_or_else(|| SourceError::invalid("GGUF metadata hold no tokenizer"))?;
    let (algorithm, pre_tokenizer) = match model {
        "llama" => (Algorithm::Bpe, PreTokenizer::none()),
        "t5" => (Algorithm::Unigram, PreTokenizer::none()),
        "gpt2" | "gemma4" => {
            let name = match model {
                "gpt2" => metadata.text("tokenizer.ggml.pre").unwrap_or("default"),
                other => other,
            };
            let found = PreTokenizer::named(name);
            let found =
                found.ok_or_else(|| SourceError::Unsupported(format!("pre-tokenizer {name}")))?;
            match found.byte_level {
                true => (Algorithm::ByteLevelBpe, found),
                false => (Algorithm::Bpe, found),
            }
        }
        other => return Err(SourceError::Unsupported(format!("tokenizer {other}"))),
    };
    let entries = Entries {
        texts: metadata
            .array("tokenizer.ggml.tokens")
            .ok_or_else(|| SourceError::invalid("GGUF metadata hold no vocabulary"))?,
        types: metadata.array("tokenizer.ggml.token_type").unwrap_or(&[]),
        scores: metadata.array("tokenizer.ggml.scores").unwrap_or(&[]),
        algorithm,
        byte_level: ByteLevel::default(),
    };
    let merges = match (model, metadata.array("tokenizer.ggml.merges")) {
        ("llama" | "t5", _) if entries.scores.len() < entries.texts.len() => {
            return Err(SourceError::invalid("GGUF metadata hold too few scores"));
        }
        ("llama", _) => Merges::ByScore,
        ("t5", _) => Merges::default(),
        (_, Some(rules)) => Merges::Listed(entries.merges(rules)),
        (_, None) => return Err(SourceError::invalid("GGUF metadata hold no merges")),
    };
    let bos = metadata
        .integer("tokenizer.ggml.bos_token_id")
        .filter(|&id| id < entries.texts.len() as u64 && begins_texts(metadata, model));
    Ok(Vocabulary {
        tokens: entries.tokens(),
        merges,
        bos: bos.map(|id| id as u32),
        pre_tokenizer: pre_tokenizer.fragment,
        algorithm,
        escaped_spaces: pre_tokenizer.escaped_spaces,
    })
}

/// Whether texts begin with the beginning-of-sequence token. A model that has such a token but was
/// trained without it is much worse behind it. Where the file does not say, this is llama.cpp's
/// rule.
fn begins_texts(metadata: &Metadata, model: &str) -> bool {
    let usual = match model {
        "gpt2" => {
            let name = metadata.text("tokenizer.ggml.pre").unwrap_or_default();
            const BEGIN: [&str; 8] = [
                "llama3",
                "llama-v3",
                "llama-bpe",
                "falcon3",
                "falcon-h1",
                "pixtral",
                "midm",
                "lfm2",
            ];
            BEGIN.contains(&name)
        }
        "t5" => false,
        _ => true,
    };
    metadata
        .flag("tokenizer.ggml.add_bos_token")
        .unwrap_or(usual)
}

/// The arrays that describe tokens, one element for each.
struct Entries<'a> {
    texts: &'a [Value],
    types: &'a [Value],
    scores: &'a [Value],
    algorithm: Algorithm,
    byte_level: ByteLevel,
}

impl Entries<'_> {
    fn tokens(&self) -> Vec<Token> {
        let tokens = (0u32..).zip(self.texts).filter_map(|(id, text)| {
            let Value::String(text) = text else {
                return None;
            };
            let place = id as usize;
            let kind = self.types.get(place).map_or(Some(NORMAL), integer);
            let (bytes, kind) = match kind? {
                NORMAL => (self.normal(text)?, Kind::Normal),
                USER_DEFINED => (self.user_defined(text)?, Kind::Added),
                BYTE => (vec![sentence_piece::byte(text)?], Kind::Byte),
                _ => return None,
            };
            let score = self.scores.get(place).and_then(number);
            Some(Token {
                id,
                bytes,
                kind,
                score: score.filter(|_| kind == Kind::Normal),
            })
        });
        tokens.collect()
    }

    fn normal(&self, text: &str) -> Option<Vec<u8>> {
        match self.algorithm {
            Algorithm::ByteLevelBpe => self.byte_level.bytes(text),
            Algorithm::Bpe | Algorithm::Unigram => Some(sentence_piece::bytes(text)),
        }
    }

    /// User-defined tokens of a byte-level vocabulary are written as they occur in text.
    fn user_defined(&self, text: &str) -> Option<Vec<u8>> {
        if is_filler(text) {
            return None;
        }
        match self.algorithm {
            Algorithm::ByteLevelBpe => byte_level::is_text(text).then(|| text.as_bytes().to_vec()),
            Algorithm::Bpe | Algorithm::Unigram => Some(sentence_piece::bytes(text)),
        }
    }

    fn merges(&self, rules: &[Value]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let rules = rules.iter().filter_map(|rule| {
            let Value::String(rule) = rule else {
                return None;
            };
            let (left, right) = rule.split_once(' ')?;
            Some((self.normal(left)?, self.normal(right)?))
        });
        rules.collect()
    }
}

fn number(value: &Value) -> Option<f32> {
    let number = match value {
        Value::F32(number) => *number,
        Value::F64(number) => *number as f32,
        Value::I32(number) => *number as f32,
        _ => return None,
    };
    number.is_finite().then_some(number)
}
