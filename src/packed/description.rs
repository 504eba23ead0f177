//! What the header of a packed file says about the model.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use safetensors::SafeTensorError;
use serde::Deserialize;

use super::layout::METADATA_KEY;
use super::{MAX_HEADER_LEN, PackedError};
use crate::arch::Config;
use crate::machine::regular_file;

/// What can be told of a packed model without reading its weights.
#[derive(Clone, Debug)]
pub struct Description {
    /// Sizes and options of the model.
    pub config: Config,
    /// Size of the packed file in bytes.
    pub size: u64,
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    metadata: BTreeMap<String, String>,
}

impl Description {
    /// Reads the header of the packed file at `path`.
    ///
    /// # Errors
    /// If the file cannot be read or does not begin as a packed model does.
    pub fn read(path: impl AsRef<Path>) -> Result<Description, PackedError> {
        let mut file = regular_file::open(path.as_ref())?;
        let size = file.metadata()?.len();
        let header = read_header(&mut file)?.ok_or(SafeTensorError::HeaderTooLarge)?;
        let header: Header =
            serde_json::from_slice(&header).map_err(|error| PackedError::json(&error))?;
        let config = parse_config(header.metadata.get(METADATA_KEY))?;
        config.validate()?;
        Ok(Description { config, size })
    }
}

/// The JSON at the beginning of a safetensors file; `None` if it is longer than allowed.
pub(crate) fn read_header(file: &mut File) -> io::Result<Option<Vec<u8>>> {
    let mut len = [0; 8];
    file.read_exact(&mut len)?;
    let len = u64::from_le_bytes(len);
    if len > MAX_HEADER_LEN {
        return Ok(None);
    }
    let mut header = Vec::new();
    file.take(len).read_to_end(&mut header)?;
    Ok(Some(header))
}

/// The configuration that the metadata of a packed file hold.
pub(super) fn parse_config(text: Option<&String>) -> Result<Config, PackedError> {
    let absent = || PackedError::Metadata("it has no configuration".to_owned());
    serde_json::from_str(text.ok_or_else(absent)?).map_err(|error| PackedError::json(&error))
}
