//! Drafts, in blocks of one stream and of several, change how long decoding takes and nothing else:
//! not a byte of this block, nor of those after it.

use std::ops::ControlFlow;
use std::sync::Arc;

use llmzip::Model;
use llmzip::codec::Drafts;
use llmzip::codec::decode::BlockDecoder;
use llmzip::codec::encode::{BlockEncoder, Stream};
use llmzip::engine::EngineOptions;
use llmzip::machine::instructions::InstructionSet;
use llmzip::packed::PackedModel;
use llmzip::predict::{Preset, Settings};
use llmzip::store::embedded;
use proptest::prelude::*;

const ALL: [Drafts; 6] = [
    Drafts::Adaptive,
    Drafts::Fixed(0),
    Drafts::Fixed(1),
    Drafts::Fixed(2),
    Drafts::Fixed(7),
    Drafts::Fixed(Drafts::MOST),
];

fn fixture() -> Model {
    let bytes = include_bytes!("../fixtures/fixture.llmzmodel");
    let packed = Arc::new(PackedModel::from_bytes(bytes).unwrap());
    Model::new(packed, EngineOptions::default(), None).unwrap()
}

fn built_in() -> Model {
    Model::new(embedded::default().open(), EngineOptions::default(), None).unwrap()
}

/// A model of which one layer has a recurrence, on every instruction set.
fn recurrent() -> Vec<Model> {
    let bytes = include_bytes!("golden/models/qwen3-5.llmzmodel");
    let packed = Arc::new(PackedModel::from_bytes(bytes).unwrap());
    let model = |instructions| {
        let options = EngineOptions {
            instructions: Some(instructions),
            threads: 2,
        };
        Model::new(Arc::clone(&packed), options, None).unwrap()
    };
    InstructionSet::available().into_iter().map(model).collect()
}

fn settings(experts: bool) -> Settings {
    Settings {
        experts,
        preset: Preset::Normal,
        with_model: true,
    }
}

/// What a stream has of a block, and its coded bytes.
type Coded = (usize, Vec<u8>);

/// Codes the blocks one after the other, in at most `streams` each; an empty one stands for a
/// stored block.
fn encode(model: &Model, experts: bool, streams: usize, blocks: &[Vec<u8>]) -> Vec<Vec<Coded>> {
    let mut encoder = BlockEncoder::new(settings(experts), Some(model.runtime()), None).unwrap();
    let code = |block: &Vec<u8>| {
        if block.is_empty() {
            encoder.pass_raw(b"stored").unwrap();
            return Vec::new();
        }
        let parts: Vec<Stream> = block
            .chunks(block.len().div_ceil(streams))
            .map(|part| Stream {
                symbols: model.tokenizer().encode(part),
                len: part.len(),
            })
            .collect();
        let progress = &mut |_, _| ControlFlow::Continue(());
        let coded = encoder.model(&parts, progress).unwrap();
        parts.iter().map(|part| part.len).zip(coded).collect()
    };
    blocks.iter().map(code).collect()
}

/// Decodes what [`encode`] gave, block after block with one decoder, and compares.
fn check(model: &Model, experts: bool, drafts: Drafts, blocks: &[Vec<u8>], coded: &[Vec<Coded>]) {
    let mut decoder = BlockDecoder::new(settings(experts), None).unwrap();
    decoder.set_model(model.runtime(), drafts);
    for (index, (block, coded)) in blocks.iter().zip(coded).enumerate() {
        if block.is_empty() {
            decoder.pass_raw(b"stored").unwrap();
            continue;
        }
        let streams: Vec<(usize, &[u8])> =
            coded.iter().map(|(len, coded)| (*len, &**coded)).collect();
        let progress = &mut |_| ControlFlow::Continue(());
        let decoded = decoder.model(&streams, progress).unwrap();
        assert!(decoded == *block, "{drafts:?}, block {index}");
    }
}

fn check_all(model: &Model, experts: bool, blocks: &[Vec<u8>]) {
    for streams in [1, 3] {
        let coded = encode(model, experts, streams, blocks);
        for drafts in ALL {
            check(model, experts, drafts, blocks, &coded);
        }
    }
}

/// Blocks that break off inside what repeats, with bytes that no token holds and a stored block
/// between.
fn blocks() -> Vec<Vec<u8>> {
    let line = b"The cat sat on the mat, and the cat sat on the hat; ";
    let mut noisy = line.repeat(8);
    for place in (0..noisy.len()).step_by(29) {
        noisy[place] = [0xff, 0x04, b'?'][place % 3];
    }
    let text = line.repeat(30);
    vec![
        text[..700].to_vec(),
        text[700..1203].to_vec(),
        noisy,
        Vec::new(),
        text[..611].to_vec(),
        b"x".to_vec(),
        text[611..].to_vec(),
    ]
}

#[test]
fn every_draft_gives_the_same_bytes_and_leaves_the_same_state() {
    for model in [fixture(), built_in()] {
        for experts in [true, false] {
            check_all(&model, experts, &blocks());
        }
    }
}

#[test]
fn drafts_do_not_outrun_a_window_that_slides() {
    let text: Vec<u8> = blocks().concat().repeat(6);
    check_all(&fixture(), false, &[text]);
}

/// States that cannot be taken back are computed again, and are the same on all instruction sets.
#[test]
fn every_draft_leaves_the_same_recurrent_state_on_every_instruction_set() {
    let (models, blocks) = (recurrent(), blocks());
    for streams in [1, 3] {
        let coded = encode(&models[0], false, streams, &blocks);
        for model in &models {
            assert!(encode(model, false, streams, &blocks) == coded);
            for drafts in [Drafts::Adaptive, Drafts::Fixed(Drafts::MOST)] {
                check(model, false, drafts, &blocks, &coded);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_text_comes_back_with_any_draft(
        words in prop::collection::vec("[a-d ]{1,6}|\\PC", 1..40),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..200),
        cut in any::<prop::sample::Index>(),
        draft in 0..=Drafts::MOST,
        streams in 1..6usize,
    ) {
        let text = order.iter().map(|index| index.get(&words).as_str());
        let text = text.collect::<String>().into_bytes();
        let (first, second) = text.split_at(cut.index(text.len()));
        let blocks = [first.to_vec(), second.to_vec(), text.clone()];
        let model = fixture();
        let coded = encode(&model, true, streams, &blocks);
        for drafts in [Drafts::Adaptive, Drafts::Fixed(draft)] {
            check(&model, true, drafts, &blocks, &coded);
        }
    }
}
