//! Files written once and for all, with the frozen fixture model.
//!
//! `tests/golden/good/NAME.llmz` must decompress to `tests/golden/good/NAME`, and `NAME` compress
//! to exactly those bytes. `tests/golden/earlier/NAME.llmz` must decompress to it, too: earlier
//! versions wrote it. Every file in `tests/golden/corrupt` must be refused with the sentence
//! beside it. If a change makes these tests fail, it changes the format: the predictor version, the
//! numerics version or the format version goes up, and
//!
//! ```text
//! cargo test --release --test golden -- --ignored
//! ```
//!
//! writes the files anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use llmzip::Preset;
use llmzip::engine::EngineOptions;
use llmzip::packed::PackedModel;
use llmzip::{
    DecoderOptions, EncoderOptions, Error, Model, Models, Prime, compress_all, decompress_all,
};

fn model() -> Arc<Model> {
    let bytes = include_bytes!("../fixtures/fixture.llmzmodel");
    let packed = Arc::new(PackedModel::from_bytes(bytes).unwrap());
    Arc::new(Model::new(packed, EngineOptions::default(), Some("fixture".into())).unwrap())
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// What some files were compressed with.
fn prime() -> Arc<Prime> {
    let bytes = include_bytes!("golden/prime.txt").to_vec();
    Arc::new(Prime::new(bytes).unwrap())
}

fn read(file: &[u8]) -> Result<Vec<u8>, Error> {
    let models = Models::none().with(model());
    decompress_all(file, DecoderOptions::from(models).prime(prime()))
}

fn write(original: &[u8], options: &EncoderOptions) -> Vec<u8> {
    compress_all(original, options).unwrap()
}

/// `text`, its words in the reverse order, and its words sorted: what follows is not what came
/// before, and a stream is longer than what is coded before the others begin.
fn long_text(text: &[u8]) -> Vec<u8> {
    let words: Vec<&[u8]> = text.split(|&byte| byte == b' ').collect();
    let mut backwards = words.clone();
    backwards.reverse();
    let mut sorted = words.clone();
    sorted.sort_unstable();
    let by_end = {
        let mut words = words.clone();
        words.sort_by_key(|word| word.iter().rev().copied().collect::<Vec<u8>>());
        words
    };
    [words, backwards, sorted, by_end].concat().join(&b' ')
}

/// Synthetic machine code: instructions in a pseudo-random order, each an opcode and the bytes of a
/// near distance, which is negative for every fourth.
fn machine_code(instructions: &[(&[u8], usize)]) -> Vec<u8> {
    let mut state = 7u64;
    let mut code = Vec::new();
    while code.len() < 3000 {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(11);
        let random = (state >> 33) as usize;
        let (opcode, distance_len) = instructions[random % instructions.len()];
        // One of 32 targets, as code has some that it often calls.
        let target = (random >> 8) % 32 * 89;
        let from = code.len() + opcode.len() + distance_len;
        let distance = (target as u32).wrapping_sub(from as u32).to_le_bytes();
        code.extend_from_slice(opcode);
        code.extend_from_slice(&distance[..distance_len]);
    }
    code
}

/// Machine code of x86 with 32 and with 64 bits, and of ARM64.
fn machine_codes() -> [Vec<u8>; 3] {
    let x86 = machine_code(&[
        (&[0x55, 0x89, 0xe5], 0),
        (&[0xe8], 4),
        (&[0xe8], 4),
        (&[0x83, 0xec, 0x10], 0),
        (&[0x8b, 0x05], 4),
        (&[0xc9, 0xc3], 0),
        (&[0xb8, 1, 2, 3, 4], 0),
    ]);
    let x86_64 = machine_code(&[
        (&[0x48, 0x89, 0xe5], 0),
        (&[0xe8], 4),
        (&[0x48, 0x8d, 0x3d], 4),
        (&[0x8b, 0x05], 4),
        (&[0x0f, 0xb6, 0x05], 4),
        (&[0xff, 0x15], 4),
        (&[0xc3], 0),
    ]);
    let words = machine_code(&[
        (&[0xa9], 3),
        (&[0x94], 3),
        (&[0x97], 3),
        (&[0xb0], 3),
        (&[0xf9], 3),
    ]);
    // The highest byte of an instruction comes last.
    let words = words.as_chunks::<4>().0.iter();
    let arm64 = words.flat_map(|[high, rest @ ..]| [rest[0], rest[1], rest[2] & 0x0f, *high]);
    [x86, x86_64, arm64.collect()]
}

/// The good files: name, original, how it was compressed.
fn good() -> Vec<(&'static str, Vec<u8>, EncoderOptions)> {
    let text = include_str!("golden/text.txt").as_bytes().to_vec();
    let experts = EncoderOptions::new();
    // The fixture model is small: it codes whatever it makes shorter at all.
    let with_model = EncoderOptions::new().model(model()).wanted_gain(0);
    let binary: Vec<u8> = (0..3000u32).map(|i| ((i * i) >> 7) as u8).collect();
    // Streams are cut at the ends of lines where there are any, and then there are fewer.
    let words = long_text(&text).into_iter();
    let words: Vec<u8> = words
        .map(|byte| if byte == b'\n' { b' ' } else { byte })
        .collect();
    // No token has this byte.
    let escaping = words
        .split(|&byte| byte == b'q')
        .collect::<Vec<_>>()
        .join(&0xff);
    let all_bytes: Vec<u8> = (0..=255).collect();
    let [x86, x86_64, arm64] = machine_codes();
    let mixed = [&text[..], &binary, &text].concat();
    vec![
        ("empty", Vec::new(), with_model.clone()),
        ("one-byte", b"x".to_vec(), with_model.clone()),
        ("all-bytes", all_bytes, with_model.clone()),
        ("model", text.clone(), with_model.clone()),
        (
            "model-alone",
            text.clone(),
            with_model.clone().experts(false),
        ),
        ("experts", text.clone(), experts.clone()),
        (
            "frames",
            long_text(&text),
            experts.clone().frame_len(3000).block_len(1000),
        ),
        ("light", text.clone(), experts.preset(Preset::Light)),
        (
            "unchecked",
            text.clone(),
            with_model.clone().checksum(false),
        ),
        ("binary", binary, with_model.clone()),
        ("x86", x86, EncoderOptions::new().block_len(1501)),
        ("x86-64", x86_64, EncoderOptions::new().block_len(1501)),
        ("arm64", arm64, EncoderOptions::new().block_len(1501)),
        ("blocks", mixed.clone(), with_model.clone().block_len(1000)),
        (
            "model-blocks",
            long_text(&text),
            with_model.clone().experts(false).block_len(700),
        ),
        (
            "streams",
            long_text(&text),
            with_model.clone().streams(2).block_len(2000),
        ),
        (
            "many-streams",
            words,
            with_model.clone().streams(17).block_len(2000),
        ),
        (
            "primed",
            long_text(&text),
            with_model.clone().prime(prime()).block_len(2000),
        ),
        (
            "many-long-streams",
            escaping.repeat(6),
            with_model
                .clone()
                .experts(false)
                .streams(18)
                .block_len(14_000),
        ),
        (
            "primed-experts",
            text.clone(),
            EncoderOptions::new().prime(prime()),
        ),
        (
            "primed-independent",
            mixed.clone(),
            with_model
                .clone()
                .prime(prime())
                .block_len(1000)
                .independent_blocks(true),
        ),
        (
            "independent",
            mixed,
            with_model.block_len(1000).independent_blocks(true),
        ),
    ]
}

/// The corrupt files: name, bytes.
fn corrupt() -> Vec<(&'static str, Vec<u8>)> {
    let file = fs::read(folder("good").join("model.llmz")).unwrap();
    let several = fs::read(folder("good").join("blocks.llmz")).unwrap();
    let changed = |at: usize, change: u8| {
        let mut file = file.clone();
        file[at] ^= change;
        file
    };
    let name_end = 4 + 3 + 8 + 1 + 1 + "fixture".len();
    let mut total = several.clone();
    let at = total.len() - 9;
    total[at] ^= 1;
    vec![
        ("empty", Vec::new()),
        ("magic", changed(0, 1)),
        ("version", changed(4, 2)),
        (
            "reserved-flag",
            b"\xfeLMZ\x01\x02\x01\x04\x05hello\0\0\0\0\0\0\0\0".to_vec(),
        ),
        ("predictor", changed(6, 0x40)),
        ("numerics-zero", changed(15, 1)),
        ("name", changed(17, 0x80)),
        ("reserved-mode", changed(name_end, 1)),
        ("reserved-kind", changed(name_end, 0x10)),
        ("payload", changed(name_end + 20, 4)),
        ("seal", changed(file.len() - 8, 1)),
        ("check", changed(file.len() - 1, 1)),
        ("truncated", file[..file.len() - 1].to_vec()),
        ("truncated-header", file[..10].to_vec()),
        ("no-end", several[..several.len() - 10].to_vec()),
        ("wrong-total", total),
        ("junk", [&file[..], b"junk"].concat()),
        ("index", {
            let indexed = fs::read(folder("good").join("frames.llmz")).unwrap();
            let start = indexed
                .windows(4)
                .position(|bytes| bytes == b"\xfeLMI")
                .unwrap();
            // The index of the first frame behind another frame.
            [&file[..], &indexed[start..]].concat()
        }),
        (
            "overlong-varint",
            b"\xfeLMZ\x01\x00\x01\x04\x85\x00hello\0\0\0\0\0\0\0\0".to_vec(),
        ),
        (
            "large-length",
            b"\xfeLMZ\x01\x00\x01\x05\xff\xff\xff\x7f\x01x\0\0\0\0\0\0\0\0".to_vec(),
        ),
    ]
}

/// Without this, the golden files of machine code could be ordinary ones.
#[test]
fn machine_code_is_rewritten() {
    for (name, kind) in [("x86", 1), ("x86-64", 2), ("arm64", 3)] {
        let file = fs::read(folder("good").join(format!("{name}.llmz"))).unwrap();
        // The first block header of a frame without a model.
        assert_eq!(file[7], kind << 4 | 1, "{name}");
    }
}

#[test]
fn good_files_decompress_to_their_originals() {
    for (name, original, _) in good() {
        let file = fs::read(folder("good").join(format!("{name}.llmz"))).unwrap();
        let restored = read(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(restored == original, "{name}");
    }
}

/// Earlier versions named the model in every frame.
#[test]
fn files_of_earlier_versions_decompress_to_their_originals() {
    let mut read = 0;
    for (name, original, _) in good() {
        if let Ok(file) = fs::read(folder("earlier").join(format!("{name}.llmz"))) {
            let restored = decompress_all(&file, Models::none());
            let restored = restored.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(restored == original, "{name}");
            read += 1;
        }
    }
    assert_eq!(read, 4);
}

#[test]
fn originals_compress_to_the_good_files() {
    for (name, original, options) in good() {
        let file = fs::read(folder("good").join(format!("{name}.llmz"))).unwrap();
        assert!(write(&original, &options) == file, "{name}");
    }
}

#[test]
fn corrupt_files_are_refused_in_their_words() {
    let mut seen = 0;
    for (name, file) in corrupt() {
        let expected = fs::read_to_string(folder("corrupt").join(format!("{name}.txt"))).unwrap();
        let stored = fs::read(folder("corrupt").join(format!("{name}.llmz"))).unwrap();
        assert!(
            stored == file,
            "{name}: the corrupt file is not the one described"
        );
        let error = read(&stored).expect_err(name);
        assert_eq!(error.to_string(), expected.trim_end(), "{name}");
        seen += 1;
    }
    assert!(seen > 15);
}

/// `docs/FORMAT.md` shows this file, and the index that may follow.
#[test]
fn the_examples_of_the_specification() {
    let specification = include_str!("../docs/FORMAT.md");
    let (_, examples) = specification.split_once("## An example").unwrap();
    let (frame, index) = examples.split_once("## An example of an index").unwrap();
    let bytes = |example: &str| -> Vec<u8> {
        let lines = example.lines().filter_map(|line| line.strip_prefix("    "));
        lines
            .flat_map(|line| line.split("  ").next().unwrap_or_default().split(' '))
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect()
    };
    assert_eq!(bytes(frame), write(b"hello", &EncoderOptions::new()));
    let indexed = write(b"hello", &EncoderOptions::new().frame_len(100));
    assert_eq!([bytes(frame), bytes(index)].concat(), indexed);
}

#[test]
#[ignore = "writes the golden files"]
fn write_the_golden_files() {
    for (name, original, options) in good() {
        let file = write(&original, &options);
        assert!(read(&file).unwrap() == original, "{name}");
        fs::write(folder("good").join(format!("{name}.llmz")), file).unwrap();
    }
    for (name, file) in corrupt() {
        let error = read(&file).expect_err(name).to_string();
        fs::write(folder("corrupt").join(format!("{name}.llmz")), file).unwrap();
        fs::write(folder("corrupt").join(format!("{name}.txt")), error + "\n").unwrap();
    }
}
