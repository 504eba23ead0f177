//! A compressed archive of files: `tar` writes into an encoder and reads from a decoder.
//!
//! ```text
//! cargo run --release --example tar -- ARCHIVE.tar.llmz FILE...
//! ```
//!
//! Writes the archive, then lists what is in it.

use std::error::Error;
use std::fs::File;

use llmzip::{Decoder, Encoder, EncoderOptions, Models};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: tar ARCHIVE FILE...")?;
    let models = Models::installed();

    let options = EncoderOptions::new().model(models.get("nano")?);
    let encoder = Encoder::new(File::create(&path)?, &options)?;
    let mut archive = tar::Builder::new(encoder);
    for file in arguments {
        archive.append_path(file)?;
    }
    archive.into_inner()?.finish()?;

    let decoder = Decoder::new(File::open(&path)?, &models);
    for entry in tar::Archive::new(decoder).entries()? {
        let entry = entry?;
        println!("{:>10} {}", entry.size(), entry.path()?.display());
    }
    Ok(())
}
