//! Writes outputs so that a file exists completely or not at all.
//!
//! A regular file is written under a temporary name in the same folder, synchronised and renamed.
//! Standard output and special files (`/dev/null`, a named pipe) are written directly.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::failure::Failure;
use super::input::OpenInput;
use super::interrupt;

/// What an output is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Compressed data, which is not written to a terminal.
    Compressed,
    /// Original data, which is written to a terminal only if it looks like text.
    Original,
}

/// An open output.
pub(super) enum Output {
    Stdout {
        /// Refuse data with a zero byte, which is no text.
        text_only: bool,
    },
    /// A special file, which is written directly.
    Direct(File),
    /// A regular file under a temporary name.
    Temporary(TemporaryFile),
    Nowhere,
}

/// A file under a temporary name. If it is dropped before it is committed, it is deleted.
pub(super) struct TemporaryFile {
    /// `None` after it was committed.
    file: Option<NamedTempFile>,
    /// Its final path.
    path: PathBuf,
    overwrite: bool,
}

impl Output {
    /// Standard output. Refuses compressed data on a terminal, unless `force` is set.
    pub(super) fn stdout(content: Content, force: bool) -> Result<Output, Failure> {
        let guard = !force && io::stdout().is_terminal();
        if guard && content == Content::Compressed {
            return Err(Failure::message(
                "compressed data is not written to a terminal; -o FILE or -f",
            ));
        }
        Ok(Output::Stdout { text_only: guard })
    }

    /// The file `path`, which must not be the input. An existing file is overwritten if `force` is
    /// set, or if the user at the terminal agrees.
    pub(super) fn file(path: &Path, input: &OpenInput, force: bool) -> Result<Output, Failure> {
        let Ok(metadata) = fs::metadata(path) else {
            return TemporaryFile::create(path.to_owned(), force).map(Output::Temporary);
        };
        if metadata.is_dir() {
            return Err(Failure::Message(format!(
                "{} is a directory",
                path.display()
            )));
        }
        if !metadata.is_file() {
            let file = OpenOptions::new().write(true).open(path);
            return Ok(Output::Direct(
                file.map_err(|error| cannot_create(path, &error))?,
            ));
        }
        if is_input(path, &metadata, input) {
            return Err(Failure::message("input and output are the same file"));
        }
        if !force && !confirm(path, input) {
            return Err(exists(path));
        }
        // A symbolic link stays; the file that it leads to is overwritten.
        let path = fs::canonicalize(path).map_err(|error| cannot_create(path, &error))?;
        TemporaryFile::create(path, true).map(Output::Temporary)
    }

    /// Makes the output permanent, with the mode and the time of the input if that is a file.
    /// Returns whether the data now lies in a file: a pipe or a device may have lost it.
    pub(super) fn commit(self, input: &OpenInput) -> Result<bool, Failure> {
        match self {
            Output::Stdout { .. } => io::stdout().flush().map_err(Failure::from_write)?,
            Output::Direct(mut file) => file.flush().map_err(Failure::from_write)?,
            Output::Nowhere => {}
            Output::Temporary(temporary) => {
                temporary.commit(input)?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl TemporaryFile {
    fn create(path: PathBuf, overwrite: bool) -> Result<TemporaryFile, Failure> {
        let mut unfinished = interrupt::unfinished();
        let file = tempfile::Builder::new()
            .prefix(".llmzip-")
            .suffix(".tmp")
            .tempfile_in(folder(&path))
            .map_err(|error| cannot_create(&path, &error))?;
        *unfinished = Some(file.path().to_owned());
        Ok(TemporaryFile {
            file: Some(file),
            path,
            overwrite,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn commit(mut self, input: &OpenInput) -> Result<(), Failure> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        set_attributes(
            file.as_file(),
            input.file.as_ref().map(|(_, metadata)| metadata),
        )
        .and_then(|()| file.as_file().sync_all())
        .map_err(Failure::from_write)?;
        {
            // An interrupt waits until this block ends, and then finds nothing to delete.
            let mut unfinished = interrupt::unfinished();
            let Some(file) = self.file.take() else {
                return Ok(());
            };
            *unfinished = None;
            let persisted = if self.overwrite {
                file.persist(&self.path)
            } else {
                file.persist_noclobber(&self.path)
            };
            // A file that could not be renamed is deleted when the error is dropped.
            persisted.map_err(|error| cannot_create(&self.path, &error.error))?;
        }
        // Makes the renaming permanent, where folders can be synchronised.
        if let Ok(folder) = File::open(folder(&self.path)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            let mut unfinished = interrupt::unfinished();
            drop(file);
            *unfinished = None;
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::Stdout { text_only } => {
                if *text_only && bytes.contains(&0) {
                    return Err(io::Error::other("binary data on a terminal; -o FILE or -f"));
                }
                io::stdout().write(bytes)
            }
            Output::Direct(file) => file.write(bytes),
            Output::Temporary(temporary) => temporary.write(bytes),
            Output::Nowhere => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::Stdout { .. } => io::stdout().flush(),
            Output::Direct(file) => file.flush(),
            // Files are written without a buffer.
            Output::Temporary(_) | Output::Nowhere => Ok(()),
        }
    }
}

fn cannot_create(path: &Path, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return exists(path);
    }
    // tempfile appends the temporary name to the system's message; users need not see it.
    let said = error.to_string();
    let cause = said.split(" at path ").next().unwrap_or_default();
    Failure::Message(format!("cannot create {}: {cause}", path.display()))
}

/// The failure for a file that is there already and is not to be overwritten.
pub(super) fn exists(path: &Path) -> Failure {
    Failure::Message(format!("{} exists; -f overwrites it", path.display()))
}

/// Asks the user whether to overwrite a file, if there is a terminal to ask at.
fn confirm(path: &Path, input: &OpenInput) -> bool {
    let stdin = io::stdin();
    if input.file.is_none() || !stdin.is_terminal() || !io::stderr().is_terminal() {
        return false;
    }
    let mut line = String::new();
    let _ = write!(
        io::stderr(),
        "llmzip: {} exists; overwrite? [y/N] ",
        path.display()
    );
    stdin.lock().read_line(&mut line).is_ok()
        && matches!(line.trim(), "y" | "Y" | "yes" | "Yes" | "YES")
}

#[cfg(unix)]
fn is_input(_: &Path, output: &Metadata, input: &OpenInput) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Some((_, input)) = &input.file else {
        return false;
    };
    (input.dev(), input.ino()) == (output.dev(), output.ino())
}

#[cfg(not(unix))]
fn is_input(path: &Path, _: &Metadata, input: &OpenInput) -> bool {
    let Some(input) = input.path() else {
        return false;
    };
    matches!((fs::canonicalize(path), fs::canonicalize(input)), (Ok(a), Ok(b)) if a == b)
}

/// Gives `file` the mode and the modification time of the input. Without an input it gets the mode
/// of any new file.
fn set_attributes(file: &File, input: Option<&Metadata>) -> io::Result<()> {
    // Until here the temporary file is readable by its owner only.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = match input {
            // A copy does not inherit set-user-id and similar bits.
            Some(input) if input.is_file() => input.permissions().mode() & 0o777,
            _ => default_mode(),
        };
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    if let Some(input) = input.filter(|input| input.is_file())
        && let Ok(modified) = input.modified()
    {
        file.set_modified(modified)?;
    }
    Ok(())
}

/// The mode of any new file: 0666 without the bits of the process's mask.
#[cfg(unix)]
fn default_mode() -> u32 {
    // Only /proc tells the mask without changing it. Elsewhere the usual mask is assumed.
    let mask = fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("Umask:"))?;
            u32::from_str_radix(line.trim(), 8).ok()
        });
    0o666 & !mask.unwrap_or(0o022)
}

/// The folder that `path` lies in.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Deletes an input after its output is in place. Anything but a regular file stays.
pub(super) fn remove_input(input: &OpenInput) -> Result<(), Failure> {
    match &input.file {
        Some((path, metadata)) if metadata.is_file() => fs::remove_file(path).map_err(|error| {
            Failure::Message(format!("done, but the input cannot be deleted: {error}"))
        }),
        _ => Ok(()),
    }
}
