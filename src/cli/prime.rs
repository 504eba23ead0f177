//! Reads what `--prime` names: a file, or a folder of samples.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use llmzip::Prime;

use super::failure::Failure;
use super::input;
use super::meant::{Accept, Input};
use super::text;

/// The prime at `path`. The files of a folder are joined in the order of their names.
pub(super) fn open(path: &Path) -> Result<Arc<Prime>, Failure> {
    let bytes = match path.is_dir() {
        true => join(path),
        false => read(path),
    };
    let bytes = bytes.map_err(|failure| failure.about(text::path(path)))?;
    let prime = Prime::new(bytes).ok_or_else(|| {
        Failure::Message(format!(
            "{}: a prime has 1 byte to 16 MiB",
            text::path(path)
        ))
    })?;
    Ok(Arc::new(prime))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut opened = input::open(&Input::File(path.to_owned()), Accept::Pipes)?;
    let mut bytes = Vec::new();
    // One byte more than is allowed tells that there are too many.
    let most = llmzip::codec::MAX_PRIME_LEN as u64 + 1;
    let read = (&mut opened.reader).take(most).read_to_end(&mut bytes);
    read.map_err(cannot_read)?;
    Ok(bytes)
}

fn join(folder: &Path) -> Result<Vec<u8>, Failure> {
    let entries = fs::read_dir(folder).map_err(cannot_read)?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(cannot_read)?;
    paths.retain(|path| path.is_file());
    paths.sort();
    let mut bytes = Vec::new();
    for path in paths {
        bytes.append(&mut read(&path)?);
        if bytes.len() > llmzip::codec::MAX_PRIME_LEN {
            break;
        }
    }
    Ok(bytes)
}

fn cannot_read(error: io::Error) -> Failure {
    Failure::Message(format!("cannot read: {error}"))
}
