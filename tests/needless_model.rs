//! A model is asked of those who read a file only where a block uses it.

use std::path::Path;
use std::sync::Arc;

use llmzip::container::{Block, FrameHeader, FramePart, FrameReader, FrameWriter, Mode};
use llmzip::predict::PREDICTOR_VERSION;
use llmzip::{EncoderOptions, Error, Model, Models, compress_all, decompress_all};
use proptest::prelude::*;

fn fixture() -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    Model::open(folder.join("fixture.llmzmodel")).unwrap()
}

/// For each frame, whether it names a model, and the modes of its blocks.
fn frames(file: &[u8]) -> Vec<(bool, Vec<Mode>)> {
    let mut reader = FrameReader::new(file);
    let mut frames = Vec::new();
    while let Some(part) = reader.next().unwrap() {
        match part {
            FramePart::Header(header) => frames.push((header.model.is_some(), Vec::new())),
            FramePart::Block(block) => frames.last_mut().unwrap().1.push(block.mode),
            FramePart::End(_) => {}
        }
    }
    frames
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn a_frame_that_the_model_codes_nothing_of_names_none() {
    let with_model = EncoderOptions::new().model(Arc::new(fixture()));
    let counts: Vec<u8> = (0..30_000u32).map(|i| (i / 7) as u8 & 0x1f).collect();
    let binary_and_noise = [counts.clone(), noise(40_000), counts.clone()].concat();
    for (name, original) in [
        ("empty", Vec::new()),
        ("one byte", b"x".to_vec()),
        ("zeros", vec![0; 3000]),
        ("noise", noise(3000)),
        ("a block's length of noise", noise(1 << 20)),
        ("binary", counts),
        ("blocks of binary and of noise", binary_and_noise),
    ] {
        let file = compress_all(&original, &with_model).unwrap();
        assert!(
            frames(&file).iter().all(|(names_model, _)| !names_model),
            "{name}"
        );
        assert!(
            decompress_all(&file, Models::none()).unwrap() == original,
            "{name}"
        );
        let without = compress_all(&original, &EncoderOptions::new()).unwrap();
        assert!(file == without, "{name}");
    }
}

#[test]
fn what_is_coded_later_in_a_stream_may_use_the_model() {
    let options = EncoderOptions::new()
        .model(Arc::new(fixture()))
        .block_len(2000);
    let file = compress_all(&noise(5000), &options).unwrap();
    assert_eq!(frames(&file), [(true, vec![Mode::Raw; 3])]);
    assert_eq!(decompress_all(&file, Models::none()).unwrap(), noise(5000));
}

/// Earlier versions wrote such frames, and streams still have them.
#[test]
fn a_model_that_no_block_uses_need_not_be_there() {
    let header = FrameHeader {
        model: Some(fixture().reference()),
        predictor: PREDICTOR_VERSION,
        ..FrameHeader::default()
    };
    let mut writer = FrameWriter::new(Vec::new(), &header).unwrap();
    writer
        .write_block(Block::raw(b"stored".to_vec()), b"stored")
        .unwrap();
    let (stored, _) = writer.finish().unwrap();
    assert_eq!(decompress_all(&stored, Models::none()).unwrap(), b"stored");

    let text = b"whatever is coded with a model is read with the same model".repeat(9);
    let needs = compress_all(&text, &EncoderOptions::new().model(Arc::new(fixture()))).unwrap();
    assert_eq!(frames(&needs), [(true, vec![Mode::Model])]);
    let refused = decompress_all(&[stored, needs].concat(), Models::none());
    assert!(matches!(refused, Err(Error::MissingModel { .. })));
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-z ,.\n]{0,300}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..300),
        (any::<u8>(), 0..800usize).prop_map(|(byte, len)| vec![byte; len]),
        (0..100u32).prop_map(|n| (0..n).flat_map(|i| format!("{i}, ").into_bytes()).collect()),
    ]
}

proptest! {
    #[test]
    fn a_file_of_one_block_names_the_model_if_and_only_if_the_block_uses_it(
        pieces in prop::collection::vec(piece(), 0..4),
    ) {
        let model = Arc::new(fixture());
        let original = pieces.concat();
        let file = compress_all(&original, &EncoderOptions::new().model(Arc::clone(&model)))?;
        let [(names_model, modes)] = &frames(&file)[..] else { panic!() };
        prop_assert_eq!(modes.len(), 1);
        prop_assert_eq!(*names_model, modes[0] == Mode::Model);
        let models = if *names_model { Models::none().with(model) } else { Models::none() };
        prop_assert_eq!(&decompress_all(&file, models)?, &original);
        if modes[0] == Mode::Experts {
            prop_assert_eq!(file, compress_all(&original, &EncoderOptions::new())?);
        }
    }
}
