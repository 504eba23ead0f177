//! Finds the files of folders.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::input;
use super::meant::Input;
use super::print;
use super::text;

/// An input, and the folder in which it was found.
pub(super) struct Found {
    pub(super) input: Input,
    /// `None` for what was named.
    folder: Option<(PathBuf, Metadata)>,
}

impl Found {
    /// Whether its folder is still the one in which it was found. Where a link took its place, the
    /// path leads elsewhere.
    pub(super) fn is_where_it_was(&self) -> bool {
        self.folder.as_ref().is_none_or(|(path, then)| {
            fs::symlink_metadata(path)
                .is_ok_and(|now| now.is_dir() && input::is_same_file(&now, then))
        })
    }
}

/// The inputs. If `recursive` is set, each folder among them is replaced by the files in it and in
/// the folders in it that are `wanted`, in the order of their names. Links in folders are not
/// followed. Also whether all folders could be read; what could not has been reported.
pub(super) fn find(
    inputs: &[Input],
    recursive: bool,
    wanted: &dyn Fn(&Path) -> bool,
) -> (Vec<Found>, bool) {
    let mut found = Vec::new();
    let mut all_well = true;
    for input in inputs {
        match input {
            Input::File(path) if recursive && path.is_dir() => {
                all_well &= walk(path, wanted, &mut found);
            }
            _ => found.push(Found {
                input: input.clone(),
                folder: None,
            }),
        }
    }
    (found, all_well)
}

/// Bytes of all inputs, if all are regular files.
pub(super) fn len(found: &[Found]) -> Option<u64> {
    let len = |found: &Found| match &found.input {
        Input::Stdin => None,
        Input::File(path) => {
            let metadata = fs::metadata(path).ok()?;
            metadata.is_file().then_some(metadata.len())
        }
    };
    found.iter().map(len).sum()
}

/// Adds the regular files below a folder that are `wanted`. Returns whether all could be read.
fn walk(folder: &Path, wanted: &dyn Fn(&Path) -> bool, files: &mut Vec<Found>) -> bool {
    let cannot = |path: &Path, error: &io::Error| {
        print::error(&format!("{}: cannot read: {error}", text::path(path)));
        false
    };
    let read = fs::metadata(folder).and_then(|metadata| Ok((metadata, entries(folder)?)));
    let (metadata, paths) = match read {
        Ok(read) => read,
        Err(error) => return cannot(folder, &error),
    };
    let mut all_well = true;
    for path in paths {
        all_well &= match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => walk(&path, wanted, files),
            Ok(found) => {
                // Links, pipes and devices are not what a folder holds.
                if found.is_file() && wanted(&path) {
                    files.push(Found {
                        input: Input::File(path),
                        folder: Some((folder.to_owned(), metadata.clone())),
                    });
                }
                true
            }
            Err(error) => cannot(&path, &error),
        };
    }
    all_well
}

/// What is in a folder, in the order of the names.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_became_a_link_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["tree/z", "elsewhere"] {
            fs::create_dir_all(path(name)).unwrap();
            fs::write(path(name).join("a"), name).unwrap();
        }
        std::os::unix::fs::symlink("a", path("tree/link")).unwrap();
        let inputs = [Input::File(path("tree"))];
        let (found, all_well) = find(&inputs, true, &|_| true);
        assert!(all_well && found.len() == 1 && found[0].is_where_it_was());
        fs::rename(path("tree/z"), path("tree/zz")).unwrap();
        assert!(!found[0].is_where_it_was());
        std::os::unix::fs::symlink("../elsewhere", path("tree/z")).unwrap();
        assert!(!found[0].is_where_it_was());
    }
}
