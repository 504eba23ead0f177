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

/// Writes one page for the program and one for each command into a folder. Pages that are there,
/// and links in their places, are replaced if `force` is set.
pub(super) fn run(folder: &Path, force: bool) -> Result<bool, Failure> {
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
    write_pages(&command, folder, force)?;
    for name in OTHER_NAMES {
        let page = folder.join(format!("{name}.1"));
        write(&page, b".so man1/llmzip.1\n", force)?;
    }
    Ok(true)
}

/// Writes the page of a command and those of the commands in it.
fn write_pages(command: &Command, folder: &Path, force: bool) -> Result<(), Failure> {
    for command in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        write_pages(command, folder, force)?;
    }
    let page = Man::new(command.clone());
    let mut content = Vec::new();
    page.render(&mut content).map_err(Failure::from_write)?;
    write(&folder.join(page.get_filename()), &content, force)
}

fn write(path: &Path, content: &[u8], force: bool) -> Result<(), Failure> {
    let written = NewFile::create(path).and_then(|mut file| {
        file.write_all(content)?;
        file.let_everybody_read();
        file.put_in_place(path, force)
    });
    written.map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return Failure::Message(format!("{} exists; -f overwrites it", text::path(path)));
    }
    Failure::Message(format!("cannot write {}: {error}", text::path(path)))
}
