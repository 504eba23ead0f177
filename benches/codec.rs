//! Speed and ratio of the whole way from bytes to a frame and back, through the library.
//!
//!     cargo bench --bench codec -- [--no-experts] [--encode-only] [--compare-drafts] [--threads N]
//!         [--streams N,...] [--device N] [--block BYTES] [--head BYTES] MODEL|none FILE...
//!
//! MODEL is the path of a packed model or the name of a built-in one. Prints one line a file, or
//! one for each number of streams; every file is decompressed and compared, unless only the encoder
//! is to be measured. With `--compare-drafts` every file is decompressed twice more, before and
//! after, a token at a time, and a last column says how many times as fast drafts make it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use llmzip::codec::Drafts;
use llmzip::engine::EngineOptions;
use llmzip::packed::PackedModel;
use llmzip::store::embedded;
use llmzip::{EncoderOptions, Error, Model, Models, compress_all, decompress_all};

struct Arguments {
    experts: bool,
    decode: bool,
    compare_drafts: bool,
    threads: usize,
    /// 0: by the rule.
    streams: Vec<usize>,
    /// The most streams that the rule for a device gives.
    device: Option<usize>,
    block: Option<u32>,
    head: usize,
    rest: Vec<String>,
}

fn arguments() -> Arguments {
    let mut arguments = Arguments {
        experts: true,
        decode: true,
        compare_drafts: false,
        threads: 0,
        streams: vec![0],
        device: None,
        block: None,
        head: usize::MAX,
        rest: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut numbers = || -> Vec<usize> {
            let list = words.next().unwrap_or_default();
            list.split(',')
                .map(|n| n.parse().expect("a number"))
                .collect()
        };
        match word.as_str() {
            "--bench" => {}
            "--no-experts" => arguments.experts = false,
            "--encode-only" => arguments.decode = false,
            "--compare-drafts" => arguments.compare_drafts = true,
            "--threads" => arguments.threads = numbers()[0],
            "--streams" => arguments.streams = numbers(),
            "--device" => arguments.device = Some(numbers()[0]),
            "--block" => arguments.block = Some(numbers()[0] as u32),
            "--head" => arguments.head = numbers()[0],
            _ => arguments.rest.push(word),
        }
    }
    arguments
}

fn main() -> Result<(), Error> {
    let arguments = arguments();
    let Some((model, files)) = arguments.rest.split_first() else {
        println!("no model given; see the head of benches/codec.rs");
        return Ok(());
    };
    let open = |drafts| match model.as_str() {
        "none" => Ok(None),
        path => {
            let packed = match embedded::ALL.iter().find(|one| one.name == path) {
                Some(one) => one.open(),
                None => Arc::new(PackedModel::open(path)?),
            };
            let options = EngineOptions {
                threads: arguments.threads,
                ..EngineOptions::default()
            };
            let model = Model::new(packed, options, None)?.with_drafts(drafts);
            Ok::<_, Error>(Some(Arc::new(model)))
        }
    };
    let model = open(Drafts::Adaptive)?;
    let stepping = match arguments.compare_drafts {
        true => open(Drafts::Fixed(0))?,
        false => None,
    };
    println!(
        "| file | streams | bytes | compressed | bpb | tokens | encode tok/s | KB/s | decode tok/s | KB/s | drafts |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for file in files {
        let mut original = std::fs::read(file).map_err(Error::Read)?;
        original.truncate(arguments.head);
        let steps = stepping.as_ref();
        for &streams in &arguments.streams {
            let options = EncoderOptions::new()
                .model(model.clone())
                .experts(arguments.experts)
                .device_streams(arguments.device)
                .streams((streams > 0).then_some(streams));
            let block_len = arguments.block.unwrap_or(options.block_len);
            let options = options.block_len(block_len);
            measure(file, &original, &options, steps, arguments.decode)?;
        }
    }
    Ok(())
}

/// Compresses and decompresses one file. `stepping` is the model of `options` without drafts.
fn measure(
    file: &str,
    original: &[u8],
    options: &EncoderOptions,
    stepping: Option<&Arc<Model>>,
    decode: bool,
) -> Result<(), Error> {
    let model = options.model.as_ref();
    let tokens = model.map_or(0, |model| model.tokenizer().encode(original).len());
    let start = Instant::now();
    let compressed = compress_all(original, options)?;
    let encode = start.elapsed().as_secs_f64();
    let seconds = |model| match decode {
        true => decoding(&compressed, original, model),
        false => Ok(f64::INFINITY),
    };
    let (decode, gain) = match stepping {
        None => (seconds(model)?, String::new()),
        Some(_) => {
            let before = seconds(stepping)?;
            let drafting = seconds(model)?;
            let steps = (before + seconds(stepping)?) / 2.0;
            (drafting, format!("{:.2}x", steps / drafting))
        }
    };
    let name = Path::new(file)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let streams = options
        .streams
        .map_or("by rule".to_owned(), |streams| streams.to_string());
    println!(
        "| {name} | {streams} | {} | {} | {:.4} | {tokens} | {:.0} | {:.1} | {:.0} | {:.1} | {gain} |",
        original.len(),
        compressed.len(),
        compressed.len() as f64 * 8.0 / original.len() as f64,
        tokens as f64 / encode,
        original.len() as f64 / encode / 1e3,
        tokens as f64 / decode,
        original.len() as f64 / decode / 1e3,
    );
    Ok(())
}

/// Seconds that decompressing takes.
fn decoding(compressed: &[u8], original: &[u8], model: Option<&Arc<Model>>) -> Result<f64, Error> {
    let start = Instant::now();
    let models = match model {
        Some(model) => Models::none().with(Arc::clone(model)),
        None => Models::none(),
    };
    let restored = decompress_all(compressed, &models)?;
    assert!(restored == original, "the file came back changed");
    Ok(start.elapsed().as_secs_f64())
}
