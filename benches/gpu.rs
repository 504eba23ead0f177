//! The engine on a device beside the CPU's: the same bits, and at what speed.
//!
//! `cargo bench --features gpu --bench gpu [-- [DEVICE] [SHAPE ...]]` with a part of a device's
//! name or its number, by default the first that is no processor; and shapes of models with random
//! weights: `tiny`, `135m` (the shape of SmolLM2-135M) and `1.7b`, by default the last two. It
//! ends with an error if one bit differs.

use std::sync::Arc;
use std::time::Instant;

use llmzip::arch::Config;
use llmzip::check::speed::{like_smollm2, products, random_model};
use llmzip::engine::vulkan::{Device, DeviceInfo, DeviceKind, VulkanEngine, devices};
use llmzip::engine::{Engine, EngineOptions, Predictions, Runtime, Segment, State};
use llmzip::packed::PackedModel;

/// Tokens of a call when many are known.
const MANY: usize = 512;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|it| it != "--bench")
        .collect();
    let (shapes, names): (Vec<_>, Vec<_>) =
        arguments.into_iter().partition(|it| shape(it).is_some());
    let info = choose(names.first().map(String::as_str));
    let gib = info.memory as f64 / f64::from(1 << 30);
    println!(
        "{} ({:?}, {gib:.1} GiB, {})",
        info.name, info.kind, info.driver
    );
    let device = Device::open(&info).expect("a device that can be used");
    let shapes = match shapes.is_empty() {
        true => vec!["135m".to_owned(), "1.7b".to_owned()],
        false => shapes,
    };
    let mut differing = 0;
    for name in shapes {
        let config = shape(&name).expect("a shape");
        let model = Arc::new(random_model(&config).expect("a model"));
        let macs = products(&config).expect("a family") as f64;
        println!("\n{name}: {:.1} M products a token", macs / 1e6);
        let start = Instant::now();
        let engine = VulkanEngine::new(Arc::clone(&model), &device).expect("an engine");
        println!(
            "weights on the device after {:.1} s",
            start.elapsed().as_secs_f64()
        );
        differing += compare(&model, &engine);
        let window = config.window;
        speed(&engine, "prefill", 1, MANY, window / MANY + 2, macs);
        for streams in [1, 16, 64, 256] {
            speed(&engine, "steps", streams, 1, 24, macs);
        }
    }
    assert_eq!(differing, 0, "predictions differ");
}

/// The configuration of a shape.
fn shape(name: &str) -> Option<Config> {
    let small = Config {
        window: 2048,
        ..like_smollm2()
    };
    match name {
        "tiny" => Some(Config {
            layers: 3,
            vocab: 2048,
            inputs: 2048,
            window: 256,
            ..small
        }),
        "135m" => Some(small),
        "1.7b" => Some(Config {
            hidden: 2048,
            layers: 24,
            heads: 32,
            kv_heads: 32,
            intermediate: 8192,
            ..small
        }),
        _ => None,
    }
}

/// The device with this name or number, or the first that is no processor.
fn choose(name: Option<&str>) -> DeviceInfo {
    let all = devices().expect("a Vulkan library");
    let fits = |(index, device): &(usize, &DeviceInfo)| match name {
        Some(name) => {
            let name = name.to_lowercase();
            device.name.to_lowercase().contains(&name) || index.to_string() == name
        }
        None => device.kind != DeviceKind::Processor,
    };
    let found = all.iter().enumerate().find(fits);
    found.expect("a device of this name").1.clone()
}

/// Runs tokens on the device and on the CPU: many at once, then one at a time, in two streams that
/// part. Returns how many predictions differ.
fn compare(model: &Arc<PackedModel>, engine: &VulkanEngine) -> usize {
    let cpu = Engine::new(Arc::clone(model), EngineOptions::default()).expect("an engine");
    let inputs = model.config().inputs as u32;
    let token = |index: u32| index.wrapping_mul(2_654_435_761) % inputs;
    let runtimes: [&dyn Runtime; 2] = [engine, &cpu];
    let mut rows: Vec<Vec<(Vec<i32>, Vec<i8>)>> = Vec::new();
    for runtime in runtimes {
        let mut found = Vec::new();
        let mut predictions = Predictions::new();
        let mut run = |segments: &mut [Segment<'_>]| {
            runtime.forward(segments, &mut predictions).expect("a pass");
            for row in 0..predictions.len() {
                let row = predictions.row(row);
                found.push((row.logits.to_vec(), row.state.to_vec()));
            }
        };
        let mut first = runtime.new_state().expect("a state");
        let many: Vec<u32> = (0..150).map(token).collect();
        run(&mut [segment(&mut first, &many)]);
        let mut second = first.fork().expect("a state");
        for step in 0..40 {
            let tokens = [[token(1000 + step)], [token(2000 + step)]];
            let segments = [
                segment(&mut first, &tokens[0]),
                segment(&mut second, &tokens[1]),
            ];
            run(&mut { segments });
        }
        first.truncate(first.position() - 20);
        run(&mut [segment(&mut first, &many[..30])]);
        rows.push(found);
    }
    let differing = rows[0].iter().zip(&rows[1]).filter(|(a, b)| a != b).count();
    println!(
        "{differing} of {} predictions differ from the CPU's",
        rows[0].len()
    );
    differing
}

fn segment<'a>(state: &'a mut Box<dyn State>, tokens: &'a [u32]) -> Segment<'a> {
    Segment {
        state: &mut **state,
        tokens,
    }
}

/// Prints how many tokens a second `streams` streams take, so many at a time. The best of the last
/// calls counts, when windows are full or nearly so.
fn speed(
    engine: &VulkanEngine,
    what: &str,
    streams: usize,
    tokens: usize,
    calls: usize,
    macs: f64,
) {
    let config = engine.model().config();
    let mut predictions = Predictions::new();
    let fill: Vec<u32> = (0..MANY as u32)
        .map(|it| it % config.inputs as u32)
        .collect();
    let states = (0..streams)
        .map(|_| engine.new_state())
        .collect::<Result<Vec<_>, _>>();
    let mut states = match states {
        Ok(states) => states,
        Err(error) => return println!("{what}, {streams} streams: {error}"),
    };
    let mut best = f64::INFINITY;
    if tokens == 1 {
        for state in &mut states {
            engine
                .forward(&mut [segment(state, &fill)], &mut predictions)
                .expect("a pass");
        }
    }
    for _ in 0..calls {
        let start = Instant::now();
        let segments = states
            .iter_mut()
            .map(|state| segment(state, &fill[..tokens]));
        let mut segments: Vec<_> = segments.collect();
        engine
            .forward(&mut segments, &mut predictions)
            .expect("a pass");
        best = best.min(start.elapsed().as_secs_f64());
    }
    let speed = (streams * tokens) as f64 / best;
    println!(
        "{what}, {streams} streams, {tokens} tokens a call: {speed:.0} token/s, {:.1} GMAC/s, {:.2} ms",
        speed * macs / 1e9,
        best * 1e3
    );
}
