//! How well each built-in model predicts a text: fewer bits a byte are better.
//!
//! ```text
//! cargo run --release --example measure -- FILE
//! ```
//!
//! Bits per byte are the cross-entropy of the text under the model and the experts, to which the
//! compressed file is as close as an arithmetic coder gets.

use std::error::Error;
use std::{env, fs, io};

use llmzip::{EncoderOptions, Models, compress};

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("usage: measure FILE")?;
    let text = fs::read(path)?;
    let models = Models::builtin();

    println!(
        "{:>8} {:>12} {:>14}",
        "model", "parameters", "bits per byte"
    );
    for name in models.names()? {
        let model = models.get(&name)?;
        let parameters = model.parameters();
        let options = EncoderOptions::new().model(model).streams(1);
        let options = options.count_cross_entropy(true);
        let summary = compress(text.as_slice(), io::sink(), &options)?;
        let bits = summary.cross_entropy.unwrap_or_default();
        let per_byte = bits / summary.original_len as f64;
        println!("{name:>8} {parameters:>12} {per_byte:>14.3}");
    }
    Ok(())
}
