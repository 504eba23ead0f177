//! Compression with a language model, on the frozen fixture model.

#![cfg(feature = "encode")]

use std::sync::Arc;

use llmzip::engine::EngineOptions;
use llmzip::machine::instructions::InstructionSet;
use llmzip::packed::PackedModel;
use llmzip::{EncoderOptions, Error, Model, Models, Summary, compress, decompress_all};
use proptest::prelude::*;

fn fixture(options: EngineOptions) -> Arc<Model> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/fixture.llmzmodel");
    let packed = Arc::new(PackedModel::open(path).unwrap());
    Arc::new(Model::new(packed, options, None).unwrap())
}

fn single_thread() -> EngineOptions {
    EngineOptions {
        threads: 1,
        ..EngineOptions::default()
    }
}

fn squeeze(original: &[u8], options: &EncoderOptions) -> (Vec<u8>, Summary) {
    let mut compressed = Vec::new();
    let summary = compress(original, &mut compressed, options).unwrap();
    (compressed, summary)
}

fn restore(compressed: &[u8], model: &Arc<Model>) -> Result<Vec<u8>, Error> {
    decompress_all(compressed, Models::none().with(Arc::clone(model)))
}

/// With the model wherever it helps at all: the fixture model is small.
fn with(model: &Arc<Model>) -> EncoderOptions {
    EncoderOptions::new()
        .model(Arc::clone(model))
        .wanted_gain(0)
}

/// Prose from files that hardly ever change, more than a segment of the planner: the fixture model
/// is small, and whether it helps the experts may depend on any paragraph.
fn text() -> String {
    let numerics = include_str!("../docs/NUMERICS.md");
    [
        include_str!("golden/text.txt"),
        include_str!("../LICENSE-APACHE"),
        include_str!("../LICENSE-MIT"),
        include_str!("../NOTICE"),
        numerics.split_at(numerics.floor_char_boundary(3800)).0,
    ]
    .concat()
}

#[test]
fn text_comes_back_and_the_model_was_used() {
    let model = fixture(single_thread());
    let text = text();
    let (compressed, summary) = squeeze(text.as_bytes(), &with(&model));
    assert_eq!(summary.modes.model, text.len() as u64, "{summary:?}");
    assert!(restore(&compressed, &model).unwrap() == text.as_bytes());
}

#[test]
fn what_no_tokenizer_expects_comes_back() {
    let model = fixture(single_thread());
    let mut every_byte = b"text before. ".repeat(40);
    every_byte.extend(0..=255u8);
    every_byte.extend_from_slice(&b" and text behind".repeat(40));
    for original in [
        b"a\x04b<|endoftext|>".to_vec(),
        "U+40000 is \u{40000}, and \u{10ffff} is last"
            .as_bytes()
            .to_vec(),
        b"\xff\xfe\xc0\x80 cut short \xe2\x82".to_vec(),
        every_byte,
    ] {
        for (experts, streams) in [(true, 1), (false, 1), (true, 3), (false, 16)] {
            let options = with(&model).experts(experts).streams(streams);
            let (compressed, _) = squeeze(&original, &options);
            assert_eq!(restore(&compressed, &model).unwrap(), original);
        }
    }
}

#[test]
fn the_bytes_do_not_depend_on_kernels_or_threads() {
    let text = &text().into_bytes()[..6000];
    let with = |model: &Arc<Model>, streams: usize| with(model).streams(streams);
    for streams in [1, 5] {
        let (expected, summary) = squeeze(text, &with(&fixture(single_thread()), streams));
        assert_eq!(summary.modes.model, 6000);
        for instructions in InstructionSet::available() {
            for threads in [1, 3] {
                let model = fixture(EngineOptions {
                    threads,
                    instructions: Some(instructions),
                });
                let (compressed, _) = squeeze(text, &with(&model, streams));
                assert!(compressed == expected, "{} x{threads}", instructions.name());
                assert!(restore(&expected, &model).unwrap() == text);
            }
        }
    }
}

/// Blocks that go on where a last stream ended, which may have been with bytes that no token
/// spells, before the first stream had what the others begin with, or before the others did.
#[test]
fn blocks_of_several_streams_follow_one_another() {
    let model = fixture(single_thread());
    let text = &text().into_bytes()[..5000];
    let escaped = [&text[..2900], &[0xf8; 100], &text[2900..]].concat();
    for (original, block_len) in [(text, 5000), (text, 3000), (&escaped, 3000), (text, 90)] {
        for (streams, experts) in [(2, true), (5, false), (16, true)] {
            let options = with(&model)
                .block_len(block_len)
                .streams(streams)
                .experts(experts);
            let (compressed, summary) = squeeze(original, &options);
            // With experts the model is used where it helps.
            assert!(experts || summary.modes.model > 0, "{summary:?}");
            assert!(restore(&compressed, &model).unwrap() == original);
        }
    }
}

#[test]
fn blocks_of_several_modes_share_a_frame() {
    let model = fixture(single_thread());
    let mut file = text().into_bytes();
    file.extend((0..40_000u32).flat_map(|i| (i.wrapping_mul(i) >> 3).to_le_bytes()));
    file.extend_from_slice(text().as_bytes());
    for independent_blocks in [false, true] {
        let options = with(&model)
            .independent_blocks(independent_blocks)
            .block_len(64 << 10);
        let (compressed, summary) = squeeze(&file, &options);
        assert!(
            summary.modes.model > 0 && summary.modes.experts > 0,
            "{summary:?}"
        );
        assert!(restore(&compressed, &model).unwrap() == file);
    }
}

#[test]
fn a_missing_model_is_named() {
    let model = fixture(single_thread());
    let (compressed, _) = squeeze(
        b"needs a model to be read, and there is none",
        &with(&model),
    );
    let error = decompress_all(&compressed, Models::none());
    assert!(
        matches!(error, Err(Error::MissingModel { .. })),
        "{error:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_text_and_any_bytes_come_back(
        text in "(\\PC|[ \\t\\n]){0,300}",
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        experts in any::<bool>(),
        streams in 1..=16usize,
        block_len in 20..400u32,
    ) {
        let model = fixture(single_thread());
        let mut original = text.into_bytes();
        original.extend(bytes);
        let options = with(&model).experts(experts).streams(streams).block_len(block_len);
        let (compressed, _) = squeeze(&original, &options);
        prop_assert_eq!(restore(&compressed, &model).unwrap(), original);
    }
}
