//! Writes outputs so that a file exists completely or not at all.
//!
//! A regular file is a [`NewFile`]: it gets its name when it is complete and on the disk. Standard
//! output and special files (`/dev/null`, a named pipe) are written directly.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use llmzip::machine::inherited::{self, Stream};
use llmzip::machine::new_file::{self, NewFile};
use llmzip::machine::patient::Patient;

use super::attributes;
use super::failure::Failure;
use super::input::{self, OpenInput};
use super::meant::Input;
use super::print;
use super::question;
use super::text;

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
    Regular(Box<RegularFile>),
    Nowhere,
}

/// A regular file, which has no name yet.
pub(super) struct RegularFile {
    file: NewFile,
    path: PathBuf,
    /// What it replaces.
    replaced: Option<Metadata>,
    replace: bool,
}

/// Where the data lies after it was written.
#[derive(Debug)]
pub(super) enum Stored {
    /// In a file that outlasts a loss of power.
    Safely,
    /// In a file. The system cannot promise more, for this reason.
    Unsafely(String),
    /// Out of reach: a pipe or a device may have lost it.
    Elsewhere,
}

impl Output {
    /// Standard output, which must not be the input. Refuses compressed data on a terminal, unless
    /// `force` is set.
    pub(super) fn stdout(
        content: Content,
        input: &OpenInput,
        force: bool,
    ) -> Result<Output, Failure> {
        if inherited::was_closed(Stream::Output) {
            return Err(Failure::message("standard output is closed"));
        }
        let redirected = input::redirected(&io::stdout());
        if redirected.is_some_and(|stdout| is_input(Path::new(""), &stdout, input)) {
            return Err(Failure::message(SAME_FILE));
        }
        let guard = !force && io::stdout().is_terminal();
        if guard && content == Content::Compressed {
            return Err(Failure::message(
                "compressed data is not written to a terminal; -o FILE or -f",
            ));
        }
        Ok(Output::Stdout { text_only: guard })
    }

    /// The file `path`, which must not be the input. An existing file, or a symbolic link, is
    /// replaced if `force` is set, or if the user at the terminal agrees.
    pub(super) fn file(path: &Path, input: &OpenInput, force: bool) -> Result<Output, Failure> {
        let is_there = fs::symlink_metadata(path).is_ok();
        let existing = fs::metadata(path).ok();
        if let Some(existing) = &existing {
            if existing.is_dir() {
                let path = text::path(path);
                return Err(Failure::Message(format!("{path} is a directory")));
            }
            if is_input(path, existing, input) {
                return Err(Failure::message(SAME_FILE));
            }
            if existing.is_file() && input::leads_to_open_file(path) {
                // Opened by this name, it would be written from its beginning.
                let path = text::path(path);
                let reason = "is a file that is open already; redirect standard output to it";
                return Err(Failure::Message(format!("{path} {reason}")));
            }
            if !existing.is_file() {
                let file = OpenOptions::new().write(true).open(path);
                return Ok(Output::Direct(
                    file.map_err(|error| cannot_create(path, &error))?,
                ));
            }
        }
        if is_there && !force && !confirm(path, input) {
            return Err(exists(path));
        }
        let file = NewFile::create(path).map_err(|error| cannot_create(path, &error))?;
        Ok(Output::Regular(Box::new(RegularFile {
            file,
            path: path.to_owned(),
            replaced: existing,
            // With -f, what another process puts there meanwhile is replaced, too.
            replace: is_there || force,
        })))
    }

    /// The file that was written, to be read again; `None` if it is no regular one.
    pub(super) fn written(&self) -> Option<&File> {
        match self {
            Output::Regular(regular) => Some(regular.file.file()),
            _ => None,
        }
    }

    /// Whether it is shown on a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        match self {
            Output::Stdout { .. } => io::stdout().is_terminal(),
            Output::Direct(file) => file.is_terminal(),
            Output::Regular(_) | Output::Nowhere => false,
        }
    }

    /// The path of the file that it will replace.
    pub(super) fn replaces(&self) -> Option<&Path> {
        match self {
            Output::Regular(regular) if regular.replace => Some(&regular.path),
            _ => None,
        }
    }

    /// Makes the output permanent, with the attributes of the input if that is a file.
    pub(super) fn commit(self, input: &OpenInput) -> Result<Stored, Failure> {
        match self {
            Output::Regular(file) => file.commit(input),
            mut other => {
                other.flush().map_err(Failure::from_write)?;
                Ok(Stored::Elsewhere)
            }
        }
    }
}

impl RegularFile {
    fn commit(self, input: &OpenInput) -> Result<Stored, Failure> {
        let from = input.regular().map(|input| (&input.file, &input.metadata));
        let shown = text::path(&self.path);
        for lost in attributes::keep(self.file.file(), from, self.replaced.as_ref()) {
            print::warning(&format!("{shown}: {lost}"));
        }
        let synced = match self.file.file().sync_all() {
            Err(error) if !new_file::cannot_sync(&error) => return Err(Failure::from_write(error)),
            synced => synced,
        };
        let placed = self.file.put_in_place(&self.path, self.replace);
        placed.map_err(|error| cannot_create(&self.path, &error))?;
        match synced.and_then(|()| new_file::sync_folder(&self.path)) {
            Ok(()) => Ok(Stored::Safely),
            Err(error) => Ok(Stored::Unsafely(error.to_string())),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::Stdout { text_only } => {
                if *text_only && bytes.contains(&0) {
                    return Err(io::Error::other(
                        "binary data is not written to a terminal; redirect it, or -f",
                    ));
                }
                Patient(io::stdout()).write(bytes)
            }
            Output::Direct(file) => file.write(bytes),
            Output::Regular(regular) => regular.file.write(bytes),
            Output::Nowhere => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::Stdout { .. } => Patient(io::stdout()).flush(),
            Output::Direct(file) => file.flush(),
            // Files are written without a buffer.
            Output::Regular(_) | Output::Nowhere => Ok(()),
        }
    }
}

/// What is said of an output that is the input.
pub(super) const SAME_FILE: &str = "input and output are the same file";

/// The failure to create a file.
fn cannot_create(path: &Path, error: &io::Error) -> Failure {
    let cause = match error.kind() {
        io::ErrorKind::AlreadyExists => return exists(path),
        io::ErrorKind::NotFound if !new_file::folder(path).is_dir() => {
            "there is no such folder".to_owned()
        }
        io::ErrorKind::NotFound => "its folder takes no new files".to_owned(),
        _ => error.to_string(),
    };
    Failure::Message(format!("cannot create {}: {cause}", text::path(path)))
}

/// The failure for a file that is there already and is not to be overwritten.
fn exists(path: &Path) -> Failure {
    Failure::Message(format!("{} exists; -f overwrites it", text::path(path)))
}

/// Asks the user whether to overwrite a file, if there is a terminal to ask at.
fn confirm(path: &Path, input: &OpenInput) -> bool {
    input.file.is_some()
        && question::can_be_asked()
        && question::ask(&format!("{} exists; overwrite?", text::path(path)))
}

/// Refuses to write to standard output if that is one of these inputs.
pub(super) fn refuse_stdout<'a>(
    inputs: impl IntoIterator<Item = &'a Input>,
) -> Result<(), Failure> {
    let mut inputs = inputs.into_iter();
    let is_input = |stdout| inputs.any(|input| input::is_of(input, &stdout));
    match input::redirected(&io::stdout()).is_some_and(is_input) {
        true => Err(Failure::message(SAME_FILE)),
        false => Ok(()),
    }
}

fn is_input(path: &Path, output: &Metadata, input: &OpenInput) -> bool {
    let input = match (&input.file, &input.redirected) {
        (Some(file), _) => file,
        (None, Some(stdin)) => return input::is_same_file(stdin, output),
        (None, None) => return false,
    };
    // Where files are told apart by their paths, two files may seem to be one, not the reverse.
    input::is_same_file(&input.metadata, output)
        && (cfg!(unix) || fs::canonicalize(path).ok() == fs::canonicalize(&input.path).ok())
}
