//! Weights in safetensors files.

use super::index::Index;
use crate::import::arranged::StoredTensors;
use crate::import::floats::FloatType;
use crate::import::{SourceError, file, json, pieces};
use crate::machine::memory;
use crate::packed::{PackedError, read_header};
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde_json::error::Category;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

/// The tensors of one or several safetensors files.
pub(super) struct Weights {
    files: Vec<File>,
    /// By name.
    tensors: BTreeMap<String, StoredTensor>,
    /// Beginnings of names, and what may stand there instead.
    variants: &'static [(&'static str, &'static str)],
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
    fn read(
        &self,
        mut file: &File,
        range: Range<u64>,
        floats: FloatType,
        mut values: Vec<f32>,
    ) -> Result<Vec<f32>, PackedError> {
        values.clear();
        let len = range.end - range.start;
        let count = usize::try_from(len).unwrap_or(usize::MAX) / floats.size();
        memory::reserve(&mut values, "a tensor", count)?;
        pieces::read(&mut file, range.start, len, floats.size(), |bytes| {
            floats.append(bytes, &mut values);
            io::Result::Ok(())
        })?;
        Ok(values)
    }
}

impl Weights {
    /// Opens the files that `index` names. `variants` are beginnings of names, and what may stand
    /// there instead.
    pub(super) fn open(
        folder: &Path,
        index: &Index,
        variants: &'static [(&'static str, &'static str)],
    ) -> Result<Weights, SourceError> {
        let mut weights = Weights {
            files: Vec::new(),
            tensors: BTreeMap::new(),
            variants,
        };
        for name in &index.files {
            weights.add(folder, name, index)?;
        }
        Ok(weights)
    }

    fn add(&mut self, folder: &Path, name: &str, index: &Index) -> Result<(), SourceError> {
        let mut file = file::open(&folder.join(name), name)?;
        let (data, metadata) = safetensors_header(&mut file, name)?;
        #[expect(clippy::iter_over_hash_type, reason = "each goes into a map")]
        for (tensor, info) in metadata.tensors() {
            let place = index.places.get(&tensor).map(String::as_str);
            if self.tensors.contains_key(&tensor) && place != Some(name) {
                if place.is_some() {
                    continue;
                }
                return Err(SourceError::Invalid(format!(
                    "tensor {tensor} is in {name} and in a file before it"
                )));
            }
            let (start, end) = info.data_offsets;
            let stored = StoredTensor {
                file: self.files.len(),
                dtype: info.dtype,
                shape: info.shape.clone(),
                range: data + start as u64..data + end as u64,
            };
            self.tensors.insert(tensor, stored);
        }
        self.files.push(file);
        Ok(())
    }

    pub(super) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.find(name).map(|tensor| tensor.shape.clone())
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    /// The tensor called `name`, or so but for its beginning.
    fn find(&self, name: &str) -> Option<&StoredTensor> {
        let variant = |(beginning, other): &(&str, &str)| {
            let rest = name.strip_prefix(beginning)?;
            self.tensors.get(&format!("{other}{rest}"))
        };
        let exact = self.tensors.get(name);
        exact.or_else(|| self.variants.iter().find_map(variant))
    }

    /// Whether the tensor `one` has the same bytes as `other`, or is not there.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(super) fn is_missing_or_same(&self, one: &str, other: &str) -> Result<bool, SourceError> {
        let Some(first) = self.find(one) else {
            return Ok(true);
        };
        let Some(second) = self.find(other) else {
            return Ok(false);
        };
        if first.dtype != second.dtype || first.shape != second.shape {
            return Ok(false);
        }
        let hash = |stored: &StoredTensor| {
            let (mut file, range) = (&self.files[stored.file], &stored.range);
            let mut hasher = blake3::Hasher::new();
            pieces::read(
                &mut file,
                range.start,
                range.end - range.start,
                1,
                |bytes| {
                    hasher.update(bytes);
                    io::Result::Ok(())
                },
            )?;
            Ok(hasher.finalize())
        };
        let failed = |error| SourceError::io("cannot read the weights", error);
        Ok(hash(first).map_err(failed)? == hash(second).map_err(failed)?)
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
fn safetensors_header(file: &mut File, name: &str) -> Result<(u64, Metadata), SourceError> {
    let invalid = |what: &str| SourceError::Invalid(format!("{name} {what}"));
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => invalid("is too short for a safetensors file"),
        _ => SourceError::io(name, error),
    };
    let header = read_header(file).map_err(failed)?;
    let header = header.ok_or_else(|| invalid("is not a safetensors file"))?;
    let length = file.metadata().map_err(failed)?.len();
    let start = 8 + header.len() as u64;
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|error| match error.classify() {
            Category::Data => invalid("has a header that describes its tensors wrongly"),
            _ if start == length => invalid("ends within its header"),
            _ => invalid(&format!("has a header that {}", json::in_words(&error))),
        })?;
    json::parse(&header, &format!("{name}, in its header,"))?;
    let want = start + metadata.data_len() as u64;
    match length == want {
        true => Ok((start, metadata)),
        false => Err(invalid(&format!(
            "has {length} bytes, but its header describes {want}"
        ))),
    }
}

impl StoredTensors for Weights {
    fn read(
        &mut self,
        name: &str,
        index: Option<usize>,
        spare: Vec<f32>,
    ) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        let fail = |reason: &str| PackedError::Source {
            name: name.to_owned(),
            reason: reason.to_owned(),
        };
        let stored = self.find(name).ok_or_else(|| fail("missing"))?;
        let floats = match stored.dtype {
            Dtype::F32 => FloatType::F32,
            Dtype::F16 => FloatType::F16,
            Dtype::BF16 => FloatType::Bf16,
            other => return Err(fail(&format!("type {other} is not supported"))),
        };
        let part = pieces::part(&stored.shape, stored.range.clone(), index);
        let (shape, range) = part.ok_or_else(|| fail("not one matrix for each expert"))?;
        let values = stored.read(&self.files[stored.file], range, floats, spare);
        let values = values.map_err(|error| match error {
            PackedError::Io(error) => fail(&error.to_string()),
            error => error,
        })?;
        Ok((shape.to_vec(), values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why a file with this content is refused.
    fn refusal(content: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("model.safetensors"), content).unwrap();
        let opened = Weights::open(folder.path(), &Index::of(["model.safetensors"]), &[]);
        opened.err().unwrap().to_string()
    }

    fn with_header(header: &str, data: usize) -> Vec<u8> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(header.as_bytes());
        file.resize(file.len() + data, 0);
        file
    }

    #[test]
    fn a_damaged_file_is_refused_in_words() {
        let tensor = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let sound = with_header(tensor, 8);
        let inner = tensor.strip_prefix('{').unwrap();
        let twice = tensor.replace("}}", "},") + inner;
        for (content, want) in [
            (&b"short"[..], "is too short for a safetensors file"),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff",
                "is not a safetensors file",
            ),
            (&sound[..20], "ends within its header"),
            (&sound[..sound.len() - 1], "bytes, but its header describes"),
            (&with_header("{,}", 4), "has a header that is not JSON"),
            (&with_header(&tensor.replace("[2]", "[3]"), 8), "wrongly"),
            (&with_header(&twice, 8), "has \"a\" twice"),
        ] {
            let reason = refusal(content);
            assert!(reason.contains(want), "{reason}");
        }
    }

    #[test]
    fn the_index_says_which_of_two_tensors_counts() {
        let folder = tempfile::tempdir().unwrap();
        let tensor = |width: usize| {
            let len = 4 * width;
            format!(r#"{{"a":{{"dtype":"F32","shape":[{width}],"data_offsets":[0,{len}]}}}}"#)
        };
        for (name, width) in [("1.safetensors", 1), ("2.safetensors", 2)] {
            let content = with_header(&tensor(width), 4 * width);
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let mut index = Index::of(["1.safetensors", "2.safetensors"]);
        let error = Weights::open(folder.path(), &index, &[]).err().unwrap();
        assert!(
            error.to_string().contains("tensor a is in 2.safetensors"),
            "{error}"
        );
        for (place, width) in [("1.safetensors", 1), ("2.safetensors", 2)] {
            index.places.insert("a".into(), place.into());
            let weights = Weights::open(folder.path(), &index, &[]).unwrap();
            assert_eq!(weights.shape("a"), Some(vec![width]));
        }
    }
}
