//! Opening what is to be read.

use std::fs::{self, File, Metadata};
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::meant::Input;

/// An input, opened.
pub(super) struct Opened {
    pub(super) reader: Box<dyn Read>,
    /// The file, unless it is standard input.
    pub(super) file: Option<(PathBuf, Metadata)>,
}

impl Opened {
    /// No input at all: what is written comes from several.
    pub(super) fn nothing() -> Opened {
        Opened {
            reader: Box::new(io::empty()),
            file: None,
        }
    }

    /// Length in bytes, if it can be known and the input be read a second time.
    pub(super) fn len(&self) -> Option<u64> {
        let (_, metadata) = self.file.as_ref()?;
        metadata.is_file().then_some(metadata.len())
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }
}

/// How an input is called in messages.
pub(super) fn name(input: &Input) -> String {
    match input {
        Input::Stdin => "(stdin)".to_owned(),
        Input::File(path) => path.display().to_string(),
    }
}

/// Opens `input`. Directories are refused, and symbolic links too unless `follow`.
pub(super) fn open(input: &Input, follow: bool) -> Result<Opened, Failure> {
    let path = match input {
        Input::Stdin => {
            return Ok(Opened {
                reader: Box::new(io::stdin().lock()),
                file: None,
            });
        }
        Input::File(path) => path,
    };
    let cannot_open = |error: io::Error| Failure::Said(format!("cannot open: {error}"));
    if !follow
        && fs::symlink_metadata(path)
            .map_err(cannot_open)?
            .is_symlink()
    {
        return Err(Failure::said("is a symbolic link, skipped; -f follows it"));
    }
    if fs::metadata(path).map_err(cannot_open)?.is_dir() {
        return Err(Failure::said("is a directory, skipped"));
    }
    let file = File::open(path).map_err(cannot_open)?;
    let metadata = file.metadata().map_err(cannot_open)?;
    Ok(Opened {
        reader: Box::new(file),
        file: Some((path.clone(), metadata)),
    })
}

/// Refuses to wait for somebody to type compressed data.
pub(super) fn refuse_terminal(input: &Input) -> Result<(), Failure> {
    if *input == Input::Stdin && io::stdin().is_terminal() {
        return Err(Failure::said(
            "compressed data is not read from a terminal; name a FILE",
        ));
    }
    Ok(())
}
