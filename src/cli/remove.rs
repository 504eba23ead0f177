//! Deletes inputs whose outputs are in place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use llmzip::machine::new_file::{self, Placing};
use llmzip::machine::regular_file;

use super::failure::Failure;
use super::input::{self, InputFile, OpenInput};
use super::needed::Needed;
use super::output::Stored;
use super::text;

/// Deletes an input if it is still what was read: bytes with the hash `read`. Anything but a
/// regular file stays, and so does an input whose output went elsewhere than into a file, or is
/// made after it.
pub(super) fn remove_input(
    input: &OpenInput,
    needed: &Needed<'_>,
    stored: &Stored,
    read: blake3::Hash,
) -> Result<(), Failure> {
    let Some(file) = input.regular() else {
        return Ok(());
    };
    let removed = match (stored, needed.reason_to_keep(file, read)) {
        (_, Some(reason)) => Err(reason.to_owned()),
        (Stored::Elsewhere, _) => return Ok(()),
        (Stored::Unsafely(error), _) => {
            Err(format!("the disk may not hold its output yet: {error}"))
        }
        (Stored::Safely, _) if input::leads_to_open_file(&file.path) => {
            Err("it belongs to the system, or stands for an open file".to_owned())
        }
        (Stored::Safely, _) if fs::symlink_metadata(&file.path).is_err() => {
            Err("it is not there any more".to_owned())
        }
        (Stored::Safely, _) if !file.is_at_its_path() => {
            Err("another file took its place".to_owned())
        }
        (Stored::Safely, _) => check_contents(file, read)
            // What takes long is done before signals have to wait.
            .and_then(|()| needed.check_outputs())
            .and_then(|()| delete(file, read, needed)),
    };
    removed
        .map_err(|reason| Failure::Message(format!("done, but the input is not deleted: {reason}")))
}

/// Whether the file holds what was read. A store through a memory mapping may leave its times as
/// they are, so all of it is read again.
fn check_contents(file: &InputFile, read: blake3::Hash) -> Result<(), String> {
    let is_same = match file.hash() {
        Ok(hash) => hash == read && file.is_untouched(),
        Err(error) => return Err(format!("it cannot be read again: {error}")),
    };
    match is_same {
        true => Ok(()),
        false => Err("it changed while it was read".to_owned()),
    }
}

/// Deletes the name of a file. No system deletes a name only if it stands for a certain file, and
/// another one may take it at any time. So the name is changed to one that nobody uses, and what
/// stands there is deleted, if it is the file. What its output needs is looked for in between: of
/// two processes of which each would delete what the other one's output needs, at least one finds
/// that it is gone.
fn delete(file: &InputFile, read: blake3::Hash, needed: &Needed<'_>) -> Result<(), String> {
    let signals_wait = Placing::begin();
    let aside = move_aside(&file.path).map_err(|error| error.to_string())?;
    let deleted = needed
        .check_outputs()
        .and_then(|()| check_aside(&aside, file, read))
        .and_then(|()| fs::remove_file(&aside).map_err(|error| error.to_string()));
    let result = deleted.map_err(|reason| match new_file::rename_new(&aside, &file.path) {
        Ok(()) => reason,
        Err(_) => format!("{reason}; it is called {} now", text::path(&aside)),
    });
    drop(signals_wait);
    result
}

/// Whether what was moved to `aside` is the file, as it was when it was read. A file may have
/// another number since then: an overlay copies a file of its lower layer when that gets a new
/// name. Then the bytes decide.
fn check_aside(aside: &Path, file: &InputFile, read: blake3::Hash) -> Result<(), String> {
    let is_the_file =
        fs::metadata(aside).is_ok_and(|now| input::is_same_file(&now, &file.metadata));
    if is_the_file {
        return match file.has_new_contents() {
            true => Err("it changed while it was read".to_owned()),
            false => Ok(()),
        };
    }
    let hash = regular_file::open(aside).and_then(|file| input::hash(&file));
    match hash.is_ok_and(|hash| hash == read) {
        true => Ok(()),
        false => Err("another file took its place".to_owned()),
    }
}

/// Changes the name of what is at `path` to a random one in the same folder, and returns that.
fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let moved = tempfile::Builder::new()
        .prefix(".llmzip-")
        .suffix(".input")
        .make_in(new_file::folder(path), |aside| {
            new_file::rename_new(path, aside)
        })?;
    let aside = moved.into_temp_path();
    // What it stands for is not deleted but where that is said.
    aside.keep().map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::cli::lasting::{Lasting, LastingFile};
    use crate::cli::prime::PrimeFiles;

    fn input(folder: &Path) -> (PathBuf, OpenInput) {
        let path = folder.join("a");
        fs::write(&path, "what was read").unwrap();
        let file = File::open(&path).unwrap();
        let file = InputFile {
            path: path.clone(),
            metadata: file.metadata().unwrap(),
            file,
        };
        let opened = OpenInput {
            reader: Box::new(io::empty()),
            file: Some(file),
            redirected: None,
        };
        (path, opened)
    }

    fn needed<'a>(primes: &'a PrimeFiles, by_outputs: Option<&'a Lasting>) -> Needed<'a> {
        Needed {
            primes,
            models: Vec::new(),
            by_outputs,
        }
    }

    fn remove(input: &OpenInput, read: &[u8]) -> Result<(), String> {
        let primes = PrimeFiles::default();
        let read = blake3::hash(read);
        let removed = remove_input(input, &needed(&primes, None), &Stored::Safely, read);
        removed.map_err(|failure| failure.to_string())
    }

    fn names(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn only_a_file_that_holds_what_was_read_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let (path, input) = input(folder.path());
        let error = remove(&input, b"what was there when it was read").unwrap_err();
        assert!(error.ends_with("it changed while it was read"), "{error}");
        assert!(path.exists());
        remove(&input, b"what was read").unwrap();
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_file_that_takes_the_name_at_the_last_moment_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (path, input) = input(folder.path());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        let primes = PrimeFiles::default();
        let read = blake3::hash(b"what was read");
        let delete = || delete(input.regular().unwrap(), read, &needed(&primes, None));
        let error = delete().unwrap_err();
        assert_eq!(error, "another file took its place");
        assert_eq!(names(folder.path()), std::slice::from_ref(&path));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        // As where a file system gives the file another number.
        fs::write(&path, "what was read").unwrap();
        delete().unwrap();
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn an_input_whose_output_lacks_something_at_the_last_moment_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (path, input) = input(folder.path());
        let prime = folder.path().join("prime");
        let hash = blake3::hash(b"what came before");
        let lasting = LastingFile::new("the prime", vec![prime.clone()], hash);
        let lasting = Lasting::new(vec![lasting]);
        let primes = PrimeFiles::default();
        let needed = needed(&primes, Some(&lasting));
        let read = blake3::hash(b"what was read");
        let delete = || delete(input.regular().unwrap(), read, &needed);
        let error = delete().unwrap_err();
        assert!(error.contains("its output needs the prime"), "{error}");
        assert_eq!(names(folder.path()), std::slice::from_ref(&path));
        fs::write(&prime, "what came before").unwrap();
        delete().unwrap();
        assert_eq!(names(folder.path()), [prime]);
    }
}
