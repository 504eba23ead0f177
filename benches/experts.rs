//! Code length and speed of the experts alone, and what each expert is worth:
//!
//!     cargo bench --bench experts -- [--light] FILE...
//!     cargo bench --bench experts -- --ablate [--head BYTES] FILE...
//!
//! The second codes the files once with all experts and once without each, and prints a Markdown
//! table.

use llmzip::predict::{Event, Predictor, Preset, Settings};
use std::time::Instant;

struct Arguments {
    preset: Preset,
    ablate: bool,
    head: usize,
    files: Vec<String>,
}

fn arguments() -> Arguments {
    let mut arguments = Arguments {
        preset: Preset::Normal,
        ablate: false,
        head: usize::MAX,
        files: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--bench" => {}
            "--light" => arguments.preset = Preset::Light,
            "--ablate" => arguments.ablate = true,
            "--head" => arguments.head = words.next().and_then(|n| n.parse().ok()).expect("bytes"),
            _ => arguments.files.push(word),
        }
    }
    arguments
}

fn predictor(preset: Preset) -> Predictor {
    Predictor::new(Settings {
        experts: true,
        preset,
        with_model: false,
    })
    .expect("memory")
}

/// Bytes that `predictor` needs for `bytes`.
fn cost(mut predictor: Predictor, bytes: &[u8]) -> f64 {
    let mut bits = 0.0;
    for &byte in bytes {
        for position in (0..8).rev() {
            let bit = (byte >> position) & 1 == 1;
            let p = f64::from(predictor.predict(Event::Bit, None)) / 2f64.powi(24);
            bits -= if bit { p } else { 1.0 - p }.log2();
            predictor.update(bit);
        }
    }
    bits / 8.0
}

fn main() {
    let arguments = arguments();
    let read = |path: &String| {
        let mut bytes = std::fs::read(path).expect("a file");
        bytes.truncate(arguments.head);
        bytes
    };
    if arguments.ablate {
        ablate(&arguments.files.iter().map(read).collect::<Vec<_>>());
        return;
    }
    let line = |name: &str, len: usize, coded: f64, seconds: f64| {
        let (bits, rate) = (8.0 * coded / len as f64, len as f64 / seconds / 1000.0);
        println!("{name}\t{len}\t{coded:.0}\t{bits:.4}\t{rate:.0}");
    };
    let mut total = (0, 0.0, 0.0);
    for path in &arguments.files {
        let bytes = read(path);
        let start = Instant::now();
        let coded = cost(predictor(arguments.preset), &bytes);
        let seconds = start.elapsed().as_secs_f64();
        line(path, bytes.len(), coded, seconds);
        total = (total.0 + bytes.len(), total.1 + coded, total.2 + seconds);
    }
    line("total", total.0, total.1, total.2);
}

/// What the files cost without each expert.
fn ablate(files: &[Vec<u8>]) {
    let sum = |silent: Option<usize>| -> f64 {
        let costs = files.iter().map(|bytes| {
            let mut predictor = predictor(Preset::Normal);
            if let Some(expert) = silent {
                predictor.disable_expert(expert);
            }
            cost(predictor, bytes)
        });
        costs.sum()
    };
    let all = sum(None);
    println!("| without | bytes | |\n|---|---|---|\n| nothing | {all:.0} | |");
    for (expert, name) in Predictor::expert_names().iter().enumerate() {
        let coded = sum(Some(expert));
        println!(
            "| {name} | {coded:.0} | {:+.2} % |",
            100.0 * (coded / all - 1.0)
        );
    }
}
