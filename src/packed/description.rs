//! What the header of a packed file says about the model.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use super::layout::METADATA_KEY;
use super::model::open_regular;
use super::{MAX_HEADER_LEN, PackedError};
use crate::arch::Config;

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
        let (mut file, size) = open_regular(path.as_ref())?;
        let config = read_config(&header(&mut file)?)?;
        config.validate()?;
        Ok(Description { config, size })
    }
}

/// The JSON at the beginning of a packed file.
fn header(file: &mut File) -> Result<Vec<u8>, PackedError> {
    let mut len = [0; 8];
    file.read_exact(&mut len)?;
    let len = u64::from_le_bytes(len);
    if len > MAX_HEADER_LEN {
        return Err(safetensors::SafeTensorError::HeaderTooLarge.into());
    }
    let mut header = Vec::new();
    file.take(len).read_to_end(&mut header)?;
    Ok(header)
}

fn read_config(header: &[u8]) -> Result<Config, PackedError> {
    let not_json = |error: serde_json::Error| PackedError::Metadata(error.to_string());
    let header: Header = serde_json::from_slice(header).map_err(not_json)?;
    let config = header.metadata.get(METADATA_KEY);
    let config =
        config.ok_or_else(|| PackedError::Metadata(format!("metadata has no {METADATA_KEY}")))?;
    serde_json::from_str(config).map_err(not_json)
}
