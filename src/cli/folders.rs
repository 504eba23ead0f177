//! Finds the files of folders.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::meant::Input;
use super::print;
use super::text;

/// The inputs, with each folder replaced by the files in it and in the folders in it that are
/// `wanted`, in the order of their names; and whether all folders could be read. Those that could
/// not have been reported. Links in folders are not followed.
pub(super) fn files_of(inputs: &[Input], wanted: &dyn Fn(&Path) -> bool) -> (Vec<Input>, bool) {
    let mut files = Vec::new();
    let mut all_well = true;
    for input in inputs {
        match input {
            Input::File(path) if path.is_dir() => {
                all_well &= walk(path, &mut |path| {
                    if wanted(&path) {
                        files.push(Input::File(path));
                    }
                });
            }
            other => files.push(other.clone()),
        }
    }
    (files, all_well)
}

/// Calls `found` with each regular file below a folder. Returns whether all could be read; what
/// could not has been reported.
fn walk(folder: &Path, found: &mut dyn FnMut(PathBuf)) -> bool {
    let entries = fs::read_dir(folder).and_then(|entries| {
        let paths = entries.map(|entry| Ok(entry?.path()));
        let mut paths: Vec<PathBuf> = paths.collect::<io::Result<_>>()?;
        paths.sort();
        Ok(paths)
    });
    let paths = match entries {
        Ok(paths) => paths,
        Err(error) => {
            print::error(&format!("{}: cannot read: {error}", text::path(folder)));
            return false;
        }
    };
    let mut all_well = true;
    for path in paths {
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => all_well &= walk(&path, found),
            Ok(metadata) if metadata.is_file() => found(path),
            // Links, pipes and devices are not what a folder holds.
            _ => {}
        }
    }
    all_well
}
