//! Files that reports write in addition to what they print.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::failure::Failure;
use super::input::OpenInput;
use super::meant::{DASH, Input};
use super::output::Output;
use super::text;

/// A file that gets its content after a long measurement.
pub(super) struct ReportFile {
    /// What messages call it.
    name: String,
    output: Output,
}

impl ReportFile {
    /// Opens the file, so that one that cannot be written is refused before the measurement.
    pub(super) fn open(path: &Path, inputs: &[Input], force: bool) -> Result<ReportFile, Failure> {
        if path.as_os_str() == DASH {
            return Err(Failure::message(
                "the report is printed anyway; name a file instead of -",
            ));
        }
        if fs::canonicalize(path).is_ok_and(|path| inputs.iter().any(|input| is_at(input, &path))) {
            return Err(Failure::message("input and output are the same file"));
        }
        Ok(ReportFile {
            name: text::path(path),
            output: Output::file(path, &OpenInput::nothing(), force)?,
        })
    }

    /// Writes `content` to the file.
    pub(super) fn write(mut self, content: &str) -> Result<(), Failure> {
        let written = self.output.write_all(content.as_bytes());
        let done = written
            .map_err(Failure::from_write)
            .and_then(|()| self.output.commit(&OpenInput::nothing()));
        done.map(drop).map_err(|failure| failure.about(self.name))
    }
}

fn is_at(input: &Input, path: &Path) -> bool {
    match input {
        Input::Stdin => false,
        Input::File(input) => fs::canonicalize(input).is_ok_and(|input| input == path),
    }
}
