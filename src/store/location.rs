//! The paths of a user's stores.

use std::env;
use std::path::PathBuf;

/// Where packed models are kept.
pub(super) struct Location {
    /// The folder that models are added to.
    pub(super) home: PathBuf,
    /// A folder that models are found in, too.
    pub(super) older: Option<PathBuf>,
}

/// `LLMZIP_HOME`, else `llmzip` in the platform's folder for data, which nothing empties. Models
/// are also found in the folder for caches, where earlier versions kept them. `None` if neither is
/// known.
pub(super) fn of_user() -> Option<Location> {
    if let Some(home) = variable("LLMZIP_HOME") {
        return Some(Location { home, older: None });
    }
    Some(Location {
        home: data_folder()?.join("llmzip"),
        older: cache_folder().map(|folder| folder.join("llmzip")),
    })
}

fn data_folder() -> Option<PathBuf> {
    if cfg!(target_os = "windows") {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        in_home("Library/Application Support")
    } else {
        xdg("XDG_DATA_HOME").or_else(|| in_home(".local/share"))
    }
}

/// `None` where it is the folder for data as well.
fn cache_folder() -> Option<PathBuf> {
    if cfg!(target_os = "windows") {
        None
    } else if cfg!(target_os = "macos") {
        in_home("Library/Caches")
    } else {
        xdg("XDG_CACHE_HOME").or_else(|| in_home(".cache"))
    }
}

fn in_home(folder: &str) -> Option<PathBuf> {
    Some(variable("HOME")?.join(folder))
}

/// The XDG Base Directory Specification ignores relative paths.
fn xdg(name: &str) -> Option<PathBuf> {
    variable(name).filter(|path| path.is_absolute())
}

/// The path that an environment variable holds; `None` if it is unset or empty.
fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}
