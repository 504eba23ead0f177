//! Speed and ratio of the whole way from bytes to a frame and back, through the library.
//!
//!     cargo bench --bench codec -- [--no-experts] [--encode-only] [--threads N] [--head BYTES] MODEL|none FILE...
//!
//! MODEL is the path of a packed model. Prints one line a file; every file is decompressed and
//! compared, unless only the encoder is to be measured.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use llmzip::engine::EngineOptions;
use llmzip::model::PackedModel;
use llmzip::{CompressOptions, Error, Model, compress, decompress};

struct Arguments {
    experts: bool,
    decode: bool,
    threads: usize,
    head: usize,
    rest: Vec<String>,
}

fn arguments() -> Arguments {
    let mut arguments = Arguments {
        experts: true,
        decode: true,
        threads: 0,
        head: usize::MAX,
        rest: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|n| n.parse().ok()).expect("a number");
        match word.as_str() {
            "--bench" => {}
            "--no-experts" => arguments.experts = false,
            "--encode-only" => arguments.decode = false,
            "--threads" => arguments.threads = number(),
            "--head" => arguments.head = number(),
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
    let model = match model.as_str() {
        "none" => None,
        path => {
            let packed = Arc::new(PackedModel::open(path)?);
            let options = EngineOptions {
                threads: arguments.threads,
                ..EngineOptions::default()
            };
            Some(Arc::new(Model::new(packed, options, None)?))
        }
    };
    let options = CompressOptions {
        model: model.clone(),
        experts: arguments.experts,
        ..CompressOptions::default()
    };
    println!(
        "| file | bytes | compressed | bpb | tokens | encode tok/s | KB/s | decode tok/s | KB/s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for file in files {
        let mut original = std::fs::read(file).map_err(Error::Read)?;
        original.truncate(arguments.head);
        measure(file, &original, &options, model.as_ref(), arguments.decode)?;
    }
    Ok(())
}

fn measure(
    file: &str,
    original: &[u8],
    options: &CompressOptions,
    model: Option<&Arc<Model>>,
    decode: bool,
) -> Result<(), Error> {
    let tokens = model.map_or(0, |model| model.tokenizer().encode(original).len());
    let start = Instant::now();
    let mut compressed = Vec::new();
    compress(original, &mut compressed, options, &mut |_| {})?;
    let encode = start.elapsed().as_secs_f64();
    let decode = if decode {
        let start = Instant::now();
        let mut restored = Vec::new();
        let mut resolve = |_: &_| model.cloned().ok_or(Error::Unsupported("no model"));
        let compressed = compressed.as_slice();
        decompress(compressed, &mut restored, &mut resolve, &mut |_| {})?;
        assert!(restored == original, "{file} came back changed");
        start.elapsed().as_secs_f64()
    } else {
        f64::INFINITY
    };
    let name = Path::new(file)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    println!(
        "| {name} | {} | {} | {:.4} | {tokens} | {:.0} | {:.1} | {:.0} | {:.1} |",
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
