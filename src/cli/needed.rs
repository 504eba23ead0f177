//! What outputs need to be decompressed again, or inputs to be decompressed at all: the files of
//! primes, and models. Whoever deletes or overwrites one loses what needs it.

use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::sync::Arc;

use llmzip::Model;
use llmzip::machine::regular_file;

use super::failure::Failure;
use super::input::{self, InputFile};
use super::lasting::Lasting;
use super::prime::PrimeFiles;

/// What is known to be needed so far.
pub(super) struct Needed<'a> {
    pub(super) primes: &'a PrimeFiles,
    pub(super) models: Vec<Arc<Model>>,
    /// What outputs need to be decompressed; `None` if they are decompressed already.
    pub(super) by_outputs: Option<&'a Lasting>,
}

impl Needed<'_> {
    /// Why an input, whose bytes have the hash `read`, must not be deleted, if it must not.
    pub(super) fn reason_to_keep(&self, input: &InputFile, read: blake3::Hash) -> Option<&str> {
        if self.primes.have(&input.metadata) {
            return Some("it belongs to the prime");
        }
        is_one_of(&self.models, input.metadata.len(), || Some(read))
            .then_some("it is the model that its output needs")
    }

    /// Whether outputs can be decompressed without the inputs. The error says what is missing.
    pub(super) fn check_outputs(&self) -> Result<(), String> {
        self.by_outputs.map_or(Ok(()), Lasting::check)
    }

    /// Refuses an output that would overwrite what is needed.
    pub(super) fn refuse_output(&self, path: &Path) -> Result<(), Failure> {
        self.primes.refuse_output(path)?;
        refuse_models(path, &self.models)
    }

    /// Refuses standard output and standard error if they would change what is needed.
    pub(super) fn refuse_streams(&self) -> Result<(), Failure> {
        for (stream, _, name) in streams() {
            if stream.is_some_and(|stream| self.primes.have(&stream)) {
                let reason = format!("{name} and prime are the same file");
                return Err(Failure::Message(reason));
            }
        }
        refuse_streams(&self.models)
    }
}

/// Refuses standard output and standard error if they are the file of one of these models.
pub(super) fn refuse_streams(models: &[Arc<Model>]) -> Result<(), Failure> {
    for (stream, path, name) in streams() {
        if stream.is_some() && is_model(Path::new(path), models) {
            let reason = format!("{name} and model are the same file");
            return Err(Failure::Message(reason));
        }
    }
    Ok(())
}

/// Whether standard output or standard error goes to this file.
pub(super) fn is_written_to(file: &InputFile) -> bool {
    let mut streams = streams().into_iter().filter_map(|(stream, ..)| stream);
    streams.any(|stream| input::is_same_file(&stream, &file.metadata))
}

/// The files that standard output and standard error were redirected to, their paths, and what
/// messages call them. They may be open for writing alone, and are opened again to be read.
fn streams() -> [(Option<Metadata>, &'static str, &'static str); 2] {
    [
        (input::redirected(&io::stdout()), "/dev/fd/1", "output"),
        (
            input::redirected(&io::stderr()),
            "/dev/fd/2",
            "standard error",
        ),
    ]
}

/// Refuses an output that would overwrite one of these models.
pub(super) fn refuse_models(path: &Path, models: &[Arc<Model>]) -> Result<(), Failure> {
    match is_model(path, models) {
        true => Err(Failure::message("output and model are the same file")),
        false => Ok(()),
    }
}

/// Whether one of these models, or a copy of it, is at `path`.
fn is_model(path: &Path, models: &[Arc<Model>]) -> bool {
    regular_file::open(path).is_ok_and(|file| {
        let metadata = file.metadata();
        metadata.is_ok_and(|metadata| is_one_of(models, metadata.len(), || input::hash(&file).ok()))
    })
}

/// Whether a file of this length and hash is one of these models, or a copy of it.
fn is_one_of(models: &[Arc<Model>], len: u64, hash: impl FnOnce() -> Option<blake3::Hash>) -> bool {
    let mut alike = models
        .iter()
        .filter(|model| model.size() as u64 == len)
        .peekable();
    // Most files are not hashed, because no model has their length.
    alike.peek().is_some() && hash().is_some_and(|hash| alike.any(|model| hash == model.identity()))
}
