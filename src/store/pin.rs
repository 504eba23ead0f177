//! What a short name stands for: a commit and its files.

use serde::{Deserialize, Serialize};

use super::hex::is_hexadecimal;

/// One commit, and files of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The commit, in hexadecimal digits.
    pub commit: String,
    /// The files that a model needs.
    pub files: Vec<PinnedFile>,
}

/// What a file must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedFile {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256, or the SHA-1 that git gives it, in hexadecimal digits.
    pub hash: String,
}

impl Pin {
    /// Whether every part is well formed; the error says what is not.
    ///
    /// # Errors
    ///
    /// The name of a part.
    pub fn check(&self) -> Result<(), &'static str> {
        let is_hash =
            |text: &str, lengths: &[usize]| lengths.contains(&text.len()) && is_hexadecimal(text);
        if !is_hash(&self.commit, &[40]) {
            return Err("commit");
        }
        for file in &self.files {
            if !is_file_name(&file.name) {
                return Err("name of a file");
            }
            if !is_hash(&file.hash, &[40, 64]) || file.size == 0 {
                return Err("hash or size of a file");
            }
        }
        Ok(())
    }
}

/// Whether a hub's file may have this name: letters, digits and some marks, no folder, not hidden.
/// Such a name can stand in an address and be the name of a file on every system.
pub fn is_file_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-+=".contains(&b);
    (1..=200).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_lead_nowhere_else() {
        for name in ["config.json", "M-Q8_0.gguf", "a+b=c.gguf"] {
            assert!(is_file_name(name), "{name}");
        }
        for name in [
            "", ".x", "a/b", "a\\b", "..", "a b", "a%2f", "é", "a:b", "a?b", "a#b",
        ] {
            assert!(!is_file_name(name), "{name}");
        }
        assert!(!is_file_name(&"x".repeat(201)));
    }
}
