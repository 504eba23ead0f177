//! What each fuzz target does with its input. Shared with `tests/fuzz_regressions.rs`, which
//! replays inputs that once made one of these fail.
//!
//! A body fails by panicking, hanging or allocating without measure; errors are what it hopes for.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::{Arc, OnceLock};

use llmzip::container::{Block, FrameHeader, FramePart, FrameReader, FrameWriter, Mode};
use llmzip::engine::{Engine, EngineOptions, Predictions, Runtime, Segment};
use llmzip::packed::PackedModel;
use llmzip::{
    EncoderOptions, Model, Models, SeekableDecoder, compress_all, decompress, decompress_all,
};

/// A small model that never changes.
static FIXTURE: &[u8] = include_bytes!("../fixtures/fixture.llmzmodel");
/// Original bytes that a decoder is asked for at most: enough for everything to happen.
const MOST: u32 = 3000;
/// Parameters of a model that is still run.
const SMALL: usize = 1 << 20;

fn fixture() -> Arc<Model> {
    static MODEL: OnceLock<Arc<Model>> = OnceLock::new();
    let model = MODEL.get_or_init(|| {
        let packed = PackedModel::from_static(FIXTURE).expect("the fixture is a packed model");
        let options = EngineOptions {
            threads: 1,
            ..EngineOptions::default()
        };
        Arc::new(Model::new(Arc::new(packed), options, None).expect("the fixture runs"))
    });
    Arc::clone(model)
}

fn models() -> Models {
    Models::none().with(fixture())
}

/// Arbitrary bytes as a file. What is accepted must be what would be written.
pub(crate) fn container(data: &[u8]) {
    let mut reader = FrameReader::new(data);
    while let Ok(Some(item)) = reader.next() {
        if let FramePart::Block(block) = item
            && block.mode == Mode::Raw
        {
            let _ = reader.verify_block(&block.payload);
        }
    }
    let _ = decompress(data, io::sink(), models());
}

/// Bytes that are auxiliary frames' contents, between frames that are in order: the first byte of
/// each piece says how long it is. Whoever reads from a place must find there what whoever reads
/// everything finds.
pub(crate) fn index(data: &[u8]) {
    let frame = |number: u8| {
        let options = EncoderOptions::new().experts(false);
        compress_all(
            &[number; 9],
            &options.frame_len(number.is_multiple_of(2).then_some(4)),
        )
        .expect("a few bytes are compressed")
    };
    let (mut file, mut rest, mut number) = (frame(0), data, 1);
    while let [len, after @ ..] = rest {
        let (content, after) = after.split_at(after.len().min(usize::from(len % 32)));
        rest = after;
        file.extend(auxiliary(content));
        if len & 32 != 0 {
            file.extend(frame(number));
            number = number.wrapping_add(1);
        }
    }
    let mut decoder =
        SeekableDecoder::new(Cursor::new(&file), Models::none()).expect("a slice has a length");
    let from = data.first().map_or(0, |first| u64::from(*first));
    let mut read = Vec::new();
    let sought = decoder
        .seek(SeekFrom::Start(from))
        .and_then(|_| decoder.read_to_end(&mut read));
    match (decompress_all(&file, Models::none()), sought) {
        (Ok(original), Ok(_)) => {
            assert_eq!(original.get(from as usize..).unwrap_or_default(), read);
        }
        (Ok(_), Err(error)) => panic!("only whoever seeks fails: {error}"),
        // Whoever seeks behind the end or reads it all has seen every index.
        (Err(error), Ok(_)) => panic!("only whoever reads everything fails: {error}"),
        (Err(_), Err(_)) => {}
    }
}

/// An auxiliary frame.
fn auxiliary(content: &[u8]) -> Vec<u8> {
    let mut bytes = b"\xfeLMI".to_vec();
    // Less than 32 bytes: one byte says how many.
    bytes.push(content.len() as u8);
    bytes.extend_from_slice(content);
    let checksum = xxhash_rust::xxh3::xxh3_64(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Arbitrary bytes as the coded bits of blocks whose container is in order.
pub(crate) fn coded_bits(data: &[u8]) {
    let [settings, mode, low, high, payload @ ..] = data else {
        return;
    };
    let header = FrameHeader {
        model: (settings & 1 == 0).then(|| fixture().reference()),
        predictor: llmzip::predict::PREDICTOR_VERSION,
        preset: settings >> 1 & 7,
        prime: None,
        independent_blocks: settings & 16 != 0,
        // Without a check nothing but the coder itself can object.
        checksum: settings & 32 != 0,
    };
    let original_len = 1 + u32::from(u16::from_le_bytes([*low, *high])) % MOST;
    let mut file = Vec::new();
    let Ok(mut writer) = FrameWriter::new(&mut file, &header) else {
        return;
    };
    let mode = if mode & 1 == 0 {
        Mode::Model
    } else {
        Mode::Experts
    };
    let original = vec![0; original_len as usize];
    // The same payload twice, so that the second block meets what the first has left behind.
    for _ in 0..2 {
        let block = Block::coded(mode, original_len, payload.to_vec());
        if writer.write_block(block, &original).is_err() {
            return;
        }
    }
    if writer.finish().is_err() {
        return;
    }
    let _ = decompress(file.as_slice(), io::sink(), models());
}

/// Arbitrary bytes as an original. They must come back.
pub(crate) fn round_trip(data: &[u8]) {
    let [settings, data @ ..] = data else {
        return;
    };
    let options = EncoderOptions::new()
        .model((settings & 1 == 0).then(fixture))
        .experts(settings & 2 == 0)
        .independent_blocks(settings & 4 != 0)
        .block_len(1 + (u32::from(*settings) << 4));
    let compressed = compress_all(data, &options).expect("anything can be compressed");
    let restored = decompress_all(&compressed, models());
    let restored = restored.expect("what was compressed can be decompressed");
    assert!(restored == data, "other bytes came back");
}

/// Arbitrary bytes as a packed model; one that is found sound must run.
pub(crate) fn packed_model(data: &[u8]) {
    let Ok(model) = PackedModel::from_bytes(data) else {
        return;
    };
    let sound = model.verify().is_ok();
    let small = model.config().vocab * model.config().hidden <= SMALL;
    if !sound || !small || model.tokens().is_empty() {
        return;
    }
    let options = EngineOptions {
        threads: 1,
        ..EngineOptions::default()
    };
    let Ok(engine) = Engine::new(Arc::new(model), options) else {
        return;
    };
    let Ok(mut state) = engine.new_state() else {
        return;
    };
    let segment = Segment {
        state: &mut *state,
        tokens: &[0, 0, 0],
    };
    let _ = engine.forward(&mut [segment], &mut Predictions::new());
}

/// Arbitrary bytes as a GGUF file.
#[cfg(feature = "convert")]
pub(crate) fn gguf(data: &[u8]) {
    if let Ok(mut source) = llmzip::import::gguf::read(Cursor::new(data.to_vec())) {
        let _ = source.pack();
    }
}

/// Builds without conversion have nothing to test.
#[cfg(not(feature = "convert"))]
pub fn gguf(data: &[u8]) {
    let _ = Cursor::new(data);
}
