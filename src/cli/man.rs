//! `man`: the manual pages.

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;

use super::failure::Failure;
use super::text;
use super::typed::Typed;

/// The other names of the program, which share its page.
const OTHER_NAMES: [&str; 3] = ["unllmzip", "llmzcat", "llmz"];

/// Writes one page for the program and one for each command into a folder.
pub(super) fn run(folder: &Path) -> Result<bool, Failure> {
    write(folder)
        .map(|()| true)
        .map_err(|error| Failure::Message(format!("{}: {error}", text::path(folder))))
}

fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Typed::command(), folder)?;
    for name in OTHER_NAMES {
        fs::write(folder.join(format!("{name}.1")), ".so man1/llmzip.1\n")?;
    }
    Ok(())
}
