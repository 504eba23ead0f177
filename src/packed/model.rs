//! A packed model, opened.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use super::description::{parse_config, read_header};
use super::layout::{METADATA_KEY, scored_rows, stored_tensors};
use super::quantize::padded_rows;
use super::{BOUNDED, MAX_HEADER_LEN, MAX_SCALE, PackedError, TokenTable, is_bounded};
use crate::arch::config::{GROUP, TILE};
use crate::arch::rope::RotarySteps;
use crate::arch::{Config, Family, Tensor};
use crate::machine::pages::Pages;
use crate::machine::regular_file;

/// A quantised matrix of a packed model, in the layout described in [`crate::packed::quantize`].
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// `ceil(rows/16)` tiles of `Kpad/4` lines of 64 bytes.
    pub tiles: &'a [u8],
    /// One scale for each output row; `ceil(rows/16) * 16` of them.
    pub scales: &'a [f32],
    /// One bias for each output row (`rows` of them), if the matrix has any.
    pub bias: Option<&'a [f32]>,
    /// Output rows.
    pub rows: usize,
    /// Inner dimension.
    pub columns: usize,
}

impl<'a> Matrix<'a> {
    /// Some of the rows, without bias. They begin with a tile.
    ///
    /// # Panics
    /// If they do not, or are not rows of this matrix.
    pub(crate) fn part(&self, rows: Range<usize>) -> Matrix<'a> {
        assert!(rows.start.is_multiple_of(TILE) && rows.end <= self.rows);
        let end = padded_rows(rows.end);
        let bytes = self.columns.next_multiple_of(GROUP);
        Matrix {
            tiles: &self.tiles[rows.start * bytes..end * bytes],
            scales: &self.scales[rows.start..end],
            bias: None,
            rows: rows.len(),
            columns: self.columns,
        }
    }
}

/// Which of the matrices of a model: quicker to find than by name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MatrixIndex(usize);

/// A packed model in memory.
///
/// A file is read whole, not mapped: what was hashed is what is used, whatever happens to the file
/// later. The int8 weights and the bytes of the tokens stay where they lie in it; the few numbers
/// of other types are copied out, so that nothing depends on how the file is aligned.
#[derive(Debug)]
pub struct PackedModel {
    storage: Storage,
    config: Config,
    family: &'static Family,
    matrices: Vec<StoredMatrix>,
    /// By stored name.
    vectors: BTreeMap<String, Vec<f32>>,
    token_bytes: Range<usize>,
    token_offsets: Vec<u32>,
    merges: Vec<(u32, u32)>,
    steps: RotarySteps,
    scores: Vec<f32>,
    identity: OnceLock<[u8; 32]>,
}

/// The bytes of a packed file, wherever they lie.
#[derive(Debug)]
enum Storage {
    Read(Pages),
    Static(&'static [u8]),
    Owned(Vec<u8>),
}

#[derive(Debug)]
struct StoredMatrix {
    name: String,
    tiles: Range<usize>,
    scales: Vec<f32>,
    bias: Option<Vec<f32>>,
    rows: usize,
    columns: usize,
}

impl PackedModel {
    /// Reads the file at `path`, hashes it on the way, and checks every weight.
    ///
    /// # Errors
    /// If the file cannot be read or is not a packed model, or holds a value that the format
    /// forbids.
    pub fn open(path: impl AsRef<Path>) -> Result<PackedModel, PackedError> {
        Self::read(&regular_file::open(path.as_ref())?, None)
    }

    /// As [`PackedModel::open`], for a file that should have this identity. A model with a known
    /// identity was checked when that became known, so its weights are not checked again.
    ///
    /// # Errors
    /// As [`PackedModel::open`], and [`PackedError::Damaged`] if the file has another.
    pub fn open_with_identity(
        path: impl AsRef<Path>,
        identity: [u8; 32],
    ) -> Result<PackedModel, PackedError> {
        Self::read(&regular_file::open(path.as_ref())?, Some(identity))
    }

    /// As [`PackedModel::open`], for a file that is open for reading.
    ///
    /// # Errors
    /// As [`PackedModel::open`].
    pub fn from_file(mut file: &File) -> Result<PackedModel, PackedError> {
        file.rewind()?;
        Self::read(file, None)
    }

    fn read(file: &File, expected: Option<[u8; 32]>) -> Result<PackedModel, PackedError> {
        expect_no_more(file).map_err(|error| match (expected, error) {
            (None, error) | (_, error @ PackedError::Io(_)) => error,
            (Some(_), _) => PackedError::Damaged,
        })?;
        let (pages, identity) = read_and_hash(file)?;
        if expected.is_some_and(|expected| expected != identity) {
            return Err(PackedError::Damaged);
        }
        let mut model = Self::from_storage(Storage::Read(pages))?;
        model.identity = OnceLock::from(identity);
        // What has a known identity was verified when that became known.
        if expected.is_none() {
            model.verify()?;
        }
        Ok(model)
    }

    /// A model that is part of the binary.
    ///
    /// # Errors
    /// If the bytes are not a packed model.
    pub fn from_static(bytes: &'static [u8]) -> Result<PackedModel, PackedError> {
        Self::from_storage(Storage::Static(bytes))
    }

    /// A copy of a model in memory.
    ///
    /// # Errors
    /// If the bytes are not a packed model.
    pub fn from_bytes(bytes: &[u8]) -> Result<PackedModel, PackedError> {
        Self::from_storage(Storage::Owned(bytes.to_vec()))
    }

    fn from_storage(storage: Storage) -> Result<PackedModel, PackedError> {
        let (config, header) = Header::read(storage.bytes())?;
        config.validate()?;
        let family = config.family()?;
        header.check(family, &config)?;
        let (mut matrices, mut vectors) = (Vec::new(), BTreeMap::new());
        for tensor in family.tensors(&config) {
            match tensor.columns {
                Some(columns) => matrices.push(header.matrix(&tensor, columns)?),
                None => {
                    let bias = tensor.bias.then_some("bias");
                    for ending in std::iter::once("weight").chain(bias) {
                        let name = format!("{}.{ending}", tensor.name);
                        let values = header.floats(&name)?;
                        vectors.insert(name, values);
                    }
                }
            }
        }
        let merges = header.numbers("token.merges", u32::from_le_bytes)?;
        let scores = match scored_rows(&config) {
            0 => Vec::new(),
            _ => header.floats("token.scores")?,
        };
        let model = PackedModel {
            family,
            matrices,
            vectors,
            token_bytes: header.tensor("token.bytes")?.range.clone(),
            token_offsets: header.numbers("token.offsets", u32::from_le_bytes)?,
            merges: merges
                .chunks_exact(2)
                .map(|pair| (pair[0], pair[1]))
                .collect(),
            steps: RotarySteps {
                all: header.numbers("rope.steps", u64::from_le_bytes)?,
                local: match config.block.has_own_steps() {
                    true => header.numbers("rope.local_steps", u64::from_le_bytes)?,
                    false => Vec::new(),
                },
            },
            config,
            scores,
            identity: OnceLock::new(),
            storage,
        };
        model.check_tokens()?;
        Ok(model)
    }

    /// BLAKE3 of the packed file; computed on first use unless it was given.
    pub fn identity(&self) -> [u8; 32] {
        *self.identity.get_or_init(|| self.hash())
    }

    /// BLAKE3 of the packed file, computed now.
    pub fn hash(&self) -> [u8; 32] {
        *blake3::hash(self.storage.bytes()).as_bytes()
    }

    /// Sizes and options of the model.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The family of the model.
    pub fn family(&self) -> &'static Family {
        self.family
    }

    /// Size of the packed file in bytes.
    pub fn size(&self) -> usize {
        self.storage.bytes().len()
    }

    /// The quantised matrix called `name`, without ending.
    ///
    /// # Errors
    /// If the model has no such matrix.
    pub fn matrix(&self, name: &str) -> Result<Matrix<'_>, PackedError> {
        self.find_matrix(name).map(|index| self.matrix_at(index))
    }

    /// Finds the matrix called `name` for [`PackedModel::matrix_at`].
    ///
    /// # Errors
    /// If the model has no such matrix.
    pub(crate) fn find_matrix(&self, name: &str) -> Result<MatrixIndex, PackedError> {
        let index = self.matrices.iter().position(|matrix| matrix.name == name);
        index
            .map(MatrixIndex)
            .ok_or_else(|| missing(name, "a matrix"))
    }

    /// The matrix that [`PackedModel::find_matrix`] found in this model.
    pub(crate) fn matrix_at(&self, index: MatrixIndex) -> Matrix<'_> {
        let stored = &self.matrices[index.0];
        Matrix {
            tiles: &self.storage.bytes()[stored.tiles.clone()],
            scales: &stored.scales,
            bias: stored.bias.as_deref(),
            rows: stored.rows,
            columns: stored.columns,
        }
    }

    /// The vector of floats called `name`, with its ending.
    ///
    /// # Errors
    /// If the model has no such vector.
    pub fn floats(&self, name: &str) -> Result<&[f32], PackedError> {
        let values = self.vectors.get(name);
        values
            .map(Vec::as_slice)
            .ok_or_else(|| missing(name, "a vector"))
    }

    /// The bytes of every output row.
    pub fn tokens(&self) -> TokenTable<'_> {
        // Checked when the model was opened.
        TokenTable {
            bytes: &self.storage.bytes()[self.token_bytes.clone()],
            offsets: &self.token_offsets,
        }
    }

    /// Pairs of output rows that merge, in order of priority.
    pub fn merges(&self) -> impl ExactSizeIterator<Item = (u32, u32)> + '_ {
        self.merges.iter().copied()
    }

    /// Rotary steps.
    pub fn steps(&self) -> &RotarySteps {
        &self.steps
    }

    /// The rotary steps of one layer, all 0 if it does not rotate: `[head_dim / 2]`.
    pub fn steps_of(&self, layer: usize) -> Vec<u64> {
        self.steps.of_layer(&self.config.block, layer)
    }

    /// The score of every output row; empty unless text is cut by `Unigram`.
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// Reads every weight and checks what the format promises about it.
    ///
    /// # Errors
    /// [`PackedError::Value`] names the tensor and the value that is wrong.
    pub fn verify(&self) -> Result<(), PackedError> {
        let bad_float = |values: &[f32]| values.iter().find(|value| !is_bounded(**value)).copied();
        for (index, StoredMatrix { name, .. }) in self.matrices.iter().enumerate() {
            let matrix = self.matrix_at(MatrixIndex(index));
            if matrix.tiles.contains(&0) {
                let name = format!("{name}.weight");
                return Err(PackedError::value(&name, "-128", "-127 to 127"));
            }
            let is_scale = |scale: &f32| (0.0..=MAX_SCALE).contains(scale);
            if let Some(bad) = matrix.scales.iter().find(|scale| !is_scale(scale)) {
                let name = format!("{name}.scale");
                return Err(PackedError::value(&name, bad, "0 to 1024"));
            }
            if let Some(bad) = bad_float(matrix.bias.unwrap_or_default()) {
                let name = format!("{name}.bias");
                return Err(PackedError::value(&name, bad, BOUNDED));
            }
        }
        for (name, values) in &self.vectors {
            if let Some(bad) = bad_float(values) {
                return Err(PackedError::value(name, bad, BOUNDED));
            }
            // A recurrence with a negative rate would grow.
            let is_rate = name.ends_with(".recurrent_rate.weight");
            if let Some(bad) = values.iter().find(|value| is_rate && **value < 0.0) {
                return Err(PackedError::value(name, bad, "0 to 65536"));
            }
        }
        Ok(())
    }

    /// The bytes of tokens make a table, merges name its rows, and scores are bounded.
    fn check_tokens(&self) -> Result<(), PackedError> {
        let table = self.tokens();
        TokenTable::new(table.bytes, table.offsets)?;
        let rows = table.len() as u32;
        let is_row = |(left, right): &(u32, u32)| *left < rows && *right < rows;
        if let Some((left, right)) = self.merges.iter().find(|pair| !is_row(pair)) {
            let (got, want) = (format!("{left} and {right}"), "rows of the token table");
            return Err(PackedError::value("token.merges", got, want));
        }
        match self.scores.iter().find(|score| !is_bounded(**score)) {
            None => Ok(()),
            Some(bad) => Err(PackedError::value("token.scores", bad, BOUNDED)),
        }
    }
}

/// Refuses a file that is longer than its header says, which could take for ever to read.
fn expect_no_more(mut file: &File) -> Result<(), PackedError> {
    let len = file.metadata()?.len();
    let header = read_header(&mut file.try_clone()?)?.ok_or(SafeTensorError::HeaderTooLarge)?;
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|error| PackedError::json(&error))?;
    file.rewind()?;
    let described = (8 + header.len() as u64).saturating_add(metadata.data_len() as u64);
    match len > described {
        true => Err(SafeTensorError::MetadataIncompleteBuffer.into()),
        false => Ok(()),
    }
}

/// Reads a file from its start; gives its bytes and their BLAKE3 hash.
fn read_and_hash(mut file: &File) -> Result<(Pages, [u8; 32]), PackedError> {
    /// Hashed while they are in the cache of the core that read them.
    const CHUNK: usize = 1 << 18;
    let len = file.metadata()?.len();
    let mut start = [0; 8];
    file.read_exact(&mut start)?;
    if u64::from_le_bytes(start) > len.min(MAX_HEADER_LEN) {
        return Err(SafeTensorError::HeaderTooLarge.into());
    }
    let mut pages = Pages::zeroed("the model", usize::try_from(len).unwrap_or(usize::MAX))?;
    file.rewind()?;
    let mut hasher = blake3::Hasher::new();
    for chunk in pages.all_mut().chunks_mut(CHUNK) {
        file.read_exact(chunk).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => PackedError::Changed,
            _ => error.into(),
        })?;
        hasher.update(chunk);
    }
    Ok((pages, *hasher.finalize().as_bytes()))
}

fn missing(name: &str, want: &str) -> PackedError {
    PackedError::tensor(name, "missing", want)
}

impl Storage {
    fn bytes(&self) -> &[u8] {
        match self {
            Storage::Read(pages) => pages,
            Storage::Static(bytes) => bytes,
            Storage::Owned(bytes) => bytes,
        }
    }
}

/// The tensors that a file declares.
struct Header<'a> {
    bytes: &'a [u8],
    tensors: BTreeMap<String, Declared>,
}

struct Declared {
    dtype: Dtype,
    shape: Vec<usize>,
    /// Its bytes within the file.
    range: Range<usize>,
}

impl<'a> Header<'a> {
    fn read(bytes: &'a [u8]) -> Result<(Config, Header<'a>), PackedError> {
        let (header, metadata) = SafeTensors::read_metadata(bytes)?;
        let config = parse_config(match metadata.metadata() {
            Some(map) if map.len() == 1 => map.get(METADATA_KEY),
            _ => None,
        })?;
        let start = 8 + header;
        let declared = metadata.tensors().into_iter().map(|(name, info)| {
            let range = start + info.data_offsets.0..start + info.data_offsets.1;
            let (dtype, shape) = (info.dtype, info.shape.clone());
            (
                name,
                Declared {
                    dtype,
                    shape,
                    range,
                },
            )
        });
        let tensors = declared.collect();
        Ok((config, Header { bytes, tensors }))
    }

    /// Every tensor that the configuration asks for is there with its type and shape, and no other.
    fn check(&self, family: &Family, config: &Config) -> Result<(), PackedError> {
        let length = |name: &str| {
            let shape = self.tensors.get(name).map(|tensor| &tensor.shape);
            shape.and_then(|shape| shape.first()).copied().unwrap_or(0)
        };
        let (token_bytes, merges) = (length("token.bytes"), length("token.merges"));
        let wanted = stored_tensors(family, config, token_bytes, merges);
        for tensor in &wanted {
            let found = self.tensors.get(&tensor.name);
            if !found.is_some_and(|it| it.dtype == tensor.dtype && it.shape == tensor.shape) {
                let got = found.map_or("missing".into(), Declared::to_string);
                let want = format!("{:?} {:?}", tensor.dtype, tensor.shape);
                return Err(PackedError::tensor(&tensor.name, got, want));
            }
        }
        let names: HashSet<&String> = wanted.iter().map(|tensor| &tensor.name).collect();
        match self.tensors.iter().find(|(name, _)| !names.contains(name)) {
            Some((name, extra)) => Err(PackedError::tensor(name, extra.to_string(), "absent")),
            None => Ok(()),
        }
    }

    fn tensor(&self, name: &str) -> Result<&Declared, PackedError> {
        let found = self.tensors.get(name);
        found.ok_or_else(|| missing(name, "present"))
    }

    /// The values of a tensor whose elements are `N` bytes long.
    fn numbers<const N: usize, T>(
        &self,
        name: &str,
        number: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, PackedError> {
        let (elements, _) = self.bytes[self.tensor(name)?.range.clone()].as_chunks::<N>();
        Ok(elements.iter().map(|&element| number(element)).collect())
    }

    fn floats(&self, name: &str) -> Result<Vec<f32>, PackedError> {
        self.numbers(name, f32::from_le_bytes)
    }

    fn matrix(&self, tensor: &Tensor, columns: usize) -> Result<StoredMatrix, PackedError> {
        let name = &tensor.name;
        let bias = tensor.bias.then(|| self.floats(&format!("{name}.bias")));
        Ok(StoredMatrix {
            tiles: self.tensor(&format!("{name}.weight"))?.range.clone(),
            scales: self.floats(&format!("{name}.scale"))?,
            bias: bias.transpose()?,
            name: name.clone(),
            rows: tensor.rows,
            columns,
        })
    }
}

impl std::fmt::Display for Declared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.dtype, self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::super::random;
    use super::*;
    use crate::arch::config::tests::tiny;
    use crate::arch::{Algorithm, Segmentation};

    #[test]
    fn a_random_model_of_each_variant_packs_opens_and_verifies() {
        for bits in 0..16 {
            let is = |bit: usize| bits >> bit & 1 == 1;
            let segmentation = Segmentation {
                algorithm: if is(3) {
                    Algorithm::Unigram
                } else {
                    Algorithm::Bpe
                },
                added: vec![1, 4],
                ..Segmentation::default()
            };
            let config = Config {
                segmentation,
                tied: is(0),
                attention_bias: is(1),
                qk_norm: is(2),
                ..tiny()
            };
            let model = PackedModel::from_bytes(&random::model(&config)).unwrap();
            model.verify().unwrap();
            assert_eq!(model.config(), &config);
            assert_eq!(model.scores(), random::scores(&config));
            assert_eq!(model.scores().is_empty(), !is(3));
            assert_eq!(model.matrix("head").is_err(), config.tied);
            let qkv = model.matrix("layer.1.qkv").unwrap();
            assert_eq!(
                qkv.bias.map(<[f32]>::len),
                config.attention_bias.then_some(160)
            );
            assert_eq!(
                model.floats("layer.1.k_norm.weight").is_ok(),
                config.qk_norm
            );
        }
    }

    #[test]
    fn a_model_may_lie_at_any_address() {
        let good = random::model(&tiny());
        let shifted: &'static [u8] = [&[0], &good[..]].concat().leak();
        let model = PackedModel::from_static(&shifted[1..]).unwrap();
        model.verify().unwrap();
        assert_eq!(
            model.identity(),
            PackedModel::from_bytes(&good).unwrap().hash()
        );
    }

    #[test]
    fn damaged_files_are_refused_and_never_panic() {
        let good = random::model(&tiny());
        for len in (0..good.len()).step_by(101) {
            assert!(
                PackedModel::from_bytes(&good[..len]).is_err(),
                "truncated to {len}"
            );
        }
        let mut bad = good.clone();
        let at = good
            .windows(7)
            .position(|window| window == b":72,\\\"l")
            .unwrap();
        bad[at + 2] = b'3';
        assert!(matches!(
            PackedModel::from_bytes(&bad),
            Err(PackedError::Tensor { .. })
        ));
    }

    #[test]
    fn verify_finds_what_opening_does_not_read() {
        let good = random::model(&tiny());
        let (_, header) = Header::read(&good).unwrap();
        let start = |name: &str| header.tensor(name).unwrap().range.start;
        for (at, value) in [
            (start("layer.0.down.weight"), &[0u8][..]),
            (start("layer.0.down.scale"), &f32::NAN.to_le_bytes()),
            (
                start("layer.0.ffn_norm.weight"),
                &f32::INFINITY.to_le_bytes(),
            ),
        ] {
            let mut bad = good.clone();
            bad[at..at + value.len()].copy_from_slice(value);
            let bad = PackedModel::from_bytes(&bad).unwrap();
            assert!(
                matches!(bad.verify(), Err(PackedError::Value { .. })),
                "at {at}"
            );
        }
    }
}
