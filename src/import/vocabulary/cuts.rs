//! Tests: text is cut as the tokenizers of the sources cut it.

use super::{RowPlan, Vocabulary, gguf, hugging_face};
use crate::import::metadata::Metadata;
use crate::packed::TokenTable;
use crate::tokenizer::{Splitter, Symbol, Tokenizer};
use candle_core::quantized::gguf_file::Value as Entry;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The tokenizer.json files of `fixtures/vocabularies`.
const FILES: [&str; 4] = [
    include_str!("../../../fixtures/vocabularies/byte_level.json"),
    include_str!("../../../fixtures/vocabularies/prepend.json"),
    include_str!("../../../fixtures/vocabularies/replace.json"),
    include_str!("../../../fixtures/vocabularies/unigram.json"),
];

/// Pieces, and lines with their cuts.
const SCORES: &str = include_str!("../../../fixtures/vocabularies/scores.json");

const SAMPLE: &str = concat!(
    include_str!("../gguf/mod.rs"),
    include_str!("../../../docs/GUIDE.md"),
    "\u{e9}t\u{e9} \u{4e2d}\u{6587} 12  \n\n x\r\n<table>\t\u{1f999}  unreachable      .\n",
    "|||EMAIL|||         x \u{2581}y <|endoftext|> <unk></s>\n",
);

/// How a vocabulary cuts text.
struct Cutter {
    plan: RowPlan,
    tokenizer: Tokenizer,
}

impl Cutter {
    fn new(vocabulary: &Vocabulary) -> Cutter {
        let plan = vocabulary.plan().unwrap();
        let mut offsets = vec![0];
        for token in &plan.tokens {
            offsets.push(offsets[offsets.len() - 1] + token.len() as u32);
        }
        let bytes = plan.tokens.concat();
        let segmentation = &plan.segmentation;
        let escaped = segmentation.escaped_spaces;
        let tokenizer = Tokenizer::build(
            TokenTable::new(&bytes, &offsets).unwrap(),
            plan.merges.iter().copied(),
            &plan.scores,
            Splitter::new(&vocabulary.pre_tokenizer, escaped).unwrap(),
            segmentation,
        );
        Cutter { plan, tokenizer }
    }

    /// The source's ids of the tokens of `text`.
    fn ids(&self, text: &str) -> Vec<u32> {
        let symbols = self.tokenizer.encode(text.as_bytes());
        assert_eq!(self.tokenizer.decode(&symbols), text.as_bytes());
        let ids = symbols.iter().map(|symbol| match symbol {
            Symbol::Token(row) => self.plan.rows[*row as usize],
            Symbol::Byte(byte) => panic!("{byte} is no token"),
        });
        ids.collect()
    }
}

fn hugging_face(file: &str) -> Cutter {
    let json: Value = serde_json::from_str(file).unwrap();
    Cutter::new(&hugging_face::read(&json, None).unwrap())
}

/// GGUF metadata of the pieces in `SCORES`.
fn metadata() -> HashMap<String, Entry> {
    let json: Value = serde_json::from_str(SCORES).unwrap();
    let pieces = json["pieces"].as_array().unwrap();
    let array = |entry: fn(&Value) -> Entry| Entry::Array(pieces.iter().map(entry).collect());
    let text = |text: &str| Entry::String(text.to_owned());
    let entries = [
        ("model", text("llama")),
        (
            "tokens",
            array(|it| Entry::String(it[0].as_str().unwrap().to_owned())),
        ),
        (
            "scores",
            array(|it| Entry::F32(it[1].as_f64().unwrap() as f32)),
        ),
        (
            "token_type",
            array(|it| Entry::I32(it[2].as_i64().unwrap() as i32)),
        ),
        ("bos_token_id", Entry::U32(1)),
    ];
    let entries = entries.map(|(key, value)| (format!("tokenizer.ggml.{key}"), value));
    entries.into_iter().collect()
}

static ALL: LazyLock<Vec<Cutter>> = LazyLock::new(|| {
    let mut all: Vec<Cutter> = FILES.into_iter().map(hugging_face).collect();
    all.push(Cutter::new(
        &gguf::read(&Metadata::new(metadata())).unwrap(),
    ));
    all
});

/// The same files, read by the `tokenizers` crate.
static THEIRS: LazyLock<Vec<tokenizers::Tokenizer>> =
    LazyLock::new(|| FILES.map(|file| file.parse().unwrap()).to_vec());

#[test]
fn cuts_are_those_of_the_tokenizers_crate() {
    for ((cutter, theirs), file) in ALL.iter().zip(THEIRS.iter()).zip(FILES) {
        let lines = SAMPLE
            .split_inclusive('\n')
            .filter(|line| !line.contains("<unk>"));
        let text: String = lines.collect();
        // A line end in front of the text takes up the space that some put there.
        let text = format!("\n{}", text.replace("<s>", "<q>"));
        let encoding = theirs.encode(&text[..], false).unwrap();
        let mut wanted = encoding.get_ids();
        let ours = cutter.ids(&text);
        if wanted.len() > ours.len() {
            assert_eq!(encoding.get_tokens()[0], "\u{2581}");
            wanted = &wanted[1..];
        }
        let place = ours.iter().zip(wanted).position(|(a, b)| a != b);
        let around = |ids: &[u32]| {
            ids.iter()
                .skip(place.unwrap_or(0))
                .take(8)
                .copied()
                .collect()
        };
        let (ours, theirs): (Vec<u32>, Vec<u32>) = (around(&ours), around(wanted));
        assert!(place.is_none(), "{file:.60}: {ours:?} and {theirs:?}");
        assert_eq!(ours.len(), theirs.len());
    }
}

#[test]
fn cuts_are_those_of_sentencepiece() {
    let json: Value = serde_json::from_str(SCORES).unwrap();
    let cutter = &ALL[FILES.len()];
    for cut in json["cuts"].as_array().unwrap() {
        let wanted = cut[1].as_array().unwrap().iter();
        let wanted: Vec<u32> = wanted.map(|id| id.as_u64().unwrap() as u32).collect();
        assert_eq!(cutter.ids(cut[0].as_str().unwrap()), wanted, "{}", cut[0]);
    }
    assert_eq!(cutter.plan.rows[cutter.plan.bos.unwrap() as usize], 1);
}

#[test]
fn special_tokens_are_never_found_in_text() {
    for cutter in ALL.iter() {
        for name in ["<s>", "</s>", "<unk>", "<|endoftext|>"] {
            assert!(cutter.ids(name).len() > 2, "{name}");
        }
    }
}

#[test]
fn invalid_text_becomes_bytes() {
    for cutter in ALL.iter() {
        let bytes = b"the \xff\xc3 \xe4\xbd word\xf0";
        let symbols = cutter.tokenizer.encode(bytes);
        assert_eq!(cutter.tokenizer.decode(&symbols), bytes);
        let escaped = symbols
            .iter()
            .any(|symbol| matches!(symbol, Symbol::Byte(_)));
        assert!(!escaped, "all bytes are tokens");
    }
}

#[test]
fn long_runs_are_cut_in_good_time() {
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let runs = [b' ', b'a', b'\n', b'\t', b'7', 0xff];
    let mut inputs: Vec<Vec<u8>> = runs.map(|byte| vec![byte; 1 << 20]).to_vec();
    inputs.push((0..1 << 20).map(|_| random()).collect());
    for cutter in ALL.iter() {
        for input in &inputs {
            let symbols = cutter.tokenizer.encode(input);
            assert!(cutter.tokenizer.decode(&symbols) == *input, "{}", input[0]);
        }
    }
}

#[test]
fn what_is_unsupported_is_named() {
    let reason = |change: fn(&mut Value)| {
        let mut json: Value = serde_json::from_str(FILES[2]).unwrap();
        change(&mut json);
        hugging_face::read(&json, None).unwrap_err().to_string()
    };
    let says = |part: &str, change: fn(&mut Value)| {
        let reason = reason(change);
        assert!(reason.contains(part), "{reason}");
    };
    says("WordPiece", |t| {
        t["model"]["type"] = "WordPiece".into();
    });
    says("no merges", |t| {
        t["model"]["merges"] = Value::Null;
    });
    says("no model", |t| {
        t["model"] = Value::Null;
    });
    says("no vocabulary", |t| {
        t["model"]["vocab"] = Value::Null;
    });
    says("the id 7 stands for", |t| {
        t["model"]["vocab"]["seven"] = 7.into();
        t["model"]["vocab"]["another"] = 7.into();
    });
    says("the id 9 stands for \"<a>\" and for \"<b>\"", |t| {
        let token = |content: &str| serde_json::json!({"id": 9, "content": content});
        t["added_tokens"] = serde_json::json!([token("<a>"), token("<a>"), token("<b>")]);
    });
    says("end_of_word_suffix", |t| {
        t["model"]["end_of_word_suffix"] = "</w>".into();
    });
    says("Lowercase", |t| {
        t["normalizer"] = serde_json::json!({"type": "Lowercase"});
    });
    says("without a type", |t| {
        t["normalizer"] = "x".into();
    });
    says("Replace", |t| {
        t["normalizer"]["pattern"]["String"] = "a".into();
    });
    says("Replace", |t| {
        t["normalizer"]["content"] = "_".into();
    });
    says("Fancy", |t| {
        t["pre_tokenizer"]["type"] = "Fancy".into();
    });
    says("Split", |t| {
        t["pre_tokenizer"]["pattern"] = serde_json::json!({"Regex": "(open"});
    });
    says("neither byte-level", |t| {
        t["normalizer"] = Value::Null;
        t["pre_tokenizer"] = Value::Null;
        t["model"]["byte_fallback"] = false.into();
    });
}

#[test]
fn normalisers_that_leave_common_text_are_accepted() {
    let sequence = |parts: Value| serde_json::json!({"type": "Sequence", "normalizers": parts});
    for normalizer in [
        Value::Null,
        sequence(serde_json::json!([])),
        sequence(serde_json::json!([{"type": "NFC"}, {"type": "NFKC"}])),
        serde_json::json!({"type": "Precompiled", "precompiled_charsmap": ""}),
        serde_json::json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}),
    ] {
        let mut json: Value = serde_json::from_str(FILES[3]).unwrap();
        json["normalizer"] = normalizer;
        hugging_face::read(&json, None).unwrap();
    }
}

#[test]
fn metadata_without_scores_or_merges_are_refused() {
    for (key, value, part) in [
        ("scores", None, "scores"),
        (
            "scores",
            Some(Entry::Array(vec![Entry::F32(0.0)])),
            "scores",
        ),
        ("model", Some(Entry::String("gemma4".into())), "merges"),
        ("model", Some(Entry::String("rwkv".into())), "rwkv"),
        ("tokens", None, "no vocabulary"),
    ] {
        let mut metadata = metadata();
        let key = format!("tokenizer.ggml.{key}");
        match value {
            Some(value) => metadata.insert(key, value),
            None => metadata.remove(&key),
        };
        let reason = gguf::read(&Metadata::new(metadata.clone()))
            .unwrap_err()
            .to_string();
        assert!(reason.contains(part), "{reason}");
    }
}

#[test]
fn texts_begin_with_a_token_where_the_model_was_trained_so() {
    let bos = |model: &str, pre: &str, flag: Option<bool>| {
        let mut metadata = metadata();
        let mut put = |key: &str, value| metadata.insert(format!("tokenizer.ggml.{key}"), value);
        put("model", Entry::String(model.into()));
        put("pre", Entry::String(pre.into()));
        put("merges", Entry::Array(Vec::new()));
        if let Some(flag) = flag {
            put("add_bos_token", Entry::Bool(flag));
        }
        gguf::read(&Metadata::new(metadata)).unwrap().bos
    };
    assert_eq!(bos("llama", "default", None), Some(1));
    assert_eq!(bos("llama", "default", Some(false)), None);
    assert_eq!(bos("gpt2", "qwen2", None), None);
    assert_eq!(bos("gpt2", "qwen2", Some(true)), Some(1));
    assert_eq!(bos("gpt2", "llama-bpe", None), Some(1));
    assert_eq!(bos("t5", "default", None), None);

    let template = serde_json::json!({
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A"}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [7], "tokens": ["<s>"]}},
    });
    let mut after = template.clone();
    after["single"] = serde_json::json!([{"Sequence": {"id": "A"}}]);
    let byte_level = serde_json::json!({"type": "ByteLevel"});
    let both = serde_json::json!({"type": "Sequence", "processors": [byte_level, template]});
    for (post_processor, want) in [
        (template, Some(7)),
        (both, Some(7)),
        (after, None),
        (byte_level, None),
        (Value::Null, Some(3)),
    ] {
        let text = include_str!("../../../fixtures/vocabularies/byte_level.json");
        let mut tokenizer: Value = serde_json::from_str(text).unwrap();
        tokenizer["post_processor"] = post_processor;
        assert_eq!(hugging_face::read(&tokenizer, Some(3)).unwrap().bos, want);
    }
}

#[test]
fn a_unigram_vocabulary_and_listed_merges_are_read_from_metadata() {
    let mut metadata = metadata();
    metadata.insert("tokenizer.ggml.model".into(), Entry::String("t5".into()));
    let plan = gguf::read(&Metadata::new(metadata.clone()))
        .unwrap()
        .plan()
        .unwrap();
    assert_eq!(
        (plan.scores.len(), plan.merges.len()),
        (plan.tokens.len(), 0)
    );
    metadata.insert(
        "tokenizer.ggml.model".into(),
        Entry::String("gemma4".into()),
    );
    let rules = ["\u{2581} t", "h e", "\u{2581}t he"].map(|rule| Entry::String(rule.into()));
    metadata.insert("tokenizer.ggml.merges".into(), Entry::Array(rules.to_vec()));
    let cutter = Cutter::new(&gguf::read(&Metadata::new(metadata.clone())).unwrap());
    assert_eq!(cutter.ids("a the").len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for cutter in ALL.iter() {
            let symbols = cutter.tokenizer.encode(&bytes);
            prop_assert_eq!(cutter.tokenizer.decode(&symbols), &bytes[..]);
        }
    }

    #[test]
    fn any_text_is_cut_as_the_tokenizers_crate_cuts_it(
        // Latin letters and Chinese characters, which no normaliser changes.
        text in "\n([ \n\ta-f<>]|the|<table>|  |[\u{e0}-\u{ff}\u{4e00}-\u{4fff}]){0,60}",
    ) {
        for (cutter, theirs) in [(&ALL[0], &THEIRS[0]), (&ALL[2], &THEIRS[2])] {
            let theirs = theirs.encode(&text[..], false).unwrap();
            prop_assert_eq!(&cutter.ids(&text)[..], theirs.get_ids());
        }
    }
}
