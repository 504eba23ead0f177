//! Files of published models.

use super::SourceError;
use crate::machine::regular_file;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::path::Path;

/// How a pointer begins that Git leaves where the file itself has not been fetched.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Opens the regular file at `path` for reading. Messages call it `name`.
///
/// # Errors
/// If it is missing or unreadable, or a Git LFS pointer.
pub(super) fn open(path: &Path, name: &str) -> Result<File, SourceError> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => SourceError::Invalid(format!("{name} is missing")),
        _ => SourceError::io(name, error),
    };
    let mut file = regular_file::open(path).map_err(failed)?;
    let mut start = Vec::new();
    let most = LFS_POINTER.len() as u64;
    (&mut file)
        .take(most)
        .read_to_end(&mut start)
        .map_err(failed)?;
    if start == LFS_POINTER {
        return Err(SourceError::Invalid(format!(
            "{name} is a Git LFS pointer, not the file itself (fetch it with git lfs pull)"
        )));
    }
    file.rewind().map_err(failed)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_and_missing_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        let says = |part: &str| {
            let error = open(&path, "model.gguf").unwrap_err().to_string();
            assert!(
                error.contains("model.gguf") && error.contains(part),
                "{error}"
            );
        };
        says("missing");
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
        std::fs::write(&path, pointer).unwrap();
        says("Git LFS pointer");
        for sound in [
            "",
            "version",
            "GGUF and more than a pointer's beginning is long",
        ] {
            std::fs::write(&path, sound).unwrap();
            let mut text = String::new();
            let mut file = open(&path, "model.gguf").unwrap();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, sound);
        }
    }
}
