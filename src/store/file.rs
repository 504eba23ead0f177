//! Files of the store.

use std::io;
use std::path::Path;

use super::error::StoreError;
use crate::machine::new_file::{self, NewFile};

/// Adds to an error of the operating system the path that it is about.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |error| StoreError::Io { path, error }
}

/// Syncs a new file. Unlike other new files, those in the store are readable by everybody.
pub(super) fn finish(file: &NewFile) -> io::Result<()> {
    file.let_everybody_read();
    new_file::sync_if_possible(file.file())
}
