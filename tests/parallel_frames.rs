//! Frames that are coded at the same time give what frames give that are coded one after the other:
//! the same bytes, totals and errors.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use llmzip::engine::EngineOptions;
use llmzip::frame::{compress_with, decompress_with, keep_going};
use llmzip::packed::PackedModel;
use llmzip::{
    DecoderOptions, EncoderOptions, Error, Model, Models, Preset, Progress, Summary, compress_all,
};
use proptest::prelude::*;

fn model() -> Arc<Model> {
    static MODEL: OnceLock<Arc<Model>> = OnceLock::new();
    let model = MODEL.get_or_init(|| {
        let bytes = include_bytes!("../fixtures/fixture.llmzmodel");
        let packed = Arc::new(PackedModel::from_bytes(bytes).unwrap());
        Arc::new(Model::new(packed, EngineOptions::default(), Some("fixture".into())).unwrap())
    });
    Arc::clone(model)
}

fn text(len: usize) -> Vec<u8> {
    let line = |number: usize| format!("line {} of {number}\n", number * number % 97);
    let lines = (0..).flat_map(|number| line(number).into_bytes());
    lines.take(len).collect()
}

fn compress(original: &[u8], options: &EncoderOptions) -> (Vec<u8>, Summary) {
    let mut compressed = Vec::new();
    let summary = compress_with(original, &mut compressed, options, &mut keep_going).unwrap();
    (compressed, summary)
}

/// What is written before the end or an error, and which of the two comes.
fn decompress(
    file: &[u8],
    models: &Models,
    workers: usize,
    limit: Option<u64>,
) -> (Vec<u8>, String) {
    let options = DecoderOptions::new(models).workers(workers).limit(limit);
    let mut original = Vec::new();
    let mut resolve = |wanted: &_| models.resolve(wanted);
    let result = decompress_with(file, &mut original, &mut resolve, &options, &mut keep_going);
    let result = match result {
        Ok(summary) => format!(
            "{} {} {:?}",
            summary.original_len, summary.compressed_len, summary.modes
        ),
        Err(error) => error.to_string(),
    };
    (original, result)
}

/// Quick: a model without experts, and experts with small tables.
fn quick() -> [EncoderOptions; 2] {
    let options = EncoderOptions::new().block_len(700).frame_len(1500);
    [
        options.clone().model(model()).experts(false),
        options.preset(Preset::Light),
    ]
}

/// Several frames, some coded by the model and some without.
fn mixed() -> Vec<u8> {
    let [with_model, without] = quick();
    let mut file = compress_all(&text(4000), &with_model).unwrap();
    file.extend(compress_all(b"", &without).unwrap());
    file.extend(compress_all(&text(3000), &without).unwrap());
    file.extend(compress_all(&[7; 20], &with_model.independent_blocks(true)).unwrap());
    file
}

#[test]
fn the_same_bytes_are_written() {
    let [with_model, without] = quick();
    let all = EncoderOptions::new().frame_len(1500).model(model());
    for options in [
        with_model.count_cross_entropy(true),
        without.checksum(false),
        all.wanted_gain(0),
    ] {
        for len in [0, 1, 1499, 1500, 1501, 1690, 7000] {
            let original = text(len);
            let (expected, totals) = compress(&original, &options);
            for workers in [2, 5] {
                let (got, summary) = compress(&original, &options.clone().workers(workers));
                assert!(got == expected, "{len} bytes, {workers} workers");
                assert_eq!(summary.original_len, totals.original_len);
                assert_eq!(summary.compressed_len, totals.compressed_len);
                assert_eq!(summary.modes, totals.modes);
                let bits = |summary: Summary| summary.cross_entropy.map(f64::round);
                assert_eq!(bits(summary), bits(totals));
            }
        }
    }
}

#[test]
fn damage_and_limits_give_the_same_bytes_and_errors() {
    let file = mixed();
    let models = Models::none().with(model());
    let mut damaged: Vec<Vec<u8>> = (0..file.len())
        .step_by(37)
        .map(|len| file[..len].to_vec())
        .collect();
    damaged.extend((3..file.len()).step_by(61).map(|place| {
        let mut file = file.clone();
        file[place] ^= 1 << (place % 8);
        file
    }));
    damaged.push([&file[..], b"junk"].concat());
    let (original, totals) = decompress(&file, &models, 1, None);
    assert!(
        totals.contains("experts: 30") && !totals.contains("model: 0"),
        "{totals}"
    );
    let original_len = original.len() as u64;
    for (number, file) in damaged.iter().enumerate() {
        let expected = decompress(file, &models, 1, None);
        assert_eq!(decompress(file, &models, 3, None), expected, "{number}");
    }
    for limit in (0..=original_len).step_by(700) {
        let expected = decompress(&file, &models, 1, Some(limit));
        assert_eq!(decompress(&file, &models, 3, Some(limit)), expected);
    }
    let expected = decompress(&file, &Models::none(), 1, None);
    assert!(expected.1.contains("fixture"), "{}", expected.1);
    assert_eq!(decompress(&file, &Models::none(), 3, None), expected);
}

/// What is read before an error is written.
#[test]
fn an_input_that_fails_gives_the_same_bytes_and_error() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let [_, options] = quick();
    let original = text(5000);
    let whole_frames = compress_all(&original, &options).unwrap();
    let mut compressed = Vec::new();
    let error = compress_with(
        original.chain(Failing),
        &mut compressed,
        &options.workers(2),
        &mut keep_going,
    );
    assert!(matches!(error, Err(Error::Read(_))), "{error:?}");
    assert!(compressed.len() > 100 && whole_frames.starts_with(&compressed));
}

#[test]
fn progress_ends_at_the_totals_and_may_cancel() {
    let (original, file) = (text(20_000), mixed());
    let options = EncoderOptions::new().frame_len(4096).workers(2);
    let mut last = Progress::default();
    let mut note = |now: Progress| {
        last = now;
        ControlFlow::Continue(())
    };
    let mut compressed = Vec::new();
    compress_with(&original[..], &mut compressed, &options, &mut note).unwrap();
    assert_eq!(
        (last.original, last.compressed),
        (20_000, compressed.len() as u64)
    );
    let mut cancel = |_| ControlFlow::Break(());
    let result = compress_with(&original[..], io::sink(), &options, &mut cancel);
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");

    let models = Models::none().with(model());
    let options = DecoderOptions::new(&models).workers(2);
    let mut resolve = |wanted: &_| models.resolve(wanted);
    let mut last = 0;
    let mut note = |now: Progress| {
        last = now.original;
        ControlFlow::Continue(())
    };
    decompress_with(&file[..], io::sink(), &mut resolve, &options, &mut note).unwrap();
    assert_eq!(last, 7020);
    let result = decompress_with(&file[..], io::sink(), &mut resolve, &options, &mut cancel);
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_cuts_give_the_same(
        original in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..3000),
        frame_len in 1u64..700,
        block_len in 50u32..900,
        workers in 2usize..5,
    ) {
        let options = EncoderOptions::new()
            .experts(false)
            .frame_len(frame_len)
            .block_len(block_len);
        let (file, _) = compress(&original, &options);
        prop_assert!(compress(&original, &options.workers(workers)).0 == file);
        let restored = decompress(&file, &Models::none(), workers, None);
        prop_assert_eq!(restored.0, original);
    }
}
