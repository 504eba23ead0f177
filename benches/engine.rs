//! Speed of the exact engine beside two rooflines measured in the same run: integer products from
//! cache, and reading weights from memory.
//!
//! `cargo bench --bench engine [-- MODEL]` with the path of a packed model; without one, a model
//! with random weights and the shape of SmolLM2-135M. The best of several short runs is shown,
//! since other work on the machine only ever slows a run down. `LLMZIP_KERNELS` picks one
//! instruction set.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use llmzip::arch::config::GROUP;
use llmzip::check::speed::{like_smollm2, products, random_model};
use llmzip::engine::cpu::kernels::{Kernels, Product, QuantizedRows};
use llmzip::engine::{Engine, EngineOptions, Predictions, Runtime, Segment};
use llmzip::machine::instructions::InstructionSet;
use llmzip::machine::pool::Pool;
use llmzip::packed::PackedModel;
use llmzip::predict::Weights;

fn main() {
    let path = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let model = match path {
        Some(path) => PackedModel::open(path).expect("a packed model"),
        None => random_model(&like_smollm2()).expect("a model"),
    };
    let model = Arc::new(model);
    let macs = products(model.config()).expect("a known family");
    println!(
        "{} layers of {}, vocabulary {}, {:.1} M products a token",
        model.config().layers,
        model.config().hidden,
        model.config().vocab,
        macs as f64 / 1e6
    );
    let mut sets = InstructionSet::available();
    if std::env::var_os("LLMZIP_KERNELS").is_some() {
        sets = vec![InstructionSet::choose().expect("an instruction set of this machine")];
    }
    // The reference is for reading, not for running.
    sets.retain(|set| *set != InstructionSet::PORTABLE);
    for instructions in sets {
        for threads in [1, 2] {
            let options = EngineOptions {
                instructions: Some(instructions),
                threads,
            };
            let engine = Engine::new(model.clone(), options).expect("an engine");
            let compute = products_roofline(Kernels::new(instructions), threads);
            let bandwidth = memory_roofline(threads);
            println!(
                "\n{}, {threads} threads: products from cache {:.0} GMAC/s, memory {:.1} GB/s",
                instructions.name(),
                compute / 1e9,
                bandwidth / 1e9
            );
            println!(
                "{:>8} {:>12} {:>10} {:>10} {:>10} {:>12}",
                "streams", "rows of each", "ms", "token/s", "GMAC/s", "of roofline"
            );
            let of_one = [1, 2, 3, 4, 6, 8, 16, 64, 128].map(|rows| (1, rows));
            for (streams, each) in of_one
                .into_iter()
                .chain([2, 4, 8].map(|streams| (streams, 1)))
            {
                let seconds = measure(&engine, streams, each);
                let rows = streams * each;
                let roofline = (rows as f64 * macs as f64 / compute).max(macs as f64 / bandwidth);
                println!(
                    "{streams:>8} {each:>12} {:>10.3} {:>10.0} {:>10.1} {:>11.0}%",
                    seconds * 1e3,
                    rows as f64 / seconds,
                    rows as f64 * macs as f64 / seconds / 1e9,
                    100.0 * roofline / seconds
                );
            }
        }
    }
}

/// Seconds: of this thread's processor time where there is one thread and the system tells, so that
/// other work on the machine counts little; of the clock otherwise.
struct Timer {
    start: Instant,
    processor: Option<u64>,
}

impl Timer {
    fn new(threads: usize) -> Timer {
        Timer {
            start: Instant::now(),
            processor: (threads == 1).then(Timer::processor).flatten(),
        }
    }

    fn processor() -> Option<u64> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split_whitespace().next()?.parse().ok()
    }

    fn seconds(&self) -> f64 {
        let processor = self
            .processor
            .and_then(|start| Some((Timer::processor()? - start) as f64 / 1e9));
        processor.unwrap_or_else(|| self.start.elapsed().as_secs_f64())
    }
}

/// Best time of a call with `rows` tokens of each of `streams`, behind a full window, the
/// distribution of each row included.
fn measure(engine: &Engine, streams: usize, rows: usize) -> f64 {
    let config = engine.model().config().clone();
    let mut state = engine.new_state().unwrap();
    let mut predictions = Predictions::new();
    let mut weights = Weights::new(config.vocab).expect("memory for weights");
    let tokens: Vec<u32> = (0..config.window as u32)
        .map(|i| i * 7919 % config.vocab as u32)
        .collect();
    let segment = Segment {
        state: &mut *state,
        tokens: &tokens,
    };
    engine.forward(&mut [segment], &mut predictions).unwrap();
    let mut states: Vec<_> = (0..streams).map(|_| state.fork().unwrap()).collect();
    let mut call = || {
        let mut segments: Vec<_> = (states.iter_mut())
            .map(|state| Segment {
                state: &mut **state,
                tokens: &tokens[..rows],
            })
            .collect();
        engine.forward(&mut segments, &mut predictions).unwrap();
        for row in 0..streams * rows {
            let logits = predictions.row(row).logits;
            weights.set(engine.instructions(), logits, None);
        }
    };
    let first = Instant::now();
    call();
    // Some systems count a thread's time in ticks of 4 ms.
    let calls = (0.1 / first.elapsed().as_secs_f64()).ceil() as usize;
    let start = Instant::now();
    let mut best = f64::INFINITY;
    while start.elapsed().as_secs_f64() < 0.5 {
        let sample = Timer::new(engine.threads());
        (0..calls).for_each(|_| call());
        best = best.min(sample.seconds() / calls as f64);
    }
    black_box(&weights);
    best
}

/// Products a second with 48 rows and weights that stay in the second-level cache.
fn products_roofline(kernels: Kernels, threads: usize) -> f64 {
    let (columns, tiles, count) = (1024, 16, 48);
    let weights = vec![130u8; tiles * 16 * columns];
    let scales = vec![1.0; tiles * 16];
    let mut rows = QuantizedRows::default();
    rows.resize(count, columns, GROUP, false);
    let x: Vec<f32> = (0..columns).map(|i| (i % 17) as f32 - 8.0).collect();
    (0..count).for_each(|row| rows.set(kernels, row, &x));
    let repeats = 256;
    let pool = Pool::new(threads);
    let mut outs = vec![vec![0.0; count * tiles * 16]; threads];
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Timer::new(threads);
        pool.for_each(&mut vec![(); threads], &mut outs, |(), out| {
            for _ in 0..repeats {
                let product = Product::new(
                    &weights,
                    columns / 4,
                    &scales,
                    None,
                    rows.view(),
                    tiles * 16,
                );
                kernels.product(&product, black_box(out));
            }
        });
        best = best.min(start.seconds());
    }
    (threads * repeats * count * tiles * 16 * columns) as f64 / best
}

/// Bytes a second that all threads together can read from 256 MB.
fn memory_roofline(threads: usize) -> f64 {
    let words = vec![1u64; 32 << 20];
    let pool = Pool::new(threads);
    let mut parts: Vec<(&[u64], u64)> = words.chunks(64 << 10).map(|part| (part, 0)).collect();
    let mut best = f64::INFINITY;
    for _ in 0..6 {
        let start = Timer::new(threads);
        pool.for_each(&mut vec![(); threads], &mut parts, |(), (part, sum)| {
            let mut lanes = [0u64; 32];
            for chunk in part.as_chunks::<32>().0 {
                for (lane, word) in lanes.iter_mut().zip(chunk) {
                    *lane = lane.wrapping_add(*word);
                }
            }
            *sum = black_box(lanes).iter().sum();
        });
        best = best.min(start.seconds());
    }
    (words.len() * 8) as f64 / best
}
