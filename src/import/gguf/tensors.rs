//! The weights of an open GGUF file, or of the files of a set.

use super::structure::{StoredTensor, Structure};
use super::types::{self, TensorType};
use crate::arch::SourceTensor;
use crate::import::{SourceError, pieces};
use crate::machine::memory;
use crate::packed::{PackedError, TensorSource};
use std::collections::BTreeMap;
use std::io::{Read, Seek};

/// The tensors of the files that make up a model.
pub(super) struct GgufTensors<R> {
    files: Vec<R>,
    /// By name.
    tensors: BTreeMap<String, Place>,
    /// Whether the rows of rotated heads are interleaved.
    interleaved: bool,
}

/// A tensor and how to read it.
struct Place {
    /// Index in `GgufTensors::files`.
    file: usize,
    kind: TensorType,
    stored: StoredTensor,
}

impl Place {
    /// # Errors
    /// If its type has no reader, or the file ends before it does.
    fn new(file: usize, stored: StoredTensor, length: u64) -> Result<Place, SourceError> {
        let name = &stored.name;
        let kind = TensorType::of(stored.kind).ok_or_else(|| {
            let kind = types::name(stored.kind);
            SourceError::Unsupported(format!("tensor {name} of type {kind}"))
        })?;
        let row = stored.shape.last().copied().unwrap_or(1);
        if !row.is_multiple_of(kind.block_values()) {
            return Err(SourceError::Invalid(format!(
                "the rows of tensor {name} are {row} wide, but its type has blocks of {}",
                kind.block_values()
            )));
        }
        let place = Place { file, kind, stored };
        let end = place.stored.start.checked_add(place.bytes());
        match end.is_some_and(|end| end <= length) {
            true => Ok(place),
            false => Err(SourceError::Invalid(format!(
                "the GGUF file is truncated: it ends at byte {length}, before tensor {} does",
                place.stored.name
            ))),
        }
    }

    fn bytes(&self) -> u64 {
        (self.stored.values() / self.kind.block_values() * self.kind.block_bytes()) as u64
    }
}

impl<R: Read + Seek> GgufTensors<R> {
    /// The tensors of these files; `interleaved` tells whether the rows of rotated heads are.
    ///
    /// # Errors
    /// If a tensor cannot be read, or there are two of a name.
    pub(super) fn new(
        files: Vec<(R, Structure)>,
        interleaved: bool,
    ) -> Result<GgufTensors<R>, SourceError> {
        let mut all = GgufTensors {
            files: Vec::new(),
            tensors: BTreeMap::new(),
            interleaved,
        };
        for (number, (file, structure)) in files.into_iter().enumerate() {
            for stored in structure.tensors {
                let name = stored.name.clone();
                let place = Place::new(number, stored, structure.length)?;
                if all.tensors.contains_key(&name) {
                    return Err(SourceError::Invalid(format!(
                        "the GGUF file has tensor {name} twice"
                    )));
                }
                all.tensors.insert(name, place);
            }
            all.files.push(file);
        }
        Ok(all)
    }

    pub(super) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        Some(self.tensors.get(name)?.stored.shape.clone())
    }

    /// Numbers in all tensors but those that are `unused`.
    pub(super) fn parameters(&self, unused: impl Fn(&str) -> bool) -> u64 {
        let used = self.tensors.values().filter(|it| !unused(&it.stored.name));
        used.map(|place| place.stored.values() as u64).sum()
    }

    /// The values of a tensor; `None` if there is none of that name.
    pub(super) fn values(&mut self, name: &str) -> Result<Option<Vec<f32>>, PackedError> {
        let Some(place) = self.tensors.get(name) else {
            return Ok(None);
        };
        let fail = |reason: String| PackedError::Source {
            name: name.to_owned(),
            reason,
        };
        let mut values = Vec::new();
        memory::reserve(&mut values, "a tensor", place.stored.values())?;
        let file = &mut self.files[place.file];
        let block = place.kind.block_bytes();
        let (start, len) = (place.stored.start, place.bytes());
        pieces::read(file, start, len, block, |bytes| {
            place.kind.append(bytes, &mut values)
        })
        .map_err(|error| match error {
            candle_core::Error::Io(error) => fail(error.to_string()),
            _ => fail("its values cannot be read".to_owned()),
        })?;
        Ok(Some(values))
    }
}

/// Puts the interleaved rows of each head back into two halves: row `2i + s` of a head becomes row
/// `s * half + i`. `row` is the number of values of one.
pub(super) fn deinterleave(values: &[f32], row: usize, heads: usize) -> Vec<f32> {
    let head = values.len() / heads;
    let half = head / row / 2;
    let mut out = Vec::with_capacity(values.len());
    for head in values.chunks_exact(head) {
        for side in 0..2 {
            for pair in 0..half {
                out.extend_from_slice(&head[(2 * pair + side) * row..][..row]);
            }
        }
    }
    out
}

impl<R: Read + Seek> TensorSource for GgufTensors<R> {
    fn tensor(&mut self, tensor: &SourceTensor) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        let name = &tensor.gguf;
        let fail = |reason: String| PackedError::Source {
            name: name.to_owned(),
            reason,
        };
        let shape = self.shape(name).ok_or_else(|| fail("missing".to_owned()))?;
        let values = self.values(name)?.unwrap_or_default();
        let Some(heads) = tensor.rotary_heads.filter(|_| self.interleaved) else {
            return Ok((shape, values));
        };
        let row = shape.get(1).copied().unwrap_or(1);
        if row == 0 || heads == 0 || !values.len().is_multiple_of(row * heads * 2) {
            return Err(fail(format!("{shape:?} does not split into {heads} heads")));
        }
        Ok((shape, deinterleave(&values, row, heads)))
    }
}
