//! Opens inputs.

use std::fs::{self, File, Metadata};
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::meant::Input;

/// An open input.
pub(super) struct OpenInput {
    pub(super) reader: Box<dyn Read>,
    /// Path and metadata of the file; `None` for standard input.
    pub(super) file: Option<(PathBuf, Metadata)>,
}

impl OpenInput {
    /// No input: for outputs that are not made from one file.
    pub(super) fn nothing() -> OpenInput {
        OpenInput {
            reader: Box::new(io::empty()),
            file: None,
        }
    }

    /// Length in bytes of a regular file, which can also be read a second time.
    pub(super) fn len(&self) -> Option<u64> {
        let (_, metadata) = self.file.as_ref()?;
        metadata.is_file().then_some(metadata.len())
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }
}

/// The name of an input in messages.
pub(super) fn name(input: &Input) -> String {
    match input {
        Input::Stdin => "(stdin)".to_owned(),
        Input::File(path) => path.display().to_string(),
    }
}

/// Opens `input`. Refuses directories, and symbolic links unless `follow` is set.
pub(super) fn open(input: &Input, follow: bool) -> Result<OpenInput, Failure> {
    let path = match input {
        Input::Stdin => {
            return Ok(OpenInput {
                reader: Box::new(io::stdin().lock()),
                file: None,
            });
        }
        Input::File(path) => path,
    };
    let cannot_open = |error: io::Error| Failure::Message(format!("cannot open: {error}"));
    if !follow
        && fs::symlink_metadata(path)
            .map_err(cannot_open)?
            .is_symlink()
    {
        return Err(Failure::message(
            "is a symbolic link, skipped; -f follows it",
        ));
    }
    if fs::metadata(path).map_err(cannot_open)?.is_dir() {
        return Err(Failure::message("is a directory, skipped"));
    }
    let file = File::open(path).map_err(cannot_open)?;
    let metadata = file.metadata().map_err(cannot_open)?;
    Ok(OpenInput {
        reader: Box::new(file),
        file: Some((path.clone(), metadata)),
    })
}

/// Refuses to read compressed data from a terminal, where nobody can type it.
pub(super) fn refuse_terminal(input: &Input) -> Result<(), Failure> {
    if *input == Input::Stdin && io::stdin().is_terminal() {
        return Err(Failure::message(
            "compressed data is not read from a terminal; name a FILE",
        ));
    }
    Ok(())
}
