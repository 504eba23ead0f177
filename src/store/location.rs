//! The path of a user's store.

use std::env;
use std::path::PathBuf;

/// `LLMZIP_HOME`, else `llmzip` in the platform's cache folder; `None` if neither is known.
pub(super) fn of_user() -> Option<PathBuf> {
    variable("LLMZIP_HOME").or_else(|| Some(cache_folder()?.join("llmzip")))
}

fn cache_folder() -> Option<PathBuf> {
    if cfg!(target_os = "windows") {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        Some(variable("HOME")?.join("Library/Caches"))
    } else {
        variable("XDG_CACHE_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| Some(variable("HOME")?.join(".cache")))
    }
}

/// The path that an environment variable holds; `None` if it is unset or empty.
fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}
