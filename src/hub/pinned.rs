//! Files that are known before they are fetched.
//!
//! A short name stands for one commit and the files of it: those that the catalogue has, or those
//! that were fetched for it first. So it means the same model every time, and no hub can give
//! another one under it.

use std::path::Path;

use super::announced::Announced;
use super::error::HubError;
use super::hash::{Hash, check};
use crate::store::PinnedFile;

/// Refuses what the hub announces if it cannot be this file.
pub(super) fn admit(file: &PinnedFile, announced: &Announced) -> Result<(), HubError> {
    let (hash, size) = (&announced.hash, announced.size);
    if size != file.size {
        let reason = format!("the hub has {size} bytes, expected {}", file.size);
        return Err(differs(file, reason));
    }
    // Hashes of two kinds say nothing of each other.
    if hash.as_str().len() == file.hash.len() && hash.as_str() != file.hash {
        let reason = format!("its hash is {hash}, expected {}", file.hash);
        return Err(differs(file, reason));
    }
    Ok(())
}

/// Refuses the content at `path` if it is not this file.
pub(super) fn confirm(file: &PinnedFile, path: &Path) -> Result<(), HubError> {
    let hash = Hash::parse(&file.hash);
    let hash = hash.ok_or_else(|| differs(file, "no hash is known".to_owned()))?;
    check(path, &hash, Some(file.size)).map_err(|reason| differs(file, reason))
}

fn differs(file: &PinnedFile, reason: String) -> HubError {
    HubError::Pinned {
        file: file.name.clone(),
        reason,
    }
}
