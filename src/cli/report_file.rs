//! Files that reports write in addition to what they print.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::failure::Failure;
use super::input::OpenInput;
use super::meant::{DASH, Input};
use super::output::Output;

/// A file that gets its content after a long measurement.
pub(super) struct ReportFile(Output);

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
        Output::file(path, &OpenInput::nothing(), force).map(ReportFile)
    }

    /// Writes `content` to the file.
    pub(super) fn write(mut self, content: &str) -> Result<(), Failure> {
        let written = self.0.write_all(content.as_bytes());
        written.map_err(Failure::from_write)?;
        self.0.commit(&OpenInput::nothing()).map(drop)
    }
}

fn is_at(input: &Input, path: &Path) -> bool {
    match input {
        Input::Stdin => false,
        Input::File(input) => fs::canonicalize(input).is_ok_and(|input| input == path),
    }
}
