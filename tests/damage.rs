//! All damage to a small file, one after the other: every bit flipped, every length cut to, junk
//! appended. Each must be an error. Through the library, because there are thousands.

use std::sync::{Arc, OnceLock};

use llmzip::container::{Block, ContainerError, FrameHeader, FrameWriter, MAX_STREAMS, Mode};
use llmzip::engine::EngineOptions;
use llmzip::packed::PackedModel;
use llmzip::{EncoderOptions, Error, Model, Models, compress_all, decompress_all};

const TEXT: &[u8] = b"The quick brown fox jumps over the lazy dog; the lazy dog sleeps. \xff\x00\n";

fn model() -> Arc<Model> {
    static MODEL: OnceLock<Arc<Model>> = OnceLock::new();
    let model = MODEL.get_or_init(|| {
        let bytes = include_bytes!("../fixtures/fixture.llmzmodel");
        let packed = Arc::new(PackedModel::from_bytes(bytes).unwrap());
        let options = EngineOptions {
            threads: 1,
            ..EngineOptions::default()
        };
        Arc::new(Model::new(packed, options, Some("fixture".into())).unwrap())
    });
    Arc::clone(model)
}

/// Knows the fixture only, as a reader of real files knows only the models it has.
fn read(file: &[u8]) -> Result<Vec<u8>, Error> {
    decompress_all(file, Models::none().with(model()))
}

/// A file for each way of compressing, one of them of several blocks.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for (with_model, checksum, block_len) in [
        (true, true, 1 << 20),
        (true, false, 1 << 20),
        (false, true, 1 << 20),
        (false, false, 1 << 20),
        (true, true, 16),
    ] {
        let options = EncoderOptions::new()
            .model(with_model.then(model))
            .checksum(checksum)
            .block_len(block_len);
        // Whatever comes before the damage is decoded each time, so several blocks had better be
        // short.
        let text = &TEXT[..TEXT.len().min(2 * block_len as usize)];
        let file = compress_all(text, &options).unwrap();
        assert_eq!(read(&file).unwrap(), text);
        let what = format!("model {with_model}, check {checksum}, blocks of {block_len}");
        files.push((what, file));
    }
    let empty = compress_all(b"", &EncoderOptions::new()).unwrap();
    files.push(("empty".into(), empty));
    files
}

#[test]
fn every_flipped_bit() {
    for (what, mut file) in files() {
        for bit in 0..file.len() * 8 {
            file[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&file).is_err(), "{what}: bit {bit}");
            file[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn every_truncation() {
    for (what, file) in files() {
        for len in 0..file.len() {
            assert!(read(&file[..len]).is_err(), "{what}: {len} bytes");
        }
    }
}

#[test]
fn junk_at_the_end() {
    for (what, file) in files() {
        for byte in (0..=255).step_by(5) {
            let junk = [&file[..], &[byte]].concat();
            assert!(read(&junk).is_err(), "{what}: {byte}");
        }
        // The beginning of another frame, even most of it, is junk, too.
        for len in (1..file.len()).step_by(5) {
            let junk = [&file[..], &file[..len]].concat();
            assert!(read(&junk).is_err(), "{what}: {len} bytes more");
        }
    }
}

#[test]
fn every_exchanged_pair_of_bytes() {
    for (what, mut file) in files() {
        for at in 1..file.len() {
            if file[at - 1] != file[at] {
                file.swap(at - 1, at);
                assert!(read(&file).is_err(), "{what}: bytes {at} and before");
                file.swap(at - 1, at);
            }
        }
    }
}

/// What the seal cannot see, because it is right: coded bits that nobody wrote.
#[test]
fn hostile_payloads_in_sound_frames() {
    let mut state = 1u32;
    for round in 0..60u32 {
        let mode = if round % 2 == 0 {
            Mode::Model
        } else {
            Mode::Experts
        };
        let len = round % 60;
        let payload: Vec<u8> = (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let header = FrameHeader {
            model: Some(model().reference()),
            predictor: llmzip::predict::PREDICTOR_VERSION,
            ..FrameHeader::default()
        };
        let original = vec![b'x'; 512];
        let mut writer = FrameWriter::new(Vec::new(), &header).unwrap();
        let block = match round % 10 {
            // As many streams as a block can have, most of them without a payload.
            0 => {
                let mut payloads = vec![Vec::new(); MAX_STREAMS];
                payloads[MAX_STREAMS / 2] = payload;
                Block::in_streams(mode, &[2; MAX_STREAMS], payloads)
            }
            _ => Block::coded(mode, 512, payload),
        };
        writer.write_block(block, &original).unwrap();
        let (file, _) = writer.finish().unwrap();
        let error = read(&file).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Corrupt(_) | Error::Container(ContainerError::Check { .. })
            ),
            "{error}"
        );
    }
}

#[test]
fn a_model_that_is_not_here_is_named() {
    // What the model was trained for, so that a block uses it.
    let text = include_bytes!("golden/text.txt");
    let file = compress_all(text, &EncoderOptions::new().model(model())).unwrap();
    let result = decompress_all(&file, Models::none());
    let error = result.unwrap_err().to_string();
    assert!(error.contains("needs model fixture (blake3 "), "{error}");
}
