//! Weights in safetensors files.

use super::json::json;
use crate::arch::SourceTensor;
use crate::import::SourceError;
use crate::machine::regular_file;
use crate::packed::{PackedError, TensorSource, read_header};
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensorError};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

/// The tensors of one or several safetensors files.
pub(super) struct Weights {
    files: Vec<File>,
    /// By name.
    tensors: BTreeMap<String, StoredTensor>,
}

/// A tensor of a file.
struct StoredTensor {
    /// Index in `Weights::files`.
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Its bytes within the file.
    range: Range<u64>,
}

impl StoredTensor {
    fn read(&self, mut file: &File) -> io::Result<Vec<u8>> {
        file.seek(SeekFrom::Start(self.range.start))?;
        let mut bytes = Vec::new();
        let len = self.range.end - self.range.start;
        match file.take(len).read_to_end(&mut bytes)? as u64 == len {
            true => Ok(bytes),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Weights {
    pub(super) fn open(folder: &Path) -> Result<Weights, SourceError> {
        // Of weights that are there both whole and in shards, the whole ones are taken, as
        // transformers does.
        let (whole, index) = ("model.safetensors", "model.safetensors.index.json");
        let names = match !folder.join(whole).exists() && folder.join(index).exists() {
            true => shards(&json(folder, index)?)?,
            false => vec![whole.to_owned()],
        };
        let mut weights = Weights {
            files: Vec::new(),
            tensors: BTreeMap::new(),
        };
        for name in names {
            weights.add(folder, &name)?;
        }
        Ok(weights)
    }

    fn add(&mut self, folder: &Path, name: &str) -> Result<(), SourceError> {
        let failed = |e| SourceError::io(name, e);
        let mut file = regular_file::open(&folder.join(name)).map_err(failed)?;
        let broken = |e| SourceError::Invalid(format!("{name}: {e}"));
        let (data, metadata) = safetensors_header(&mut file).map_err(broken)?;
        #[expect(clippy::iter_over_hash_type, reason = "each goes into a map")]
        for (name, info) in metadata.tensors() {
            let (start, end) = info.data_offsets;
            let tensor = StoredTensor {
                file: self.files.len(),
                dtype: info.dtype,
                shape: info.shape.clone(),
                range: data + start as u64..data + end as u64,
            };
            self.tensors.insert(name, tensor);
        }
        self.files.push(file);
        Ok(())
    }

    pub(super) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|tensor| tensor.shape.clone())
    }

    /// Numbers in all tensors, except what can be computed and what is `unused`.
    pub(super) fn parameters(&self, unused: impl Fn(&str) -> bool) -> u64 {
        let counted = |name: &str| !unused(name) && !name.ends_with("rotary_emb.inv_freq");
        let tensors = self.tensors.iter().filter(|(name, _)| counted(name));
        tensors
            .map(|(_, tensor)| tensor.shape.iter().product::<usize>() as u64)
            .sum()
    }
}

/// Where the tensors of a safetensors file begin, and what its header says of them.
fn safetensors_header(file: &mut File) -> Result<(u64, Metadata), SafeTensorError> {
    let header = read_header(file)?.ok_or(SafeTensorError::HeaderTooLarge)?;
    let metadata: Metadata = serde_json::from_slice(&header)?;
    let start = 8 + header.len() as u64;
    match file.metadata()?.len() == start + metadata.data_len() as u64 {
        true => Ok((start, metadata)),
        false => Err(SafeTensorError::MetadataIncompleteBuffer),
    }
}

/// The shard files that an index names: plain names in the same folder.
pub(crate) fn shards(index: &Value) -> Result<Vec<String>, SourceError> {
    let map = index["weight_map"].as_object();
    let map = map.ok_or_else(|| SourceError::invalid("the index of shards has no weight_map"))?;
    let mut names: Vec<String> = map
        .values()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    names.dedup();
    let plain = |name: &String| {
        let letters = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        letters && name.ends_with(".safetensors") && !name.starts_with('.')
    };
    match names.iter().find(|name| !plain(name)) {
        Some(name) => Err(SourceError::Invalid(format!("shard name {name:?}"))),
        None => Ok(names),
    }
}

impl TensorSource for Weights {
    fn tensor(&mut self, tensor: &SourceTensor) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        let name = &tensor.hugging_face;
        let fail = |reason: &str| PackedError::Source {
            name: name.to_owned(),
            reason: reason.to_owned(),
        };
        let stored = self.tensors.get(name).ok_or_else(|| fail("missing"))?;
        let bytes = stored.read(&self.files[stored.file]);
        let bytes = &bytes.map_err(|error| fail(&error.to_string()))?;
        let values = match stored.dtype {
            Dtype::F32 => floats(bytes, f32::from_le_bytes),
            Dtype::F16 => floats(bytes, |b| f16_to_f32(u16::from_le_bytes(b))),
            Dtype::BF16 => floats(bytes, |b| {
                f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)
            }),
            other => return Err(fail(&format!("type {other:?} is not supported"))),
        };
        Ok((stored.shape.clone(), values))
    }
}

fn floats<const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (values, _) = bytes.as_chunks::<N>();
    values.iter().map(|&value| convert(value)).collect()
}

/// IEEE binary16 to binary32, exact.
fn f16_to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let exponent = u32::from(half >> 10) & 0x1f;
    let fraction = u32::from(half & 0x3ff);
    let magnitude = match exponent {
        // 2^-24 is the unit of subnormal halves; the product is exact.
        0 => (fraction as f32 * f32::from_bits((127 - 24) << 23)).to_bits(),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 127 - 15) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_become_floats_exactly() {
        for (half, float) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 2f32.powi(-24)),
            (0x03ff, 1023.0 * 2f32.powi(-24)),
            (0x0400, 2f32.powi(-14)),
            (0x3555, 0.333_251_95),
        ] {
            assert_eq!(f16_to_f32(half), float, "{half:04x}");
        }
        assert_eq!(f16_to_f32(0x8000).to_bits(), (-0.0f32).to_bits());
        assert_eq!(f16_to_f32(0xfc00), f32::NEG_INFINITY);
        assert!(f16_to_f32(0x7e00).is_nan());
    }

    #[test]
    fn shards_stay_in_the_folder() {
        for bad in [
            "../a.safetensors",
            "/a.safetensors",
            "a/b.safetensors",
            "a.bin",
        ] {
            let index = serde_json::json!({"weight_map": {"x": bad}});
            assert!(shards(&index).is_err(), "{bad}");
        }
    }
}
