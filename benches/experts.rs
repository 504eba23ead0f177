//! Code length and speed of the experts alone: `cargo bench --bench experts -- [--light] FILE...`.

use llmzip::predict::{Event, Predictor, Preset, Settings};
use std::time::Instant;

fn main() {
    let light = std::env::args().any(|argument| argument == "--light");
    let mut total = (0, 0.0, 0.0);
    for path in std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
    {
        let bytes = std::fs::read(&path).unwrap();
        let mut predictor = Predictor::new(Settings {
            experts: true,
            preset: if light { Preset::Light } else { Preset::Normal },
            with_model: false,
        });
        let start = Instant::now();
        let mut cost = 0.0;
        for &byte in &bytes {
            for position in (0..8).rev() {
                let bit = (byte >> position) & 1 == 1;
                let p = f64::from(predictor.predict(Event::Bit, None)) / 2f64.powi(24);
                cost -= if bit { p } else { 1.0 - p }.log2();
                predictor.update(bit);
            }
        }
        let time = start.elapsed().as_secs_f64();
        println!(
            "{path}\t{}\t{:.0}\t{:.4}\t{:.0}",
            bytes.len(),
            cost / 8.0,
            cost / bytes.len() as f64,
            bytes.len() as f64 / time / 1000.0
        );
        total.0 += bytes.len();
        total.1 += cost / 8.0;
        total.2 += time;
    }
    println!(
        "total\t{}\t{:.0}\t{:.4}\t{:.0}",
        total.0,
        total.1,
        8.0 * total.1 / total.0 as f64,
        total.0 as f64 / total.2 / 1000.0
    );
}
