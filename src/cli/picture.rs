//! Files that reports write beside what they print.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::failure::Failure;
use super::input::Opened;
use super::meant::{DASH, Input};
use super::output::{self, Output};

/// Refuses before the long measurement what could not be written after it.
pub(super) fn refuse(path: &Path, inputs: &[Input], force: bool) -> Result<(), Failure> {
    if path.as_os_str() == DASH {
        return Err(Failure::said(
            "a report is printed already; - is no file for it",
        ));
    }
    let Ok(existing) = fs::canonicalize(path) else {
        return match output::folder(path).is_dir() {
            true => Ok(()),
            false => Err(Failure::Said(format!(
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
        return Err(Failure::said("input and output are the same file"));
    }
    if existing.is_dir() {
        return Err(Failure::Said(format!("{} is a directory", path.display())));
    }
    if existing.is_file() && !force {
        let path = path.display();
        return Err(Failure::Said(format!("{path} exists; -f overwrites it")));
    }
    Ok(())
}

pub(super) fn write(path: &Path, picture: &str, force: bool) -> Result<(), Failure> {
    let nothing = Opened::nothing();
    let mut output = Output::file(path, &nothing, force)?;
    output
        .write_all(picture.as_bytes())
        .map_err(Failure::from_write)?;
    output.commit(&nothing).map(|_| ())
}
