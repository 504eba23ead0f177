//! The weights of an open GGUF file, or of the files of a set.

use super::structure::{StoredTensor, Structure};
use super::types::{self, TensorType};
use crate::import::arranged::StoredTensors;
use crate::import::{SourceError, pieces};
use crate::machine::memory;
use crate::packed::PackedError;
use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::ops::Range;

/// Rows that are compared at once.
const ROWS: usize = 256;

/// The tensors of the files that make up a model.
pub(super) struct GgufTensors<R> {
    files: Vec<R>,
    /// By name.
    tensors: BTreeMap<String, Place>,
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

    /// Whether a value takes at least 4 bits. In the wide steps of fewer bits, another matrix may
    /// be as near as what was rounded.
    fn has_fine_steps(&self) -> bool {
        2 * self.bytes() >= self.stored.values() as u64
    }

    fn range(&self) -> Range<u64> {
        self.stored.start..self.stored.start + self.bytes()
    }
}

impl<R: Read + Seek> GgufTensors<R> {
    /// The tensors of these files.
    ///
    /// # Errors
    /// If a tensor cannot be read, or there are two of a name.
    pub(super) fn new(files: Vec<(R, Structure)>) -> Result<GgufTensors<R>, SourceError> {
        let mut all = GgufTensors {
            files: Vec::new(),
            tensors: BTreeMap::new(),
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

    pub(super) fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    /// Numbers in all tensors but those that are `unused`.
    pub(super) fn parameters(&self, unused: impl Fn(&str) -> bool) -> u64 {
        let used = self.tensors.values().filter(|it| !unused(&it.stored.name));
        used.map(|place| place.stored.values() as u64).sum()
    }

    /// Makes `head` and `embedding` one tensor, called `embedding`, if both are quantisations of
    /// one matrix: the finer of the two. Where a model has one matrix for both, some converters
    /// store it twice, and llama.cpp quantises each in its own way.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(super) fn merge_copies(&mut self, head: &str, embedding: &str) -> Result<(), PackedError> {
        let places = self.tensors.get(head).zip(self.tensors.get(embedding));
        let Some((one, other)) =
            places.filter(|(one, other)| one.stored.shape == other.stored.shape)
        else {
            return Ok(());
        };
        // Of equal ones llama.cpp takes more care of the head.
        let is_finer = one.bytes() >= other.bytes();
        let (fine, coarse) = if is_finer {
            (head, embedding)
        } else {
            (embedding, head)
        };
        if !self.tensors[coarse].has_fine_steps() || !self.are_copies(coarse, fine)? {
            return Ok(());
        }
        let head = self.tensors.remove(head);
        if let Some(place) = head.filter(|_| is_finer) {
            self.tensors.insert(embedding.to_owned(), place);
        }
        Ok(())
    }

    /// Whether each row of `coarse` is that of `fine`, but for what quantising it has lost. Rows of
    /// other matrices differ from the first on.
    fn are_copies(&mut self, coarse: &str, fine: &str) -> Result<bool, PackedError> {
        let place = &self.tensors[coarse];
        let kind = place.kind;
        let (rows, width) = match place.stored.shape[..] {
            [rows, width] if width > 0 => (rows, width),
            _ => return Ok(false),
        };
        for first in (0..rows).step_by(ROWS) {
            let some = first..rows.min(first + ROWS);
            let coarse = self.rows(coarse, some.clone())?;
            let fine = self.rows(fine, some)?;
            let mut pairs = coarse.chunks_exact(width).zip(fine.chunks_exact(width));
            if !pairs.all(|(coarse, fine)| kind.may_round_to(coarse, fine)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Some rows of a matrix.
    fn rows(&mut self, name: &str, rows: Range<usize>) -> Result<Vec<f32>, PackedError> {
        let place = &self.tensors[name];
        let [all, width] = [0, 1].map(|index| place.stored.shape[index]);
        let (start, row) = (place.range().start, place.bytes() / all.max(1) as u64);
        let range = start + rows.start as u64 * row..start + rows.end as u64 * row;
        self.values_in(name, range, rows.len() * width, Vec::new())
    }

    /// The `count` values that a tensor has in a stretch of its file, in place of what `values`
    /// hold.
    fn values_in(
        &mut self,
        name: &str,
        range: Range<u64>,
        count: usize,
        mut values: Vec<f32>,
    ) -> Result<Vec<f32>, PackedError> {
        let place = &self.tensors[name];
        values.clear();
        memory::reserve(&mut values, "a tensor", count)?;
        let (file, block) = (&mut self.files[place.file], place.kind.block_bytes());
        let len = range.end - range.start;
        pieces::read(file, range.start, len, block, |bytes| {
            place.kind.append(bytes, &mut values)
        })
        .map_err(|error| PackedError::Source {
            name: name.to_owned(),
            reason: match error {
                candle_core::Error::Io(error) => error.to_string(),
                _ => "its values cannot be read".to_owned(),
            },
        })?;
        Ok(values)
    }

    /// The values of a tensor; `None` if there is none of that name.
    pub(super) fn values(&mut self, name: &str) -> Result<Option<Vec<f32>>, PackedError> {
        match self.tensors.contains_key(name) {
            true => Ok(Some(self.read(name, None, Vec::new())?.1)),
            false => Ok(None),
        }
    }
}

impl<R: Read + Seek> StoredTensors for GgufTensors<R> {
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
        let place = self.tensors.get(name).ok_or_else(|| fail("missing"))?;
        let part = pieces::part(&place.stored.shape, place.range(), index);
        let (shape, range) = part.ok_or_else(|| fail("not one matrix for each expert"))?;
        let shape = shape.to_vec();
        let values = self.values_in(name, range, shape.iter().product(), spare)?;
        Ok((shape, values))
    }
}
