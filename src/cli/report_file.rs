//! Files that reports write in addition to what they print.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::failure::Failure;
use super::input::OpenInput;
use super::meant::{DASH, Input};
use super::output::{self, Output};

/// Checks, before the long measurement, that the file can be written after it.
pub(super) fn check(path: &Path, inputs: &[Input], force: bool) -> Result<(), Failure> {
    if path.as_os_str() == DASH {
        return Err(Failure::message(
            "the report is printed anyway; name a file instead of -",
        ));
    }
    let Ok(existing) = fs::canonicalize(path) else {
        return match output::folder(path).is_dir() {
            true => Ok(()),
            false => Err(Failure::Message(format!(
                "{}: there is no such folder",
                path.display()
            ))),
        };
    };
    let is_input = |input: &Input| match input {
        Input::Stdin => false,
        Input::File(input) => fs::canonicalize(input).is_ok_and(|input| input == existing),
    };
    if inputs.iter().any(is_input) {
        return Err(Failure::message("input and output are the same file"));
    }
    if existing.is_dir() {
        return Err(Failure::Message(format!(
            "{} is a directory",
            path.display()
        )));
    }
    match existing.is_file() && !force {
        true => Err(output::exists(path)),
        false => Ok(()),
    }
}

/// Writes `content` to the file.
pub(super) fn write(path: &Path, content: &str, force: bool) -> Result<(), Failure> {
    let nothing = OpenInput::nothing();
    let mut output = Output::file(path, &nothing, force)?;
    output
        .write_all(content.as_bytes())
        .map_err(Failure::from_write)?;
    output.commit(&nothing).map(|_| ())
}
