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
    DecoderOptions, EncoderOptions, Model, Models, Prime, SeekableDecoder, compress_all,
    decompress, decompress_all,
};

#[cfg(feature = "hub")]
#[path = "git_hash.rs"]
mod git_hash;
#[cfg(feature = "hub")]
use git_hash::git_hash;

/// A small model that never changes.
static FIXTURE: &[u8] = include_bytes!("../fixtures/fixture.llmzmodel");
/// Original bytes that a decoder is asked for at most: enough for everything to happen.
const MOST: u32 = 500;
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

/// One stream, few, some more than learn turn by turn, or as many as a block can have.
fn number_of_streams(settings: u8) -> usize {
    [1, 2, 17, 256][usize::from(settings >> 6)]
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
    let streams = number_of_streams(*settings);
    let part = original_len / streams as u32;
    let mut lens = vec![part; streams];
    lens[streams - 1] = original_len - part * (streams as u32 - 1);
    let mut payloads = vec![Vec::new(); streams];
    for (number, byte) in payload.iter().enumerate() {
        payloads[number * streams / payload.len()].push(*byte);
    }
    for _ in 0..2 {
        let block = Block::in_streams(mode, &lens, payloads.clone());
        if writer.write_block(block, &original).is_err() {
            return;
        }
    }
    if writer.finish().is_err() {
        return;
    }
    let _ = decompress(file.as_slice(), io::sink(), models());
}

/// Arbitrary headers and payloads under true seals, as only somebody who means harm writes them.
/// The bytes are those of frame and block headers; one in front of each block says how long its
/// payload is and whether the frame goes on.
pub(crate) fn sealed(data: &[u8]) {
    let [flags, predictor, rest @ ..] = data else {
        return;
    };
    let mut header = b"\xfeLMZ\x01".to_vec();
    // Mostly flags and versions that are accepted, so that something lies behind them.
    header.extend([
        flags & 0x4d,
        if predictor & 7 == 7 { *predictor } else { 1 },
    ]);
    if flags & 1 != 0 {
        let model = fixture().reference();
        header.extend(model.identity);
        header.push(model.window_log2 << 4 | model.numerics);
    }
    let (mut file, mut rest, mut number) = (header.clone(), rest, 0u64);
    while let [kind, original_len, payload_len, after @ ..] = rest {
        let (payload, after) = after.split_at(after.len().min(usize::from(payload_len & 0x7f)));
        rest = after;
        let mut block = vec![kind & 0x3f, original_len & 0x7f];
        if kind & 3 != 0 {
            block.push(payload.len() as u8);
        }
        block.extend(payload);
        let mut sealed = header.clone();
        sealed.extend(number.to_le_bytes());
        sealed.extend(&block);
        file.extend(&block);
        file.extend(&xxhash_rust::xxh3::xxh3_64(&sealed).to_le_bytes()[..4]);
        if flags & 8 == 0 {
            file.extend(&xxhash_rust::xxh3::xxh3_64(payload).to_le_bytes()[..4]);
        }
        number += 1;
    }
    let _ = decompress(file.as_slice(), io::sink(), models());
}

/// Arbitrary bytes as a prime and an original behind it, which must come back; the first byte says
/// where the one ends.
pub(crate) fn primed(data: &[u8]) {
    let [settings, cut, data @ ..] = data else {
        return;
    };
    let (prime, original) = data.split_at(data.len().min(usize::from(*cut)));
    let Some(prime) = Prime::new(prime.to_vec()).map(Arc::new) else {
        return;
    };
    let options = EncoderOptions::new()
        .model((settings & 1 == 0).then(fixture))
        .independent_blocks(settings & 2 != 0)
        .block_len(1 + (u32::from(*settings) << 4))
        .prime(Arc::clone(&prime));
    let compressed = compress_all(original, &options).expect("anything can be compressed");
    let options = DecoderOptions::from(models()).prime(prime);
    let restored = decompress_all(&compressed, options);
    let restored = restored.expect("what was compressed can be decompressed");
    assert!(restored == original, "other bytes came back");
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
        .streams(number_of_streams(*settings))
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
    if let Ok(source) = llmzip::import::gguf::read(Cursor::new(data.to_vec())) {
        packs_soundly(source);
    }
}

/// Arbitrary bytes as two files that hold a model together. The first two bytes say how long the
/// first file is.
#[cfg(feature = "convert")]
pub(crate) fn gguf_parts(data: &[u8]) {
    let Some((len, files)) = data.split_first_chunk::<2>() else {
        return;
    };
    let len = usize::from(u16::from_le_bytes(*len)).min(files.len());
    let (first, second) = files.split_at(len);
    let parts = [first, second].map(|part| Cursor::new(part.to_vec()));
    if let Ok(mut source) = llmzip::import::gguf::read_parts(parts.into()) {
        let _ = source.pack();
    }
}

/// Arbitrary bytes as the blocks of a tensor, whose type the first byte chooses. However many there
/// are, each block gives as many values.
#[cfg(feature = "convert")]
pub(crate) fn blocks(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    let values = |len| llmzip::import::gguf::dequantise((*kind).into(), &bytes[..len]);
    let Some(block) = (1..bytes.len()).find(|len| values(*len).is_some()) else {
        return;
    };
    let one = values(block).map_or(0, |values| values.len());
    let count = bytes.len() / block;
    let all = values(count * block).expect("whole blocks");
    assert_eq!(all.len(), count * one);
}

/// Arbitrary files in two wheels. Each is a byte that says in which of them it is and how long its
/// name is, the name, two bytes that say how long it is, and its content.
#[cfg(feature = "convert")]
pub(crate) fn wheels(data: &[u8]) {
    use std::io::Write;

    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths = [1, 2].map(|number| {
        let name = format!("m_part{number}-1-py3-none-any.whl");
        folder.path().join(name)
    });
    let mut wheels = [1, 2].map(|_| zip::ZipWriter::new(Cursor::new(Vec::new())));
    let mut rest = data;
    while let Some((first, after)) = rest.split_first() {
        let (name, after) = after.split_at(after.len().min(usize::from(first >> 1)));
        let Some((len, after)) = after.split_first_chunk::<2>() else {
            break;
        };
        let len = usize::from(u16::from_le_bytes(*len)).min(after.len());
        let (content, after) = after.split_at(len);
        rest = after;
        let wheel = &mut wheels[usize::from(first & 1)];
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored);
        let name = String::from_utf8_lossy(name);
        if wheel.start_file(name, options).is_ok() {
            wheel.write_all(content).expect("memory is written");
        }
    }
    for (path, wheel) in paths.iter().zip(wheels) {
        let bytes = wheel.finish().expect("an archive").into_inner();
        std::fs::write(path, bytes).expect("a file is written");
    }
    if let Ok(source) = llmzip::import::open(&paths[0]) {
        packs_soundly(source);
    }
    let _ = llmzip::import::open_all(&paths);
}

/// Arbitrary bytes as a manifest in a store of Ollama that has one content.
#[cfg(feature = "convert")]
pub(crate) fn ollama(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let manifests = folder.path().join("manifests/registry.ollama.ai/library/m");
    let blobs = folder.path().join("blobs");
    for folder in [&manifests, &blobs] {
        std::fs::create_dir_all(folder).expect("a folder is made");
    }
    let content = format!("sha256-{}", "0".repeat(64));
    std::fs::write(blobs.join(content), b"GGUF\x03\0\0\0").expect("a file is written");
    let manifest = manifests.join("latest");
    std::fs::write(&manifest, data).expect("a file is written");
    if let Ok(source) = llmzip::import::open(&manifest) {
        packs_soundly(source);
    }
}

/// Arbitrary bytes as one of the files of a Hugging Face folder, which the first byte chooses.
#[cfg(feature = "convert")]
pub(crate) fn folder(data: &[u8]) {
    const FILES: [(&str, &[u8]); 3] = [
        (
            "config.json",
            include_bytes!("../fixtures/fixture-hf/config.json"),
        ),
        (
            "tokenizer.json",
            include_bytes!("../fixtures/fixture-hf/tokenizer.json"),
        ),
        (
            "model.safetensors",
            include_bytes!("../fixtures/fixture-hf/model.safetensors"),
        ),
    ];
    let [chosen, data @ ..] = data else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (number, (name, sound)) in FILES.iter().enumerate() {
        let content = match usize::from(*chosen) % FILES.len() == number {
            true => data,
            false => sound,
        };
        std::fs::write(folder.path().join(name), content).expect("a file is written");
    }
    if let Ok(source) = llmzip::import::open(folder.path()) {
        packs_soundly(source);
    }
}

/// Arbitrary bytes as a file that is to be packed, a wheel for instance.
#[cfg(feature = "convert")]
pub(crate) fn source_file(data: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), data).expect("a file is written");
    if let Ok(source) = llmzip::import::open(file.path()) {
        packs_soundly(source);
    }
}

/// Packs `source`, if that can be done. The pack must then be sound, and cut any text.
#[cfg(feature = "convert")]
fn packs_soundly(mut source: llmzip::import::Source) {
    const TEXT: &[u8] = b"The <table> of  12\n\n\xe2\x96\x81caf\xc3\xa9 \xff\xf0\x9f\x99\x82";
    if let Ok(packed) = source.pack() {
        let model = PackedModel::from_bytes(&packed).expect("what was packed can be opened");
        model.verify().expect("what was packed is sound");
        let tokenizer = llmzip::tokenizer::Tokenizer::new(&model);
        let tokenizer = tokenizer.expect("what was packed cuts text");
        assert_eq!(tokenizer.decode(&tokenizer.encode(TEXT)), TEXT);
    }
}

/// Arbitrary answers of a hub to a client that fetches a model. Each answer is preceded by its
/// length in two bytes. Of an answer that begins with a zero byte only the body is arbitrary: its
/// head is a sound one. Whatever comes, the client writes only into its cache, and what it takes
/// for a content there has the hash that is its name.
#[cfg(feature = "hub")]
pub(crate) fn hub(data: &[u8]) {
    use std::net::TcpListener;

    static HUB: OnceLock<(TcpListener, String)> = OnceLock::new();
    let (listener, endpoint) = HUB.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
        (listener, endpoint)
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut answers = data;
            for stream in listener.incoming().flatten() {
                if done.load(std::sync::atomic::Ordering::Acquire) {
                    return;
                }
                let _ = answer(stream, &mut answers);
            }
        });
        let repository = llmzip::hub::Repository::parse("owner/tiny").expect("a repository");
        let cache = folder.path().join("cache");
        let hub = llmzip::hub::Hub::new(endpoint, &cache, Some("secret".to_owned()), false);
        let hub = hub.expect("the endpoint is an address");
        let _ = hub.fetch(&repository, &mut |_, _, _| {});
        done.store(true, std::sync::atomic::Ordering::Release);
        let _ = std::net::TcpStream::connect(endpoint.trim_start_matches("http://"));
    });
    let entries = std::fs::read_dir(folder.path()).expect("the folder is read");
    let names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["cache"]);
    check_contents(&folder.path().join("cache/models--owner--tiny/blobs"));
}

/// Sends the next answer; nothing when there are no more.
#[cfg(feature = "hub")]
fn answer(mut stream: std::net::TcpStream, answers: &mut &[u8]) -> io::Result<()> {
    use std::io::{BufRead, BufReader, Write};

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    for line in BufReader::new(stream.try_clone()?).lines() {
        if line?.is_empty() {
            break;
        }
    }
    let Some((len, rest)) = answers.split_first_chunk::<2>() else {
        return Ok(());
    };
    let (bytes, rest) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes(*len))));
    *answers = rest;
    let Some((0, body)) = bytes.split_first() else {
        return stream.write_all(bytes);
    };
    let (len, hash) = (body.len(), git_hash(body));
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nX-Repo-Commit: {COMMIT}\r\n\
         Content-Range: bytes 0-{}/{len}\r\nContent-Length: {len}\r\nETag: \"{hash}\"\r\n\r\n",
        len.saturating_sub(1)
    )?;
    stream.write_all(body)
}

/// Each content in a hub's cache must have the hash that is its name.
#[cfg(feature = "hub")]
fn check_contents(blobs: &std::path::Path) {
    for entry in std::fs::read_dir(blobs).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().expect("a name");
        let content = std::fs::read(entry.path()).expect("a content");
        if name.len() == 40 {
            assert_eq!(name, git_hash(&content));
        }
    }
}
