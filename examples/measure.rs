//! How well each built-in model predicts a text: fewer bits a byte are better.
//!
//! ```text
//! cargo run --release --example measure -- FILE
//! ```
//!
//! Bits per byte are the cross-entropy of the text under the model and the experts. An arithmetic
//! coder comes within a few bytes of it, so it is also the size of the compressed file.

use std::error::Error;
use std::sync::Arc;
use std::{env, fs, io};

use llmzip::{EncoderOptions, Model, Models, compress};

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args_os().nth(1).ok_or("usage: measure FILE")?;
    let text = fs::read(path)?;
    let models = Models::builtin();

    println!(
        "{:>8} {:>12} {:>14}",
        "model", "parameters", "bits per byte"
    );
    for name in models.names()? {
        let model = models.get(&name)?;
        let parameters = model.parameters();
        let bits = bits_per_byte(&text, model)?;
        println!("{name:>8} {parameters:>12} {bits:>14.3}");
    }
    Ok(())
}

/// The cross-entropy of `text`, coded in one stream, which costs no context.
pub(crate) fn bits_per_byte(text: &[u8], model: Arc<Model>) -> Result<f64, llmzip::Error> {
    let options = EncoderOptions::new().model(model).streams(1);
    let options = options.count_cross_entropy(true);
    let summary = compress(text, io::sink(), &options)?;
    Ok(summary.cross_entropy.unwrap_or_default() / text.len() as f64)
}
