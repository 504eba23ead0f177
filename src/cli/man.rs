//! `man`: the manual pages.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use llmzip::machine::new_file::NewFile;

use super::failure::Failure;
use super::text;
use super::typed::Typed;

/// The other names of the program, which share its page.
const OTHER_NAMES: [&str; 3] = ["unllmzip", "llmzcat", "llmz"];

/// Writes one page for the program and one for each command into a folder. Pages that are there
/// are replaced, and so are links in their places.
pub(super) fn run(folder: &Path) -> Result<bool, Failure> {
    if !folder.is_dir() {
        fs::create_dir_all(folder).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                Failure::Message(format!("{} is not a folder", text::path(folder)))
            }
            _ => cannot_write(folder, &error),
        })?;
    }
    let mut command = Typed::command().disable_help_subcommand(true);
    command.build();
    write_pages(&command, folder)?;
    for name in OTHER_NAMES {
        write(&folder.join(format!("{name}.1")), b".so man1/llmzip.1\n")?;
    }
    Ok(true)
}

/// Writes the page of a command and those of the commands in it.
fn write_pages(command: &Command, folder: &Path) -> Result<(), Failure> {
    for command in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        write_pages(command, folder)?;
    }
    let page = Man::new(command.clone());
    let mut content = Vec::new();
    page.render(&mut content).map_err(Failure::from_write)?;
    write(&folder.join(page.get_filename()), &content)
}

fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let written = NewFile::create(path).and_then(|mut file| {
        file.write_all(content)?;
        file.let_everybody_read();
        file.put_in_place(path, true)
    });
    written.map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::Message(format!("cannot write {}: {error}", text::path(path)))
}
