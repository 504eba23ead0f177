//! Writing what is to be written, so that it is there entirely or not at all.
//!
//! A regular file is written under a temporary name in the same folder, synchronised, and renamed.
//! Standard output and special files (`/dev/null`, a named pipe) are written directly.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::failure::Failure;
use super::input::Opened;
use super::interrupt;

/// What kind of bytes will be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Frames: never for a terminal.
    Compressed,
    /// Whatever somebody compressed: for a terminal only if it looks like text.
    Original,
}

/// An output, opened.
pub(super) enum Output {
    Stdout {
        /// Text is let through to a terminal, binary is not.
        text_only: bool,
    },
    /// A special file, written as it is.
    Direct(File),
    /// A regular file to be.
    Temporary(Temporary),
    Nowhere,
}

/// A file under its temporary name. Dropped before it is committed, it leaves nothing behind.
pub(super) struct Temporary {
    /// `None` once committed.
    file: Option<NamedTempFile>,
    /// Where it is to go.
    path: PathBuf,
    overwrite: bool,
}

impl Output {
    /// Standard output; refused for compressed data on a terminal, unless `force`.
    pub(super) fn stdout(content: Content, force: bool) -> Result<Output, Failure> {
        let guard = !force && io::stdout().is_terminal();
        if guard && content == Content::Compressed {
            return Err(Failure::said(
                "compressed data is not written to a terminal; -o FILE or -f",
            ));
        }
        Ok(Output::Stdout { text_only: guard })
    }

    /// The file `path`, which is not to be the input. If it exists, it is overwritten with `force`,
    /// or if whoever sits at the terminal says so.
    pub(super) fn file(path: &Path, input: &Opened, force: bool) -> Result<Output, Failure> {
        let mut path = path.to_owned();
        let mut overwrite = force;
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(Failure::Said(format!("{} is a directory", path.display())));
            }
            Ok(metadata) if !metadata.is_file() => {
                let file = OpenOptions::new().write(true).open(&path);
                return Ok(Output::Direct(
                    file.map_err(|error| cannot_create(&path, &error))?,
                ));
            }
            Ok(metadata) => {
                if is_input(&path, &metadata, input) {
                    return Err(Failure::said("input and output are the same file"));
                }
                if !force && !confirm(&path, input) {
                    let path = path.display();
                    return Err(Failure::Said(format!("{path} exists; -f overwrites it")));
                }
                overwrite = true;
                // What is overwritten is the file, not a link to it.
                path = fs::canonicalize(&path).map_err(|error| cannot_create(&path, &error))?;
            }
            Err(_) => {}
        }
        Temporary::create(path, overwrite).map(Output::Temporary)
    }

    /// Makes what was written permanent, with the input's mode and time if it is a file. Says whether it lies in a file
    /// now: what a pipe or a device has swallowed may be lost.
    pub(super) fn commit(self, input: &Opened) -> Result<bool, Failure> {
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

impl Temporary {
    fn create(path: PathBuf, overwrite: bool) -> Result<Temporary, Failure> {
        let mut unfinished = interrupt::unfinished();
        let file = tempfile::Builder::new()
            .prefix(".llmzip-")
            .suffix(".tmp")
            .tempfile_in(folder(&path))
            .map_err(|error| cannot_create(&path, &error))?;
        *unfinished = Some(file.path().to_owned());
        Ok(Temporary {
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

    fn commit(mut self, input: &Opened) -> Result<(), Failure> {
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
            // An interrupt waits until this block ends, and then finds nothing to remove.
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
            // A file that could not be renamed removes itself as the error is dropped.
            persisted.map_err(|error| cannot_create(&self.path, &error.error))?;
        }
        // Makes the renaming itself last, where folders can be synchronised.
        if let Ok(folder) = File::open(folder(&self.path)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Drop for Temporary {
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
        return Failure::Said(format!("{} exists; -f overwrites it", path.display()));
    }
    // Without the temporary name, which tempfile adds to what the system said.
    let said = error.to_string();
    let cause = said.split(" at path ").next().unwrap_or_default();
    Failure::Said(format!("cannot create {}: {cause}", path.display()))
}

/// Asks whether to overwrite, if there is somebody to ask.
fn confirm(path: &Path, input: &Opened) -> bool {
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
fn is_input(_: &Path, output: &Metadata, input: &Opened) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Some((_, input)) = &input.file else {
        return false;
    };
    (input.dev(), input.ino()) == (output.dev(), output.ino())
}

#[cfg(not(unix))]
fn is_input(path: &Path, _: &Metadata, input: &Opened) -> bool {
    let Some(input) = input.path() else {
        return false;
    };
    matches!((fs::canonicalize(path), fs::canonicalize(input)), (Ok(a), Ok(b)) if a == b)
}

/// Gives `file` the mode and modification time of the input, or those of any new file.
fn set_attributes(file: &File, input: Option<&Metadata>) -> io::Result<()> {
    // A temporary file is its owner's alone until here.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = match input {
            // Set-user-id and the like are not for copies.
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

/// The mode of a file that is simply created: what the process's mask leaves of 0666.
#[cfg(unix)]
fn default_mode() -> u32 {
    // The mask can be read without changing it where there is a /proc; elsewhere the usual one is assumed.
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

/// The folder `path` is in.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Deletes an input that has been replaced by its output. What is no regular file stays.
pub(super) fn remove_input(input: &Opened) -> Result<(), Failure> {
    match &input.file {
        Some((path, metadata)) if metadata.is_file() => fs::remove_file(path).map_err(|error| {
            Failure::Said(format!("done, but the input cannot be deleted: {error}"))
        }),
        _ => Ok(()),
    }
}
