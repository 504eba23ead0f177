//! A file of the hub while it arrives.
//!
//! The bytes lie beside their place in the cache, under the same name with an ending. A fetch that
//! was interrupted leaves them there, and the next one goes on behind them. Whoever uses a part
//! holds the lock of the repository.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::announced::Announced;
use super::hash::{Hasher, hash_all};

/// The ending of a part's name. `huggingface_hub` and `hf-hub` use others, so that nobody takes
/// another's part for one's own.
const ENDING: &str = "llmzip-part";

/// The first bytes of an announced file.
pub(super) struct Part<'a> {
    announced: &'a Announced,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    /// In bytes, at most the announced size.
    length: u64,
}

impl<'a> Part<'a> {
    /// Opens the part of the file that belongs at `place`, an empty one if there is none.
    pub(super) fn open(place: &Path, announced: &'a Announced) -> io::Result<Part<'a>> {
        let path = place.with_extension(ENDING);
        // A link, or whatever else somebody put there, is not ours to write through.
        if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
            fs::remove_file(&path)?;
        }
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        let mut part = Part {
            announced,
            path,
            file,
            hasher: Hasher::new(&announced.hash, announced.size),
            length: 0,
        };
        match part.file.metadata()?.len() > announced.size {
            true => part.restart()?,
            false => part.length = hash_all(&mut part.file, &mut part.hasher)?,
        }
        Ok(part)
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// How many bytes are still to come.
    pub(super) fn missing(&self) -> u64 {
        self.announced.size - self.length
    }

    /// The first bytes of it, at most `most`.
    pub(super) fn start(&self, most: u64) -> io::Result<Vec<u8>> {
        let mut start = Vec::new();
        File::open(&self.path)?.take(most).read_to_end(&mut start)?;
        Ok(start)
    }

    /// Empties the part.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        io::Seek::rewind(&mut self.file)?;
        self.hasher = Hasher::new(&self.announced.hash, self.announced.size);
        self.length = 0;
        Ok(())
    }

    /// Appends bytes, which must not be more than are missing.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Moves a complete file to its place if it has the announced hash; else deletes it. The inner
    /// error says how it differs.
    pub(super) fn finish(self, place: &Path) -> io::Result<Result<(), String>> {
        if self.missing() > 0 {
            let (length, size) = (self.length, self.announced.size);
            fs::remove_file(&self.path)?;
            return Ok(Err(format!("{length} bytes arrived of {size}")));
        }
        if let Err(reason) = self.hasher.compare(&self.announced.hash) {
            fs::remove_file(&self.path)?;
            return Ok(Err(reason));
        }
        self.file.sync_all()?;
        fs::rename(&self.path, place)?;
        Ok(Ok(()))
    }

    /// Deletes the part.
    pub(super) fn discard(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}
