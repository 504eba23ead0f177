//! JSON files.

use crate::import::SourceError;
use crate::machine::regular_file;
use serde_json::Value;
use std::io::Read;
use std::path::Path;

/// Largest JSON file that is read whole, in bytes (a tokenizer of 2^18 tokens has about 30 MB).
const MAX_JSON: u64 = 256 << 20;

pub(super) fn json(folder: &Path, name: &str) -> Result<Value, SourceError> {
    let mut text = Vec::new();
    regular_file::open(&folder.join(name))
        .and_then(|file| file.take(MAX_JSON + 1).read_to_end(&mut text))
        .map_err(|error| SourceError::io(name, error))?;
    if text.len() as u64 > MAX_JSON {
        return Err(SourceError::Invalid(format!("{name} is too large")));
    }
    serde_json::from_slice(&text).map_err(|e| SourceError::Invalid(format!("{name}: {e}")))
}
