//! What outputs need to be decompressed again, or inputs to be decompressed at all: the files of
//! primes, and a model. Whoever deletes or overwrites one loses what needs it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use llmzip::Model;
use llmzip::machine::regular_file;

use super::failure::Failure;
use super::input::InputFile;
use super::prime::PrimeFiles;

#[derive(Default)]
pub(super) struct Needed {
    pub(super) primes: PrimeFiles,
    pub(super) model: Option<Arc<Model>>,
}

impl Needed {
    /// Why an input, whose bytes have the hash `read`, must not be deleted, if it must not.
    pub(super) fn reason_to_keep(&self, input: &InputFile, read: blake3::Hash) -> Option<&str> {
        if self.primes.have(&input.metadata) {
            return Some("it belongs to the prime");
        }
        self.is_model(input.metadata.len(), || Some(read))
            .then_some("it is the model that its output needs")
    }

    /// Refuses an output that would overwrite what is needed.
    pub(super) fn refuse_output(&self, path: &Path) -> Result<(), Failure> {
        self.primes.refuse_output(path)?;
        let is_model = regular_file::open(path).is_ok_and(|file| {
            let metadata = file.metadata();
            metadata.is_ok_and(|metadata| self.is_model(metadata.len(), || hash(&file)))
        });
        match is_model {
            true => Err(Failure::message("output and model are the same file")),
            false => Ok(()),
        }
    }

    /// Whether a file of this length and hash is the model, or a copy of it.
    fn is_model(&self, len: u64, hash: impl FnOnce() -> Option<blake3::Hash>) -> bool {
        self.model.as_ref().is_some_and(|model| {
            model.size() as u64 == len && hash().is_some_and(|hash| hash == model.identity())
        })
    }
}

fn hash(file: &File) -> Option<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).ok()?;
    Some(hasher.finalize())
}
