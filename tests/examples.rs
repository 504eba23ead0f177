//! The programs in `examples/` do what they say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the example prints, run in `folder`. Cargo builds examples before it runs tests.
fn run(name: &str, folder: &Path, arguments: &[&str]) -> String {
    let deps = std::env::current_exe().unwrap();
    let target: PathBuf = deps.ancestors().nth(2).unwrap().to_owned();
    let program = target.join("examples").join(name);
    let output = Command::new(&program)
        .args(arguments)
        .current_dir(folder)
        .env("LLMZIP_HOME", folder)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn folder_with_files() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let prose = include_str!("golden/text.txt");
    fs::write(folder.path().join("prose.txt"), prose).unwrap();
    fs::write(folder.path().join("empty"), "").unwrap();
    folder
}

#[test]
fn tar_writes_an_archive_and_lists_it() {
    let folder = folder_with_files();
    let arguments = ["a.tar.llmz", "prose.txt", "empty"];
    let listed = run("tar", folder.path(), &arguments);
    let names: Vec<&str> = listed.lines().map(|line| line[11..].trim()).collect();
    assert_eq!(names, ["prose.txt", "empty"]);
    let archive = fs::metadata(folder.path().join("a.tar.llmz")).unwrap();
    let original = include_str!("golden/text.txt").len() as u64;
    assert!(archive.len() < original, "{} bytes", archive.len());
}

#[test]
fn measure_ranks_the_models_by_their_size() {
    let folder = folder_with_files();
    let table = run("measure", folder.path(), &["prose.txt"]);
    let bits: Vec<f64> = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().last().unwrap().parse().unwrap())
        .collect();
    assert_eq!(bits.len(), 4, "{table}");
    assert!(bits.is_sorted_by(|a, b| a > b), "{table}");
}
