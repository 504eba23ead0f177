//! What must be true of the source text.
//!
//! docs/ARCHITECTURE.md: its table lists the rooms of `src` from top to bottom. Every file and
//! folder of `src` is in it, a room uses only rooms below it, and no files of one room use each
//! other in a circle. Tests inside `src` may use anything.
//!
//! SECURITY.md: its table lists the files with unsafe code.
//!
//! Width: code and comments have at most [`width::COLUMNS`] columns.

mod circles;
mod rooms;
mod rust;
mod tree;
mod width;

use std::fs;
use std::path::{Path, PathBuf};
use tree::Tree;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below `folder`.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The source tree as it stands.
fn sources() -> Tree {
    let files = rust_files(&root().join("src"));
    Tree::new(files.iter().map(|path| {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
        (name.replace('\\', "/"), fs::read_to_string(path).unwrap())
    }))
}

fn table() -> rooms::Table {
    rooms::Table::new(&fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap())
}

#[test]
fn the_table_lists_what_is_in_src() {
    let mut entries: Vec<String> = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let slash = if entry.path().is_dir() { "/" } else { "" };
            format!("src/{}{slash}", entry.file_name().to_str().unwrap())
        })
        .collect();
    entries.sort();
    let mut listed = table().paths();
    listed.sort();
    assert_eq!(
        listed, entries,
        "left: the table of docs/ARCHITECTURE.md; right: src"
    );
}

#[test]
fn unsafe_code_is_where_the_security_document_lists_it() {
    let document = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let listed = document.lines().filter_map(|line| {
        let cell = line.strip_prefix("| `src/")?;
        Some(format!("src/{}", cell.split('`').next()?))
    });
    let mut listed: Vec<String> = listed.collect();
    listed.sort();
    let has_unsafe = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        code.into_iter().any(|line| line.contains("unsafe"))
    };
    let files = rust_files(&root().join("src")).into_iter();
    let unsafe_files = files.filter(has_unsafe).map(|path| {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
        name.replace('\\', "/")
    });
    assert_eq!(listed, unsafe_files.collect::<Vec<_>>());
}

#[test]
fn rooms_use_only_rooms_below_them() {
    let wrong = rooms::upward_uses(&table(), &sources());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn files_of_a_room_do_not_use_each_other_in_a_circle() {
    let wrong = circles::circles(&table(), &sources());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_line_is_too_wide() {
    let folders =
        ["src", "tests", "benches", "examples", "fuzz", "bindings"].map(|name| root().join(name));
    let mut wide = Vec::new();
    for path in folders.iter().flat_map(|folder| rust_files(folder)) {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let lines = width::wide_lines(&fs::read_to_string(&path).unwrap());
        wide.extend(
            lines
                .iter()
                .map(|(line, columns)| format!("{name}:{line}: {columns}")),
        );
    }
    assert!(
        wide.is_empty(),
        "wider than {} columns:\n{}",
        width::COLUMNS,
        wide.join("\n")
    );
}
