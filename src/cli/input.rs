//! Opens inputs.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, IsTerminal, Read, Seek};
use std::path::{Path, PathBuf};

use llmzip::machine::inherited::{self, Stream};
use llmzip::machine::new_file;
use llmzip::machine::patient::Patient;

use super::failure::Failure;
use super::meant::{Accept, Input};
use super::text;

/// An open input.
pub(super) struct OpenInput {
    pub(super) reader: Box<dyn Read>,
    /// The file that is read; `None` for standard input.
    pub(super) file: Option<InputFile>,
    /// The regular file that standard input was redirected from, if that is read.
    pub(super) redirected: Option<Metadata>,
}

/// A file that is read.
pub(super) struct InputFile {
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// Of when it was opened.
    pub(super) metadata: Metadata,
}

impl OpenInput {
    /// No input: for outputs that are not made from one file.
    pub(super) fn nothing() -> OpenInput {
        OpenInput {
            reader: Box::new(io::empty()),
            file: None,
            redirected: None,
        }
    }

    /// The file, if it is a regular one: it has a length and can be read a second time.
    pub(super) fn regular(&self) -> Option<&InputFile> {
        self.file.as_ref().filter(|file| file.metadata.is_file())
    }

    /// Length in bytes of a regular file.
    pub(super) fn len(&self) -> Option<u64> {
        Some(self.regular()?.metadata.len())
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }
}

impl InputFile {
    /// Whether the file was written to since it was opened.
    pub(super) fn has_new_contents(&self) -> bool {
        self.now()
            .is_none_or(|now| !have_same_contents(&self.metadata, &now))
    }

    /// Whether the file is untouched since it was opened: nobody wrote to it, or changed an
    /// attribute or one of its names.
    pub(super) fn is_untouched(&self) -> bool {
        self.now()
            .is_some_and(|now| is_untouched(&self.metadata, &now))
    }

    /// The hash of its bytes, which are read again.
    pub(super) fn hash(&self) -> io::Result<blake3::Hash> {
        let mut file = &self.file;
        file.rewind()?;
        hash(file)
    }

    /// Whether its path still leads to it, and not to another file that took its place.
    pub(super) fn is_at_its_path(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|now| is_same_file(&now, &self.metadata))
    }

    fn now(&self) -> Option<Metadata> {
        self.file.metadata().ok()
    }
}

#[cfg(unix)]
pub(super) fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Where files have no number that can be asked for, their creation tells them apart.
#[cfg(not(unix))]
pub(super) fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    matches!((one.created(), other.created()), (Ok(one), Ok(other)) if one == other)
        && one.len() == other.len()
}

/// Whether `now` is of the same file as `before`, and nobody did anything to it in between.
pub(super) fn is_untouched(before: &Metadata, now: &Metadata) -> bool {
    is_same_file(before, now)
        && have_same_contents(before, now)
        && changed_at(before) == changed_at(now)
}

/// Whether nobody wrote to a file, as far as its length and time tell.
fn have_same_contents(before: &Metadata, now: &Metadata) -> bool {
    before.len() == now.len() && before.modified().ok() == now.modified().ok()
}

/// When contents, attributes or names changed last, which no program can set.
#[cfg(unix)]
fn changed_at(metadata: &Metadata) -> (i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn changed_at(_: &Metadata) {}

/// The hash of what is left to read of a file.
pub(super) fn hash(file: &File) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize())
}

/// Whether an input is read from this file.
pub(super) fn is_of(input: &Input, file: &Metadata) -> bool {
    let found = match input {
        Input::Stdin => redirected(&io::stdin()),
        Input::File(path) => fs::metadata(path).ok(),
    };
    found.is_some_and(|found| is_same_file(&found, file))
}

/// The name of an input in messages, without anything that a terminal would obey.
pub(super) fn name(input: &Input) -> String {
    match input {
        Input::Stdin => "(stdin)".to_owned(),
        Input::File(path) => text::path(path),
    }
}

/// The name of an input for programs.
pub(super) fn raw_name(input: &Input) -> String {
    match input {
        Input::Stdin => name(input),
        Input::File(path) => path.to_string_lossy().into_owned(),
    }
}

/// Whether a path is, or leads through links to, a name of an open file, such as `/dev/stdin`.
/// Whoever deletes that takes a part of the system away, and whoever opens it to write begins at
/// the start of the file.
pub(super) fn leads_to_open_file(path: &Path) -> bool {
    /// As many links as Linux follows.
    const MOST: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST {
        let folder = fs::canonicalize(new_file::folder(&path)).unwrap_or_default();
        if folder == Path::new("/dev") || folder.starts_with("/proc") {
            return true;
        }
        let Ok(target) = fs::read_link(&path) else {
            return false;
        };
        path = folder.join(target);
    }
    true
}

/// Opens `input` if it is of a kind that is accepted.
pub(super) fn open(input: &Input, accept: Accept) -> Result<OpenInput, Failure> {
    let path = match input {
        Input::Stdin => return open_stdin(),
        Input::File(path) => path,
    };
    if accept == Accept::Files
        && fs::symlink_metadata(path)
            .map_err(cannot_open)?
            .is_symlink()
    {
        return Err(Failure::message(
            "is a symbolic link, skipped; -f follows it",
        ));
    }
    refuse_kind(&fs::metadata(path).map_err(cannot_open)?, accept)?;
    let file = open_file(path, accept).map_err(cannot_open)?;
    let metadata = file.metadata().map_err(cannot_open)?;
    // It may have been replaced since it was asked what it is.
    refuse_kind(&metadata, accept)?;
    let reader = file.try_clone().map_err(cannot_open)?;
    Ok(OpenInput {
        reader: Box::new(reader),
        file: Some(InputFile {
            path: path.clone(),
            file,
            metadata,
        }),
        redirected: None,
    })
}

fn open_stdin() -> Result<OpenInput, Failure> {
    if inherited::was_closed(Stream::Input) {
        return Err(Failure::message("standard input is closed"));
    }
    Ok(OpenInput {
        reader: Box::new(Patient(io::stdin().lock())),
        file: None,
        redirected: redirected(&io::stdin()),
    })
}

/// The regular file that a standard stream was redirected to or from, if it was.
#[cfg(unix)]
pub(super) fn redirected(stream: &impl std::os::fd::AsFd) -> Option<Metadata> {
    let descriptor = stream.as_fd().try_clone_to_owned().ok()?;
    let metadata = File::from(descriptor).metadata().ok()?;
    metadata.is_file().then_some(metadata)
}

#[cfg(not(unix))]
pub(super) fn redirected<T>(_: &T) -> Option<Metadata> {
    None
}

fn cannot_open(error: io::Error) -> Failure {
    Failure::Message(format!("cannot open: {error}"))
}

fn refuse_kind(metadata: &Metadata, accept: Accept) -> Result<(), Failure> {
    let refused = match accept {
        _ if metadata.is_dir() => "is a directory, skipped",
        _ if is_socket(metadata) => "is a socket, skipped",
        _ if is_device(metadata) => "is a device, skipped; it can be read as standard input",
        Accept::Pipes => return Ok(()),
        _ if is_pipe(metadata) => "is a pipe, skipped; -c or -o reads it",
        _ => return Ok(()),
    };
    Err(Failure::message(refused))
}

/// Whether it is neither file nor folder nor pipe.
pub(super) fn is_device(metadata: &Metadata) -> bool {
    !metadata.is_file() && !metadata.is_dir() && !is_pipe(metadata)
}

#[cfg(unix)]
fn is_pipe(metadata: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    metadata.file_type().is_fifo()
}

#[cfg(not(unix))]
fn is_pipe(_: &Metadata) -> bool {
    false
}

#[cfg(unix)]
fn is_socket(metadata: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    metadata.file_type().is_socket()
}

#[cfg(not(unix))]
fn is_socket(_: &Metadata) -> bool {
    false
}

/// Opens a file. Where no pipe is accepted, it does not wait for the writer of one that took the
/// place of a file.
fn open_file(path: &Path, accept: Accept) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    if accept != Accept::Pipes {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32);
    }
    #[cfg(not(unix))]
    let _ = accept;
    options.open(path)
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
