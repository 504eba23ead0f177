//! `man`: the manual pages.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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
    let mut pages = Vec::new();
    render(&command, &mut pages)?;
    let link = |name| (format!("{name}.1"), b".so man1/llmzip.1\n".to_vec());
    pages.extend(OTHER_NAMES.map(link));
    // All or none.
    let paths: Vec<PathBuf> = pages.iter().map(|(name, _)| folder.join(name)).collect();
    let is_there = |path: &&PathBuf| path.symlink_metadata().is_ok();
    if let Some(path) = paths.iter().find(is_there).filter(|_| !force) {
        return Err(cannot_write(path, &io::ErrorKind::AlreadyExists.into()));
    }
    for (path, (_, content)) in paths.iter().zip(&pages) {
        write(path, content, force)?;
    }
    Ok(true)
}

/// Appends the page of a command, under its file's name, and those of the commands in it.
fn render(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> Result<(), Failure> {
    for command in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        render(command, pages)?;
    }
    let page = Man::new(command.clone());
    let mut content = Vec::new();
    page.render(&mut content).map_err(Failure::from_write)?;
    pages.push((page.get_filename(), content));
    Ok(())
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
