//! A compressed archive of files: `tar` writes into an encoder and reads from a decoder.
//!
//! ```text
//! cargo run --release --example tar -- ARCHIVE.tar.llmz FILE...
//! ```
//!
//! Writes the archive, then lists what is in it.

use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use llmzip::{Decoder, Encoder, EncoderOptions, Models};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let path = arguments.next().ok_or("usage: tar ARCHIVE FILE...")?;
    let models = Models::builtin();

    let options = EncoderOptions::new().model(models.get("mini")?);
    pack(File::create(&path)?, arguments, &options)?;

    for (len, name) in list(File::open(&path)?, &models)? {
        println!("{len:>10} {}", name.display());
    }
    Ok(())
}

/// Writes an archive of `files`.
pub(crate) fn pack(
    archive: impl Write,
    files: impl IntoIterator<Item = impl AsRef<Path>>,
    options: &EncoderOptions,
) -> Result<(), Box<dyn Error>> {
    let mut builder = tar::Builder::new(Encoder::new(archive, options)?);
    for file in files {
        builder.append_path(file)?;
    }
    let encoder = builder.into_inner()?;
    encoder.finish()?;
    Ok(())
}

/// The length and name of each file in an archive.
pub(crate) fn list(
    archive: impl Read,
    models: &Models,
) -> Result<Vec<(u64, PathBuf)>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in tar::Archive::new(Decoder::new(archive, models)).entries()? {
        let entry = entry?;
        files.push((entry.size(), entry.path()?.into_owned()));
    }
    Ok(files)
}
