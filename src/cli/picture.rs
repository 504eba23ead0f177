//! Files that reports write beside what they print.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::failure::Failure;
use super::input::Opened;
use super::meant::Input;
use super::output::Output;

/// Refuses before the long measurement what could not be written after it.
pub(super) fn refuse(path: &Path, inputs: &[Input], force: bool) -> Result<(), Failure> {
    let Ok(existing) = fs::canonicalize(path) else {
        return Ok(());
    };
    let is_input = |input: &Input| match input {
        Input::Stdin => false,
        Input::File(input) => fs::canonicalize(input).is_ok_and(|input| input == existing),
    };
    if inputs.iter().any(is_input) {
        return Err(Failure::said("input and output are the same file"));
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
    output.commit(&nothing)
}
