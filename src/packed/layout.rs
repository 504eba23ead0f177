//! Which tensors a packed file holds, in which order, and at which bytes.

use std::collections::BTreeMap;
use std::ops::Range;

use safetensors::Dtype;

use super::PackedError;
use super::quantize::{padded_rows, tiled_len};
use crate::arch::config::TILE;
use crate::arch::{Algorithm, Config, Family};

/// Metadata key that holds the configuration.
pub(super) const METADATA_KEY: &str = "llmzip";

/// Weights begin at a multiple of this many bytes, the length of the lines they are read by.
pub(super) const ALIGN: usize = 64;

/// A tensor of the file.
pub(super) struct StoredTensor {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
}

impl StoredTensor {
    fn size(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }
}

/// Every tensor of the file in the order it is stored: wide types first, then by name.
pub(super) fn stored_tensors(
    family: &Family,
    config: &Config,
    token_bytes: usize,
    merges: usize,
) -> Vec<StoredTensor> {
    let mut stored = Vec::new();
    let mut add =
        |name: String, dtype, shape: Vec<usize>| stored.push(StoredTensor { name, dtype, shape });
    add("rope.steps".into(), Dtype::U64, vec![config.head_dim / 2]);
    if config.block.has_own_steps() {
        add(
            "rope.local_steps".into(),
            Dtype::U64,
            vec![config.head_dim / 2],
        );
    }
    add("token.bytes".into(), Dtype::U8, vec![token_bytes]);
    add("token.offsets".into(), Dtype::U32, vec![config.vocab + 1]);
    add("token.merges".into(), Dtype::U32, vec![merges, 2]);
    if scored_rows(config) > 0 {
        add("token.scores".into(), Dtype::F32, vec![config.vocab]);
    }
    for tensor in family.tensors(config) {
        let (name, rows) = (tensor.name, tensor.rows);
        let Some(columns) = tensor.columns else {
            add(format!("{name}.weight"), Dtype::F32, vec![rows]);
            if tensor.bias {
                add(format!("{name}.bias"), Dtype::F32, vec![rows]);
            }
            continue;
        };
        let tiles = rows.div_ceil(TILE);
        let lines = tiled_len(rows, columns) / tiles / ALIGN;
        add(
            format!("{name}.weight"),
            Dtype::U8,
            vec![tiles, lines, TILE, 4],
        );
        add(format!("{name}.scale"), Dtype::F32, vec![padded_rows(rows)]);
        if tensor.bias {
            add(format!("{name}.bias"), Dtype::F32, vec![rows]);
        }
    }
    // The one tensor whose length is no multiple of 64 bytes, `token.bytes`, sorts behind all
    // weights.
    stored.sort_by(|a, b| {
        let narrower = b.dtype.bitsize().cmp(&a.dtype.bitsize());
        narrower.then_with(|| a.name.cmp(&b.name))
    });
    stored
}

/// How many rows have a score.
pub(super) fn scored_rows(config: &Config) -> usize {
    match config.segmentation.algorithm {
        Algorithm::Unigram => config.vocab,
        Algorithm::ByteLevelBpe | Algorithm::Bpe => 0,
    }
}

/// A file that is to be written: its header and the bytes of every tensor.
pub(super) struct Layout {
    pub(super) header: Vec<u8>,
    pub(super) ranges: BTreeMap<String, Range<usize>>,
    /// Bytes of the whole file.
    pub(super) len: usize,
}

impl Layout {
    pub(super) fn new(
        config: &Config,
        token_bytes: usize,
        merges: usize,
    ) -> Result<Layout, PackedError> {
        let json = |error: serde_json::Error| PackedError::json(&error);
        let config_json = serde_json::to_string(config).map_err(json)?;
        let mut text = format!(
            "{{\"__metadata__\":{{\"{METADATA_KEY}\":{}}}",
            serde_json::to_string(&config_json).map_err(json)?
        );
        let (mut offset, mut ranges, mut before_weights) = (0, BTreeMap::new(), 0);
        for tensor in stored_tensors(config.family()?, config, token_bytes, merges) {
            let end = offset + tensor.size();
            let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
            text += &format!(
                ",\"{}\":{{\"dtype\":\"{:?}\",\"shape\":[{}],\"data_offsets\":[{offset},{end}]}}",
                tensor.name,
                tensor.dtype,
                shape.join(",")
            );
            if tensor.dtype != Dtype::U8 {
                before_weights = end;
            }
            ranges.insert(tensor.name, offset..end);
            offset = end;
        }
        text.push('}');
        while !(8 + text.len() + before_weights).is_multiple_of(ALIGN) {
            text.push(' ');
        }
        let mut header = (text.len() as u64).to_le_bytes().to_vec();
        header.extend_from_slice(text.as_bytes());
        for range in ranges.values_mut() {
            *range = header.len() + range.start..header.len() + range.end;
        }
        Ok(Layout {
            len: header.len() + offset,
            header,
            ranges,
        })
    }
}
