//! What the short names stand for: one commit each, and the files of it.
//!
//! Levels 7 to 9 name these models. With commit and hashes in the program, a short name means the
//! same model for everybody, and no hub can give another one under it.

use super::announced::Announced;
use super::error::HubError;
use super::hash::{Hash, check};
use std::path::Path;

/// A commit and its files.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pinned {
    pub(super) repository: &'static str,
    pub(super) commit: &'static str,
    pub(super) files: &'static [PinnedFile],
}

/// A file: its name, its size in bytes, its SHA-256 in hexadecimal digits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PinnedFile {
    pub(super) name: &'static str,
    pub(super) size: u64,
    pub(super) sha256: &'static str,
}

const fn file(name: &'static str, size: u64, sha256: &'static str) -> PinnedFile {
    PinnedFile { name, size, sha256 }
}

/// All three models have the same tokenizer.
const TOKENIZER: PinnedFile = file(
    "tokenizer.json",
    2_104_556,
    "9ca9acddb6525a194ec8ac7a87f24fbba7232a9a15ffa1af0c1224fcd888e47c",
);

/// All that is pinned.
static ALL: [Pinned; 3] = [
    Pinned {
        repository: "HuggingFaceTB/SmolLM2-135M",
        commit: "93efa2f097d58c2a74874c7e644dbc9b0cee75a2",
        files: &[
            file(
                "config.json",
                704,
                "1d556eab73b69c7f11f64c557a2f9c6f440bd4c6b89bb2584a6b498c92603843",
            ),
            TOKENIZER,
            file(
                "model.safetensors",
                269_060_552,
                "80521b40281d6ce74e35c9282c22539e75aa0ac8578892b2a59955ef78d55da1",
            ),
        ],
    },
    Pinned {
        repository: "HuggingFaceTB/SmolLM2-360M",
        commit: "f8027fd0eaeea54caa13c31d31b9fdc459c38b49",
        files: &[
            file(
                "config.json",
                689,
                "34f7801487078de7e434e19162c497e5cc6ff397080e40e8586627cb68a5168a",
            ),
            TOKENIZER,
            file(
                "model.safetensors",
                723_674_912,
                "7aaff6661428bed033abba9522bec81938678642cca3181fe752b6ca9e1e540f",
            ),
        ],
    },
    Pinned {
        repository: "HuggingFaceTB/SmolLM2-1.7B",
        commit: "effd688a12921b4cc83e3312b6feb579f70f9c71",
        files: &[
            file(
                "config.json",
                635,
                "33397f6af8090f7290f27ce6fb1cd23a95fd0915a5c648dfd10b6002aaf7fc48",
            ),
            TOKENIZER,
            file(
                "model.safetensors",
                3_422_777_952,
                "1193528982f4ac0c0b707ce36fd7dc03a0ef6f3e1a432deb886dce2e90c300c0",
            ),
        ],
    },
];

/// What is pinned of the repository of a short name.
pub(super) fn of_repository(repository: &str) -> Option<&'static Pinned> {
    ALL.iter().find(|pinned| pinned.repository == repository)
}

impl PinnedFile {
    /// Refuses what the hub announces if it cannot be this file.
    pub(super) fn admit(&self, announced: &Announced) -> Result<(), HubError> {
        let (hash, size) = (&announced.hash, announced.size);
        if size != self.size {
            return Err(self.differs(format!("the hub has {size} bytes, expected {}", self.size)));
        }
        if hash.is_sha256() && hash.as_str() != self.sha256 {
            return Err(self.differs(format!("its hash is {hash}, expected {}", self.sha256)));
        }
        Ok(())
    }

    /// Refuses the content at `path` if it is not this file.
    pub(super) fn confirm(&self, path: &Path) -> Result<(), HubError> {
        let hash = Hash::parse(self.sha256);
        let hash = hash.ok_or_else(|| self.differs("no hash is known".to_owned()))?;
        check(path, &hash, Some(self.size)).map_err(|reason| self.differs(reason))
    }

    fn differs(&self, reason: String) -> HubError {
        HubError::Pinned {
            file: self.name.to_owned(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::hash::Commit;
    use crate::store::SHORT_NAMES;

    #[test]
    fn every_short_name_is_pinned_and_every_pin_is_well_formed() {
        assert_eq!(SHORT_NAMES.len(), ALL.len());
        for (short, repository) in SHORT_NAMES {
            let pinned = of_repository(repository).unwrap_or_else(|| panic!("{short}"));
            assert!(Commit::parse(pinned.commit).is_some(), "{short}");
            let names: Vec<&str> = pinned.files.iter().map(|file| file.name).collect();
            assert_eq!(
                names,
                ["config.json", "tokenizer.json", "model.safetensors"]
            );
            for file in pinned.files {
                assert!(Hash::parse(file.sha256).unwrap().is_sha256(), "{short}");
            }
        }
    }
}
