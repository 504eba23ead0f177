//! Commits and hashes, as the hub writes them.
//!
//! Both become parts of paths in the cache, so they have types of their own, and only text that is
//! nothing but digits becomes one.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::machine::regular_file;
use crate::store::{hex, is_hexadecimal};

/// Length of a hexadecimal SHA-256, by which the hub identifies large files.
const SHA256_DIGITS: usize = 64;
/// Length of a hexadecimal SHA-1: a commit, or the hash that git gives a small file.
const SHA1_DIGITS: usize = 40;
/// Bytes hashed at a time.
const PIECE: usize = 1 << 16;

/// The identity of a commit: 40 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit(String);

impl Commit {
    /// The commit that `text` writes, if it is one.
    pub(super) fn parse(text: &str) -> Option<Commit> {
        let sound = text.len() == SHA1_DIGITS && is_hexadecimal(text);
        sound.then(|| Commit(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The hash of a file's content in lower-case hexadecimal digits: its SHA-256 in 64, or the hash
/// that git gives it, which is the SHA-1 of a short header and the content, in 40.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hash(String);

impl Hash {
    /// The hash that `text` writes, if it is one.
    pub(super) fn parse(text: &str) -> Option<Hash> {
        let sound = matches!(text.len(), SHA1_DIGITS | SHA256_DIGITS) && is_hexadecimal(text);
        sound.then(|| Hash(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_sha256(&self) -> bool {
        self.0.len() == SHA256_DIGITS
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Hashes a content piece by piece.
#[derive(Debug)]
pub(super) enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hasher {
    /// Hashes a content of `size` bytes in the way of `like`.
    pub(super) fn new(like: &Hash, size: u64) -> Hasher {
        match like.is_sha256() {
            true => Hasher::Sha256(Sha256::new()),
            false => {
                let mut hash = Sha1::new();
                hash.update(format!("blob {size}\0"));
                Hasher::Git(hash)
            }
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hash) => hash.update(bytes),
            Hasher::Git(hash) => hash.update(bytes),
        }
    }

    /// Compares the hash of the bytes so far with `expected`. The error says how they differ.
    pub(super) fn compare(self, expected: &Hash) -> Result<(), String> {
        let found = match self {
            Hasher::Sha256(hash) => hex(&hash.finalize()),
            Hasher::Git(hash) => hex(&hash.finalize()),
        };
        match found == expected.0 {
            true => Ok(()),
            false => Err(format!("its hash is {found}, expected {expected}")),
        }
    }
}

/// Reads `reader` to its end, hashes what it reads, and returns the number of bytes.
pub(super) fn hash_all(reader: &mut impl Read, hasher: &mut Hasher) -> io::Result<u64> {
    let (mut buffer, mut length) = (vec![0; PIECE], 0);
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(length),
            count => {
                hasher.update(&buffer[..count]);
                length += count as u64;
            }
        }
    }
}

/// Compares a file with its hash, and with its size in bytes where that is known. The error says
/// how they differ.
pub(super) fn check(path: &Path, expected: &Hash, size: Option<u64>) -> Result<(), String> {
    let failed = |e: io::Error| e.to_string();
    let mut file = regular_file::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if let Some(size) = size.filter(|&size| size != length) {
        return Err(format!("it has {length} bytes, expected {size}"));
    }
    let mut hasher = Hasher::new(expected, length);
    hash_all(&mut file, &mut hasher).map_err(failed)?;
    hasher.compare(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_become_parts_of_paths() {
        let digits = "0123456789abcdef0123456789abcdef01234567";
        assert!(Commit::parse(digits).is_some() && Hash::parse(digits).is_some());
        let long = format!("{digits}{}", &digits[..24]);
        assert!(Commit::parse(&long).is_none() && Hash::parse(&long).is_some());
        for bad in [
            "",
            "main",
            "../../../../../../../../../../../../etc/x",
            "0123456789ABCDEF0123456789ABCDEF01234567",
            "0123456789abcdef0123456789abcdef0123456\n",
            "\u{661}\u{661}\u{661}\u{661}\u{661}\u{661}\u{661}\u{661}\u{661}\u{661}\
             \u{661}\u{661}\u{661}\u{661}\u{661}\u{661}\u{661}\u{661}\u{661}\u{661}",
            &long[..63],
            &format!("{long}0"),
        ] {
            assert!(Commit::parse(bad).is_none(), "{bad:?}");
            assert!(Hash::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn hashes_are_those_of_git_and_of_sha256sum() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "hello\n").unwrap();
        // From `git hash-object` and `sha256sum`.
        for known in [
            "ce013625030ba8dba906f756967f9e9ca394464a",
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        ] {
            let hash = Hash::parse(known).unwrap();
            assert_eq!(check(&path, &hash, Some(6)), Ok(()));
            assert!(
                check(&path, &hash, Some(7))
                    .unwrap_err()
                    .contains("6 bytes")
            );
            let other = Hash::parse(&known.replace('b', "c")).unwrap();
            assert!(check(&path, &other, None).unwrap_err().contains(known));
            assert!(check(folder.path(), &hash, None).is_err());
        }
    }
}
