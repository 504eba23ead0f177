//! Regular files. Pipes and devices could keep a reader waiting, or never end.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Opens the regular file at `path` for reading.
///
/// # Errors
/// If there is none, or the system refuses.
pub fn open(path: &Path) -> io::Result<File> {
    match fs::metadata(path)?.is_file() {
        true => File::open(path),
        false => Err(io::Error::other("not a regular file")),
    }
}
