//! Reads what `--prime` names: a file, or a folder of samples.

use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use llmzip::Prime;
use llmzip::machine::new_file;

use super::failure::Failure;
use super::input;
use super::lasting::{self, LastingFile, LastingFolder};
use super::meant::{Accept, Input};
use super::text;

/// The files of primes. Whoever deletes or overwrites one, or adds one, cannot decompress what
/// needs it.
#[derive(Default)]
pub(super) struct PrimeFiles {
    files: Vec<PrimeFile>,
    folders: Vec<LastingFolder>,
    /// Refuse a pipe, which nobody can read again.
    must_last: bool,
}

struct PrimeFile {
    metadata: Metadata,
    lasting: LastingFile,
}

impl PrimeFiles {
    /// None yet. If `must_last` is set, a pipe is refused instead of read.
    pub(super) fn new(must_last: bool) -> PrimeFiles {
        PrimeFiles {
            must_last,
            ..PrimeFiles::default()
        }
    }

    /// Opens the prime at `path`, and notes its files. The files of a folder are joined in the
    /// order of their names.
    pub(super) fn open(&mut self, path: &Path) -> Result<Arc<Prime>, Failure> {
        let mut bytes = Vec::new();
        let read = match path.is_dir() {
            true => self.join(path, &mut bytes),
            false => self.read(path, &mut bytes),
        };
        let prime = read.and_then(|()| {
            let too_many = || Failure::message("a prime has 1 byte to 16 MiB");
            Prime::new(bytes).ok_or_else(too_many)
        });
        prime
            .map(Arc::new)
            .map_err(|failure| failure.about(text::path(path)))
    }

    /// Appends a file to `bytes`.
    fn read(&mut self, path: &Path, bytes: &mut Vec<u8>) -> Result<(), Failure> {
        let found = fs::metadata(path).ok();
        if found.as_ref().is_some_and(input::is_device) {
            return Err(Failure::message(
                "is a device or a socket; a prime is a file or a folder",
            ));
        }
        if self.must_last && found.is_some_and(|found| !found.is_file()) {
            return Err(lasting::fleeting("a pipe"));
        }
        let mut opened = input::open(&Input::File(path.to_owned()), Accept::Pipes)?;
        // One byte more than is allowed tells that there are too many.
        let most = llmzip::codec::MAX_PRIME_LEN as u64 + 1;
        let start = bytes.len();
        let read = (&mut opened.reader).take(most).read_to_end(bytes);
        read.map_err(cannot_read)?;
        let hash = blake3::hash(&bytes[start..]);
        self.files.extend(opened.file.map(|file| PrimeFile {
            metadata: file.metadata,
            lasting: LastingFile::new("the prime", vec![path.to_owned()], hash),
        }));
        Ok(())
    }

    /// Appends the files of a folder to `bytes`.
    fn join(&mut self, folder: &Path, bytes: &mut Vec<u8>) -> Result<(), Failure> {
        let listed = LastingFolder::open(folder).map_err(cannot_read)?;
        for path in listed.files() {
            self.read(path, bytes)
                .map_err(|failure| failure.about(text::path(path)))?;
            if bytes.len() > llmzip::codec::MAX_PRIME_LEN {
                break;
            }
        }
        self.folders.push(listed);
        Ok(())
    }

    /// The files, with what must be read from each again.
    pub(super) fn lasting(&self) -> impl Iterator<Item = LastingFile> {
        self.files.iter().map(|file| file.lasting.clone())
    }

    /// The folders, with the files that they had.
    pub(super) fn lasting_folders(&self) -> Vec<LastingFolder> {
        self.folders.clone()
    }

    /// Whether a file belongs to a prime.
    pub(super) fn have(&self, file: &Metadata) -> bool {
        let mut files = self.files.iter();
        files.any(|one| input::is_same_file(&one.metadata, file))
    }

    /// Refuses an output that would change a prime.
    pub(super) fn refuse_output(&self, path: &Path) -> Result<(), Failure> {
        if fs::metadata(path).is_ok_and(|existing| self.have(&existing)) {
            return Err(Failure::message("output and prime are the same file"));
        }
        let folder = new_file::folder(path);
        if self.folders.iter().any(|prime| prime.is_at(folder)) {
            return Err(Failure::message(
                "the output would become a part of the prime, which is a folder; -o FILE elsewhere",
            ));
        }
        Ok(())
    }
}

fn cannot_read(error: io::Error) -> Failure {
    Failure::Message(format!("cannot read: {error}"))
}
