//! Speed of single kernels on one thread, every instruction set of this machine.
//!
//! `cargo bench --bench kernels`. Each line is the best of several runs over data that stays in
//! cache.

use std::hint::black_box;
use std::time::{Duration, Instant};

use llmzip::arch::block::Activation;
use llmzip::arch::config::GROUP;
use llmzip::engine::cpu::kernels::{
    DeltaRows, Kernels, Product, QuantizedRows, RECURRENT_WIDTH, Values,
};
use llmzip::machine::aligned::Aligned;
use llmzip::machine::instructions::InstructionSet;
use llmzip::predict::Weights;

fn main() {
    print!("{:<52}", "");
    let sets = InstructionSet::available();
    sets.iter().for_each(|set| print!("{:>12}", set.name()));
    let sets: Vec<Kernels> = sets.into_iter().map(Kernels::new).collect();
    println!();
    for (rows, columns, outputs) in [
        (1, 576, 1536),
        (8, 576, 1536),
        (64, 576, 1536),
        (64, 1536, 576),
        (12, 64, 1024),
    ] {
        line(
            &format!("product {rows} x {columns} x {outputs}, GMAC/s"),
            &sets,
            rows * columns * outputs,
            |set| product(set, rows, columns, outputs),
        );
    }
    for queries in [3, 15] {
        line(
            &format!("weighted values, {queries} queries x 1024 x 64, GMAC/s"),
            &sets,
            queries * 1024 * 64,
            |set| weighted_values(set, queries),
        );
    }
    line("softmax of 1,024 keys, keys/ns", &sets, 1024, softmax);
    line(
        "distribution of 49,152 logits, logits/ns",
        &sets,
        49_152,
        distribution_of_logits,
    );
    line(
        "delta rule, 16 rows of a head of 128 x 128, cells/ns",
        &sets,
        16 * 128 * 128,
        delta_rule,
    );
    line("norm of 576, values/ns", &sets, 576, |set| {
        let (x, mut out) = (floats(576), vec![0.0; 576]);
        best(|| set.rms_norm(&x, &x, 1e-5, black_box(&mut out)))
    });
    line("gate of 1,536, values/ns", &sets, 1536, |set| {
        let (x, mut out) = (floats(1536), vec![0.0; 1536]);
        best(|| set.activate(Activation::Silu, &x, &x, black_box(&mut out)))
    });
    line("quantisation of 1,536, values/ns", &sets, 1536, |set| {
        let x = floats(1536);
        let mut rows = QuantizedRows::default();
        rows.resize(1, 1536, GROUP, false);
        best(|| black_box(&mut rows).set(set, 0, &x))
    });
}

/// One line of the table: `count` over the nanoseconds that each set needs.
fn line(name: &str, sets: &[Kernels], count: usize, run: impl Fn(Kernels) -> f64) {
    print!("{name:<52}");
    for set in sets {
        print!("{:>12.2}", count as f64 / (run(*set) * 1e9));
    }
    println!();
}

/// Best seconds of a call, over batches long enough for the clock.
fn best(mut work: impl FnMut()) -> f64 {
    work();
    let start = Instant::now();
    let mut best = f64::INFINITY;
    while start.elapsed() < Duration::from_millis(60) {
        let batch = Instant::now();
        let mut calls = 0;
        while calls == 0 || batch.elapsed() < Duration::from_micros(300) {
            work();
            calls += 1;
        }
        best = best.min(batch.elapsed().as_secs_f64() / f64::from(calls));
    }
    best
}

fn floats(len: usize) -> Vec<f32> {
    (0..len as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0)
        .collect()
}

fn product(set: Kernels, count: usize, columns: usize, outputs: usize) -> f64 {
    let weights: Vec<u8> = (0..outputs * columns)
        .map(|i| (i % 255) as u8 + 1)
        .collect();
    // As in a packed model.
    let weights = Aligned::from(&weights[..]);
    let scales = vec![0.01; outputs];
    let mut rows = QuantizedRows::default();
    rows.resize(count, columns, GROUP, false);
    (0..count).for_each(|row| rows.set(set, row, &floats(columns)));
    let mut out = vec![0.0; count * outputs];
    best(|| {
        set.product(
            &Product::new(&weights, columns / 4, &scales, None, rows.view(), outputs),
            black_box(&mut out),
        );
    })
}

fn weighted_values(set: Kernels, queries: usize) -> f64 {
    let values: Vec<i8> = (0..1024 * 64).map(|i| (i % 255 - 127) as i8).collect();
    let halves: Vec<u8> = (0..queries * 1024).map(|i| (i % 128) as u8).collect();
    let (values, halves) = (Aligned::from(&values[..]), Aligned::from(&halves[..]));
    let mut sums = vec![0; queries * 64];
    best(|| {
        sums.fill(0);
        let values = Values {
            values: &values,
            width: 64,
            queries,
            high: &halves,
            low: &halves,
            stride: 1024,
            offset: 0,
            cold: false,
        };
        set.values(&values, black_box(&mut sums));
    })
}

fn delta_rule(set: Kernels) -> f64 {
    let (rows, dim) = (16, 128);
    let x = floats(rows * dim);
    let values = vec![[0.5; RECURRENT_WIDTH]; rows];
    let mut state = vec![[0.1; RECURRENT_WIDTH]; dim];
    let mut out = vec![[0.0; RECURRENT_WIDTH]; rows];
    let rows = DeltaRows {
        keys: &x,
        queries: &x,
        values: &values,
        kept: &vec![0.9; rows],
        learned: &vec![0.01; rows],
    };
    let blocks = dim / RECURRENT_WIDTH;
    blocks as f64 * best(|| set.delta_rule(&mut state, &rows, black_box(&mut out)))
}

fn softmax(set: Kernels) -> f64 {
    let (source, scales) = (floats(1024), vec![0.01; 1024]);
    let mut scores = source.clone();
    let (mut high, mut low) = (vec![0; 1024], vec![0; 1024]);
    best(|| {
        scores.copy_from_slice(&source);
        black_box(set.softmax(&mut scores, &scales, 16383.0, &mut high, &mut low));
    })
}

fn distribution_of_logits(set: Kernels) -> f64 {
    let logits: Vec<i32> = floats(49_152)
        .into_iter()
        .map(|x| (x * 1e6) as i32)
        .collect();
    let mut weights = Weights::new(logits.len()).expect("memory for weights");
    best(|| black_box(&mut weights).set(set.instructions(), &logits, None))
}
