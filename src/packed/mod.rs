//! The packed model: one safetensors file with everything that coding needs, and the way to write it.
//!
//! The file is a function of the model alone: one metadata key, tensors in a fixed order, no names, paths or dates. Its
//! BLAKE3 hash is the model's identity. The header is padded with spaces so that every weight line of 64 bytes is
//! aligned when the file is mapped.
//!
//! Opening checks everything that memory safety and the coder rest on: names, types, shapes, the token table.
//! [`PackedModel::verify`] reads the weights themselves.

pub mod quantize;

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use memmap2::{Mmap, MmapMut};
use safetensors::{Dtype, SafeTensors};

use crate::arch::config::{Config, ConfigError, Part};
use crate::arch::rope::Rope;
use crate::packed::quantize::{padded_rows, quantize_row, tiled_len};

/// Metadata key that holds the configuration.
const METADATA_KEY: &str = "llmzip";
/// Largest scale of a sound model; keeps every intermediate of the engine finite.
const MAX_SCALE: f32 = 1024.0;
/// Largest magnitude of a norm weight or bias of a sound model.
const MAX_FLOAT: f32 = 65536.0;
/// Alignment of weight lines in the file.
const ALIGN: usize = 64;

/// A packed model that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackedError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file is not a safetensors file.
    #[error("not a packed model: {0}")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// The configuration is missing or not JSON.
    #[error("not a packed model: no configuration ({0})")]
    Metadata(String),
    /// The configuration is outside what the engine runs.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor is missing, unexpected or has another type or shape.
    #[error("packed model: tensor {name} is {got}, expected {want}")]
    Tensor {
        /// Tensor name.
        name: String,
        /// What was found.
        got: String,
        /// What the configuration asks for.
        want: String,
    },
    /// A tensor holds a value that the format forbids.
    #[error("packed model: {name} holds {got}, expected {want}")]
    Value {
        /// Tensor name.
        name: String,
        /// What was found.
        got: String,
        /// What the format allows.
        want: &'static str,
    },
    /// The source of the weights failed.
    #[error("{name}: {reason}")]
    Source {
        /// Tensor name in the source.
        name: String,
        /// Why it could not be read.
        reason: String,
    },
}

/// Where unquantised weights come from, under Hugging Face names (`model.layers.0.self_attn.q_proj.weight`).
///
/// Rows of the embedding and of the head are in the order of the source's token ids.
pub trait TensorSource {
    /// Shape and values, row-major, of the tensor called `name`.
    ///
    /// # Errors
    /// [`PackedError::Source`] if there is no such tensor or it cannot be read.
    fn tensor(&mut self, name: &str) -> Result<(Vec<usize>, Vec<f32>), PackedError>;

    /// Whether there is a tensor called `name`.
    fn has(&self, name: &str) -> bool;
}

/// Everything that [`pack`] needs besides the weights.
#[derive(Clone, Copy, Debug)]
pub struct PackInput<'a> {
    /// Shape of the model.
    pub config: &'a Config,
    /// Rotary embedding.
    pub rope: Rope,
    /// Bytes of every output row, strictly ascending, none empty; `config.vocab` of them.
    pub tokens: &'a [Vec<u8>],
    /// Source token id of every input row; `config.inputs` of them.
    pub rows: &'a [u32],
    /// Pairs of output rows that merge, in order of priority.
    pub merges: &'a [(u32, u32)],
}

/// A quantised matrix of a packed model, in the layout described in [`crate::packed::quantize`].
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// `ceil(rows/16)` tiles of `Kpad/4` lines of 64 bytes.
    pub tiles: &'a [u8],
    /// One scale an output row; `ceil(rows/16) * 16` of them.
    pub scales: &'a [f32],
    /// One bias an output row (`rows` of them), if the matrix has any.
    pub bias: Option<&'a [f32]>,
    /// Output rows.
    pub rows: usize,
    /// Inner dimension.
    pub columns: usize,
}

/// Where a matrix lies in the file of a packed model.
#[derive(Clone, Debug)]
pub struct Place {
    tiles: Range<usize>,
    scales: Range<usize>,
    bias: Option<Range<usize>>,
    rows: usize,
    columns: usize,
}

/// The bytes of every token, ascending.
#[derive(Clone, Copy, Debug)]
pub struct TokenTable<'a> {
    bytes: &'a [u8],
    offsets: &'a [u32],
}

impl<'a> TokenTable<'a> {
    /// A table whose row r is `bytes[offsets[r]..offsets[r + 1]]`: strictly ascending, none empty.
    pub fn new(bytes: &'a [u8], offsets: &'a [u32]) -> TokenTable<'a> {
        TokenTable { bytes, offsets }
    }

    /// Whether each of the 256 bytes is a token by itself.
    pub fn has_every_byte(&self) -> bool {
        (0..=u8::MAX).all(|byte| self.find(&[byte]).is_some())
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no token; never so in an opened model.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of output row `row`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn bytes(&self, row: u32) -> &'a [u8] {
        let row = row as usize;
        &self.bytes[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    /// The row whose bytes are exactly `bytes`.
    pub fn find(&self, bytes: &[u8]) -> Option<u32> {
        let (mut low, mut high) = (0, self.len() as u32);
        while low < high {
            let middle = low.midpoint(high);
            match self.bytes(middle).cmp(bytes) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}

/// The bytes of a packed file, wherever they lie; always aligned for f32 and u64.
#[derive(Debug)]
enum Storage {
    Mapped(Mmap),
    Static(&'static [u8]),
    Owned { words: Vec<u64>, len: usize },
}

impl Storage {
    /// A copy with the alignment that the tensors need.
    fn copy(bytes: &[u8]) -> Storage {
        let mut words: Vec<u64> = bytes
            .chunks(8)
            .map(|chunk| u64::from_ne_bytes(std::array::from_fn(|i| *chunk.get(i).unwrap_or(&0))))
            .collect();
        words.shrink_to_fit();
        Storage::Owned {
            words,
            len: bytes.len(),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Storage::Mapped(map) => map,
            Storage::Static(bytes) => bytes,
            // SAFETY: u64 has no padding and any byte is a valid u8; `len` is at most the length of `words` in bytes.
            Storage::Owned { words, len } => unsafe {
                std::slice::from_raw_parts(words.as_ptr().cast(), *len)
            },
        }
    }
}

#[derive(Debug)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    range: Range<usize>,
}

/// A packed model in memory or mapped from a file.
#[derive(Debug)]
pub struct PackedModel {
    storage: Storage,
    config: Config,
    entries: BTreeMap<String, Entry>,
    identity: OnceLock<[u8; 32]>,
}

impl PackedModel {
    /// Maps the file at `path`. The file must not change while it is open.
    ///
    /// # Errors
    /// If the file cannot be mapped or is not a packed model.
    pub fn open(path: impl AsRef<Path>) -> Result<PackedModel, PackedError> {
        let file = File::open(path)?;
        // SAFETY: packed models are written once, under a temporary name, and only then renamed to their place.
        let map = unsafe { Mmap::map(&file)? };
        Self::from_storage(Storage::Mapped(map))
    }

    /// As [`PackedModel::open`], for a file whose identity the caller already knows and trusts.
    ///
    /// # Errors
    /// As [`PackedModel::open`].
    pub fn open_with_identity(
        path: impl AsRef<Path>,
        identity: [u8; 32],
    ) -> Result<PackedModel, PackedError> {
        let mut model = Self::open(path)?;
        model.identity = OnceLock::from(identity);
        Ok(model)
    }

    /// A model that is part of the binary. Copied if the bytes are not aligned to 8.
    ///
    /// # Errors
    /// If the bytes are not a packed model.
    pub fn from_static(bytes: &'static [u8]) -> Result<PackedModel, PackedError> {
        let aligned = (bytes.as_ptr() as usize).is_multiple_of(8);
        Self::from_storage(if aligned {
            Storage::Static(bytes)
        } else {
            Storage::copy(bytes)
        })
    }

    /// A model in memory.
    ///
    /// # Errors
    /// If the bytes are not a packed model.
    pub fn from_bytes(bytes: &[u8]) -> Result<PackedModel, PackedError> {
        Self::from_storage(Storage::copy(bytes))
    }

    fn from_storage(storage: Storage) -> Result<PackedModel, PackedError> {
        let bytes = storage.bytes();
        let (header, metadata) = SafeTensors::read_metadata(bytes)?;
        let config = match metadata.metadata() {
            Some(map) if map.len() == 1 => map.get(METADATA_KEY),
            _ => None,
        };
        let config = config
            .ok_or_else(|| PackedError::Metadata(format!("metadata has no {METADATA_KEY}")))?;
        let config: Config = serde_json::from_str(config)
            .map_err(|error| PackedError::Metadata(error.to_string()))?;
        config.validate()?;
        let start = 8 + header;
        let entries = metadata
            .tensors()
            .into_iter()
            .map(|(name, info)| {
                let range = start + info.data_offsets.0..start + info.data_offsets.1;
                (
                    name,
                    Entry {
                        dtype: info.dtype,
                        shape: info.shape.clone(),
                        range,
                    },
                )
            })
            .collect();
        let model = PackedModel {
            storage,
            config,
            entries,
            identity: OnceLock::new(),
        };
        model.check_tensors()?;
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

    /// The shape of the model.
    pub fn config(&self) -> &Config {
        &self.config
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
        self.locate(name).map(|place| self.at(&place))
    }

    /// Where the matrix called `name` lies, for [`PackedModel::at`].
    ///
    /// # Errors
    /// If the model has no such matrix.
    pub fn locate(&self, name: &str) -> Result<Place, PackedError> {
        let part = self.config.parts().into_iter().find_map(|part| match part {
            Part::Matrix {
                name: other,
                rows,
                columns,
                bias,
            } if other == name => Some((rows, columns, bias)),
            _ => None,
        });
        let (rows, columns, bias) =
            part.ok_or_else(|| self.wrong(name, "a matrix of the configuration"))?;
        let range = |ending: &str| {
            let name = format!("{name}.{ending}");
            self.entries
                .get(&name)
                .map(|entry| entry.range.clone())
                .ok_or_else(|| self.wrong(&name, "present"))
        };
        let bias = if bias { Some(range("bias")?) } else { None };
        Ok(Place {
            tiles: range("weight")?,
            scales: range("scale")?,
            bias,
            rows,
            columns,
        })
    }

    /// The matrix at a place found by [`PackedModel::locate`] in this model.
    pub fn at(&self, place: &Place) -> Matrix<'_> {
        let bytes = self.storage.bytes();
        Matrix {
            tiles: &bytes[place.tiles.clone()],
            scales: as_floats(&bytes[place.scales.clone()]),
            bias: place.bias.clone().map(|bias| as_floats(&bytes[bias])),
            rows: place.rows,
            columns: place.columns,
        }
    }

    /// The f32 tensor called `name`.
    ///
    /// # Errors
    /// If the model has no such tensor.
    pub fn floats(&self, name: &str) -> Result<&[f32], PackedError> {
        match self.entries.get(name) {
            Some(entry) if entry.dtype == Dtype::F32 => self.bytes(name).map(as_floats),
            _ => Err(self.wrong(name, "a tensor of F32")),
        }
    }

    /// The bytes of every output row.
    pub fn tokens(&self) -> TokenTable<'_> {
        // Presence, type, shape and alignment were checked when the model was opened.
        TokenTable {
            bytes: self.bytes("token.bytes").unwrap_or_default(),
            offsets: self.words("token.offsets").unwrap_or(&[0]),
        }
    }

    /// Pairs of output rows that merge, in order of priority.
    pub fn merges(&self) -> impl ExactSizeIterator<Item = (u32, u32)> + '_ {
        self.words("token.merges")
            .unwrap_or_default()
            .chunks_exact(2)
            .map(|pair| (pair[0], pair[1]))
    }

    /// Rotary steps, one for each pair of a head; 2^64 is one turn a position.
    pub fn rope_steps(&self) -> Vec<u64> {
        let bytes = self.bytes("rope.steps").unwrap_or_default();
        bytes
            .chunks_exact(8)
            .map(|step| u64::from_le_bytes(std::array::from_fn(|i| step[i])))
            .collect()
    }

    /// Reads every weight and checks what the format promises about it.
    ///
    /// # Errors
    /// [`PackedError::Value`] names the tensor and the value that is wrong.
    pub fn verify(&self) -> Result<(), PackedError> {
        let value = |name: &str, got: String, want| {
            Err(PackedError::Value {
                name: name.into(),
                got,
                want,
            })
        };
        for part in self.config.parts() {
            match part {
                Part::Matrix { name, .. } => {
                    let matrix = self.matrix(&name)?;
                    if matrix.tiles.contains(&0) {
                        return value(&format!("{name}.weight"), "-128".into(), "-127 to 127");
                    }
                    if let Some(bad) = matrix
                        .scales
                        .iter()
                        .find(|scale| !(0.0..=MAX_SCALE).contains(*scale))
                    {
                        return value(&format!("{name}.scale"), bad.to_string(), "0 to 1024");
                    }
                    if let Some(bad) = matrix
                        .bias
                        .unwrap_or_default()
                        .iter()
                        .find(|bias| !bounded(**bias))
                    {
                        return value(
                            &format!("{name}.bias"),
                            bad.to_string(),
                            "magnitudes up to 65536",
                        );
                    }
                }
                Part::Floats { name, .. } => {
                    if let Some(bad) = self.floats(&name)?.iter().find(|weight| !bounded(**weight))
                    {
                        return value(&name, bad.to_string(), "magnitudes up to 65536");
                    }
                }
            }
        }
        Ok(())
    }

    fn bytes(&self, name: &str) -> Result<&[u8], PackedError> {
        let entry = self
            .entries
            .get(name)
            .ok_or_else(|| self.wrong(name, "present"))?;
        Ok(&self.storage.bytes()[entry.range.clone()])
    }

    fn words(&self, name: &str) -> Result<&[u32], PackedError> {
        // SAFETY: any four bytes are a valid u32; `align_to` splits off what is not aligned, checked below.
        let (before, words, after) = unsafe { self.bytes(name)?.align_to::<u32>() };
        if before.is_empty() && after.is_empty() {
            Ok(words)
        } else {
            Err(self.wrong(name, "aligned to 4 bytes"))
        }
    }

    fn wrong(&self, name: &str, want: impl Into<String>) -> PackedError {
        let got = match self.entries.get(name) {
            Some(entry) => format!("{:?} {:?}", entry.dtype, entry.shape),
            None => "missing".into(),
        };
        PackedError::Tensor {
            name: name.into(),
            got,
            want: want.into(),
        }
    }

    /// Every tensor that the configuration asks for is there with its type and shape, and no other.
    fn check_tensors(&self) -> Result<(), PackedError> {
        let free = |name: &str, axis: usize| {
            self.entries
                .get(name)
                .and_then(|e| e.shape.get(axis))
                .copied()
                .unwrap_or(0)
        };
        let plan = plan(
            &self.config,
            free("token.bytes", 0),
            free("token.merges", 0),
        );
        for tensor in &plan {
            let found = self.entries.get(&tensor.name);
            if !found
                .is_some_and(|entry| entry.dtype == tensor.dtype && entry.shape == tensor.shape)
            {
                return Err(self.wrong(
                    &tensor.name,
                    format!("{:?} {:?}", tensor.dtype, tensor.shape),
                ));
            }
        }
        if let Some(extra) = self
            .entries
            .keys()
            .find(|name| !plan.iter().any(|tensor| tensor.name == **name))
        {
            return Err(self.wrong(extra, "absent"));
        }
        let start = self.storage.bytes().as_ptr() as usize;
        let askew = |entry: &Entry| {
            entry.dtype != Dtype::U8 && !(start + entry.range.start).is_multiple_of(4)
        };
        match self.entries.iter().find(|(_, entry)| askew(entry)) {
            Some((name, _)) => Err(self.wrong(name, "aligned to 4 bytes")),
            None => Ok(()),
        }
    }

    /// Token bytes are non-empty and strictly ascending, merges name rows.
    fn check_tokens(&self) -> Result<(), PackedError> {
        let value = |name: &str, got: String, want| {
            Err(PackedError::Value {
                name: name.into(),
                got,
                want,
            })
        };
        let (total, offsets) = (
            self.bytes("token.bytes")?.len(),
            self.words("token.offsets")?,
        );
        if offsets.first() != Some(&0) || offsets.last().map(|last| *last as usize) != Some(total) {
            return value(
                "token.offsets",
                format!("{:?} to {:?}", offsets.first(), offsets.last()),
                "all of token.bytes",
            );
        }
        if let Some(bad) = offsets.windows(2).find(|pair| pair[0] >= pair[1]) {
            return value("token.offsets", format!("{bad:?}"), "ascending offsets");
        }
        let tokens = self.tokens();
        let rows = tokens.len() as u32;
        if let Some(bad) = (1..rows).find(|row| tokens.bytes(row - 1) >= tokens.bytes(*row)) {
            return value(
                "token.bytes",
                format!("row {bad} out of order"),
                "rows in strictly ascending order",
            );
        }
        if let Some(bad) = self
            .merges()
            .find(|(left, right)| *left >= rows || *right >= rows)
        {
            return value(
                "token.merges",
                format!("{bad:?}"),
                "rows of the token table",
            );
        }
        Ok(())
    }
}

/// The f32 values in `bytes`, which begin and end at multiples of four in an aligned storage.
fn as_floats(bytes: &[u8]) -> &[f32] {
    // SAFETY: any four bytes are a valid f32; `align_to` splits off what is not aligned.
    let (before, floats, after) = unsafe { bytes.align_to::<f32>() };
    assert!(
        before.is_empty() && after.is_empty(),
        "tensors of f32 are aligned when a model is opened"
    );
    floats
}

/// Whether a norm weight or bias is a finite number that the engine accepts.
fn bounded(value: f32) -> bool {
    value.abs() <= MAX_FLOAT
}

/// One tensor of the file to be.
struct Planned {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
}

impl Planned {
    fn len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }
}

/// Every tensor of the packed file in the order it is stored: wide types first, then by name.
fn plan(config: &Config, token_bytes: usize, merges: usize) -> Vec<Planned> {
    let mut plan = Vec::new();
    let mut add =
        |name: String, dtype, shape: Vec<usize>| plan.push(Planned { name, dtype, shape });
    add("rope.steps".into(), Dtype::U64, vec![config.head_dim / 2]);
    add("token.bytes".into(), Dtype::U8, vec![token_bytes]);
    add("token.offsets".into(), Dtype::U32, vec![config.vocab + 1]);
    add("token.merges".into(), Dtype::U32, vec![merges, 2]);
    for part in config.parts() {
        match part {
            Part::Matrix {
                name,
                rows,
                columns,
                bias,
            } => {
                let tiles = rows.div_ceil(16);
                add(
                    format!("{name}.weight"),
                    Dtype::U8,
                    vec![tiles, tiled_len(rows, columns) / tiles / 64, 16, 4],
                );
                add(format!("{name}.scale"), Dtype::F32, vec![padded_rows(rows)]);
                if bias {
                    add(format!("{name}.bias"), Dtype::F32, vec![rows]);
                }
            }
            Part::Floats { name, len } => add(name, Dtype::F32, vec![len]),
        }
    }
    // `token.bytes`, the one tensor whose length is not a multiple of 64 bytes, sorts behind all weights.
    plan.sort_by(|a, b| {
        b.dtype
            .bitsize()
            .cmp(&a.dtype.bitsize())
            .then_with(|| a.name.cmp(&b.name))
    });
    plan
}

/// The file to be: header and the place of every tensor.
struct Layout {
    header: Vec<u8>,
    places: BTreeMap<String, Range<usize>>,
    len: usize,
}

impl Layout {
    fn new(config: &Config, token_bytes: usize, merges: usize) -> Result<Layout, PackedError> {
        let json = |error: serde_json::Error| PackedError::Metadata(error.to_string());
        let config_json = serde_json::to_string(config).map_err(json)?;
        let mut text = format!(
            "{{\"__metadata__\":{{\"{METADATA_KEY}\":{}}}",
            serde_json::to_string(&config_json).map_err(json)?
        );
        let (mut offset, mut places, mut before_weights) = (0, BTreeMap::new(), 0);
        for tensor in plan(config, token_bytes, merges) {
            let end = offset + tensor.len();
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
            places.insert(tensor.name, offset..end);
            offset = end;
        }
        text.push('}');
        while !(8 + text.len() + before_weights).is_multiple_of(ALIGN) {
            text.push(' ');
        }
        let mut header = (text.len() as u64).to_le_bytes().to_vec();
        header.extend_from_slice(text.as_bytes());
        for place in places.values_mut() {
            *place = header.len() + place.start..header.len() + place.end;
        }
        let len = header.len() + offset;
        Ok(Layout {
            header,
            places,
            len,
        })
    }
}

/// Packs a model into memory.
///
/// # Errors
/// If `input` is inconsistent, a tensor of `source` is missing or has the wrong shape, or a value is not finite.
pub fn pack(input: &PackInput<'_>, source: &mut dyn TensorSource) -> Result<Vec<u8>, PackedError> {
    let layout = input.layout()?;
    let mut file = vec![0; layout.len];
    fill(input, source, &layout, &mut file)?;
    Ok(file)
}

/// Packs a model into `file`, which must be open for reading and writing; memory holds one source tensor at a time.
///
/// # Errors
/// As [`pack`], and if the file cannot be written.
pub fn pack_to_file(
    input: &PackInput<'_>,
    source: &mut dyn TensorSource,
    file: &File,
) -> Result<(), PackedError> {
    let layout = input.layout()?;
    file.set_len(layout.len as u64)?;
    // SAFETY: the caller owns the file, which has no name that anybody else could have learnt.
    let mut map = unsafe { MmapMut::map_mut(file)? };
    fill(input, source, &layout, &mut map)?;
    map.flush()?;
    Ok(())
}

impl PackInput<'_> {
    fn layout(&self) -> Result<Layout, PackedError> {
        self.config.validate()?;
        let count = |name: &str, got: usize, want: usize| {
            if got == want {
                Ok(())
            } else {
                Err(PackedError::Tensor {
                    name: name.into(),
                    got: got.to_string(),
                    want: want.to_string(),
                })
            }
        };
        count("tokens", self.tokens.len(), self.config.vocab)?;
        count("rows", self.rows.len(), self.config.inputs)?;
        Layout::new(
            self.config,
            self.tokens.iter().map(Vec::len).sum(),
            self.merges.len(),
        )
    }
}

/// Writes one tensor after the other into its place.
fn fill(
    input: &PackInput<'_>,
    source: &mut dyn TensorSource,
    layout: &Layout,
    file: &mut [u8],
) -> Result<(), PackedError> {
    let config = input.config;
    file[..layout.header.len()].copy_from_slice(&layout.header);
    let mut writer = Filler {
        source,
        layout,
        file,
    };

    writer.put(
        "rope.steps",
        input
            .rope
            .steps(config.head_dim)
            .into_iter()
            .flat_map(u64::to_le_bytes),
    );
    writer.put("token.bytes", input.tokens.iter().flatten().copied());
    let mut offset = 0u32;
    let ends = input.tokens.iter().map(|token| {
        offset += token.len() as u32;
        offset
    });
    writer.put(
        "token.offsets",
        std::iter::once(0).chain(ends).flat_map(u32::to_le_bytes),
    );
    writer.put(
        "token.merges",
        input
            .merges
            .iter()
            .flat_map(|(left, right)| [*left, *right])
            .flat_map(u32::to_le_bytes),
    );

    let heads = config.heads * config.head_dim;
    let kv = config.kv_heads * config.head_dim;
    let hidden = config.hidden;
    writer.matrix(
        "embed",
        hidden,
        &[("model.embed_tokens", Rows::Listed(input.rows))],
        false,
    )?;
    if !config.tied {
        writer.matrix(
            "head",
            hidden,
            &[("lm_head", Rows::Listed(&input.rows[..config.vocab]))],
            false,
        )?;
    }
    writer.floats("final_norm.weight", "model.norm.weight", hidden)?;
    for layer in 0..config.layers {
        let to = |part: &str| format!("layer.{layer}.{part}");
        let from = |part: &str| format!("model.layers.{layer}.{part}");
        writer.floats(
            &to("attn_norm.weight"),
            &from("input_layernorm.weight"),
            hidden,
        )?;
        let (q, k, v) = (
            from("self_attn.q_proj"),
            from("self_attn.k_proj"),
            from("self_attn.v_proj"),
        );
        let parts = [
            (q.as_str(), Rows::All(heads)),
            (k.as_str(), Rows::All(kv)),
            (v.as_str(), Rows::All(kv)),
        ];
        writer.matrix(&to("qkv"), hidden, &parts, config.attention_bias)?;
        if config.qk_norm {
            writer.floats(
                &to("q_norm.weight"),
                &from("self_attn.q_norm.weight"),
                config.head_dim,
            )?;
            writer.floats(
                &to("k_norm.weight"),
                &from("self_attn.k_norm.weight"),
                config.head_dim,
            )?;
        }
        writer.matrix(
            &to("out"),
            heads,
            &[(&from("self_attn.o_proj"), Rows::All(hidden))],
            false,
        )?;
        writer.floats(
            &to("ffn_norm.weight"),
            &from("post_attention_layernorm.weight"),
            hidden,
        )?;
        let (gate, up) = (from("mlp.gate_proj"), from("mlp.up_proj"));
        let wide = config.intermediate;
        writer.matrix(
            &to("gate_up"),
            hidden,
            &[(&gate, Rows::All(wide)), (&up, Rows::All(wide))],
            false,
        )?;
        writer.matrix(
            &to("down"),
            wide,
            &[(&from("mlp.down_proj"), Rows::All(hidden))],
            false,
        )?;
    }
    Ok(())
}

/// Which rows of a source matrix to take.
enum Rows<'a> {
    All(usize),
    Listed(&'a [u32]),
}

struct Filler<'a> {
    source: &'a mut dyn TensorSource,
    layout: &'a Layout,
    file: &'a mut [u8],
}

impl Filler<'_> {
    fn place(&mut self, name: &str) -> &mut [u8] {
        &mut self.file[self.layout.places[name].clone()]
    }

    fn put(&mut self, name: &str, bytes: impl Iterator<Item = u8>) {
        for (to, from) in self.place(name).iter_mut().zip(bytes) {
            *to = from;
        }
    }

    fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, PackedError> {
        let (got, values) = self.source.tensor(name)?;
        if got != shape || values.len() != shape.iter().product::<usize>() {
            return Err(PackedError::Tensor {
                name: name.into(),
                got: format!("{got:?}"),
                want: format!("{shape:?}"),
            });
        }
        self.finite(name, &values)?;
        Ok(values)
    }

    fn finite(&self, name: &str, values: &[f32]) -> Result<(), PackedError> {
        match values.iter().find(|value| !bounded(**value)) {
            None => Ok(()),
            Some(bad) => {
                let want = "magnitudes up to 65536";
                Err(PackedError::Value {
                    name: name.into(),
                    got: bad.to_string(),
                    want,
                })
            }
        }
    }

    fn floats(&mut self, to: &str, from: &str, len: usize) -> Result<(), PackedError> {
        let values = self.read(from, &[len])?;
        self.put(to, values.into_iter().flat_map(f32::to_le_bytes));
        Ok(())
    }

    /// Quantises the stacked rows of `parts` (source names without `.weight`) into the matrix `to`.
    fn matrix(
        &mut self,
        to: &str,
        columns: usize,
        parts: &[(&str, Rows<'_>)],
        bias: bool,
    ) -> Result<(), PackedError> {
        self.place(&format!("{to}.weight")).fill(128);
        let (mut scales, mut biases) = (Vec::new(), Vec::new());
        for (from, rows) in parts {
            let name = format!("{from}.weight");
            let (shape, values) = self.source.tensor(&name)?;
            let fits = match rows {
                Rows::All(rows) => shape == [*rows, columns],
                Rows::Listed(ids) => {
                    shape.len() == 2
                        && shape[1] == columns
                        && ids.iter().all(|id| (*id as usize) < shape[0])
                }
            };
            if !fits || values.len() != shape[0] * columns {
                let want = match rows {
                    Rows::All(rows) => format!("[{rows}, {columns}]"),
                    Rows::Listed(ids) => format!("[more than {:?}, {columns}]", ids.iter().max()),
                };
                return Err(PackedError::Tensor {
                    name,
                    got: format!("{shape:?}"),
                    want,
                });
            }
            self.finite(&name, &values)?;
            let tiles = self.place(&format!("{to}.weight"));
            let mut take = |id: usize| {
                let row = scales.len();
                scales.push(quantize_row(&values[id * columns..][..columns], row, tiles));
            };
            match rows {
                Rows::All(rows) => (0..*rows).for_each(&mut take),
                Rows::Listed(ids) => ids.iter().for_each(|id| take(*id as usize)),
            }
            if bias {
                biases.extend(self.read(&format!("{from}.bias"), &[shape[0]])?);
            }
        }
        self.put(
            &format!("{to}.scale"),
            scales.into_iter().flat_map(f32::to_le_bytes),
        );
        if bias {
            self.put(
                &format!("{to}.bias"),
                biases.into_iter().flat_map(f32::to_le_bytes),
            );
        }
        Ok(())
    }
}

/// Models with random weights, for the tests of this crate.
#[cfg(test)]
pub(crate) mod random {
    use super::*;
    use crate::arch::rope::RopeScaling;

    /// Weights drawn from a small generator seeded by the tensor's name, so that order of reading does not matter.
    pub(crate) struct RandomSource {
        pub(crate) config: Config,
    }

    impl RandomSource {
        fn shape(&self, name: &str) -> Vec<usize> {
            let c = &self.config;
            let (heads, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
            let part = name
                .rsplit_once("layers.")
                .map_or(name, |(_, rest)| rest.split_once('.').unwrap().1);
            match part {
                "model.embed_tokens.weight" | "lm_head.weight" => vec![c.inputs, c.hidden],
                "self_attn.q_proj.weight" => vec![heads, c.hidden],
                "self_attn.q_proj.bias" => vec![heads],
                "self_attn.k_proj.weight" | "self_attn.v_proj.weight" => vec![kv, c.hidden],
                "self_attn.k_proj.bias" | "self_attn.v_proj.bias" => vec![kv],
                "self_attn.o_proj.weight" => vec![c.hidden, heads],
                "self_attn.q_norm.weight" | "self_attn.k_norm.weight" => vec![c.head_dim],
                "mlp.gate_proj.weight" | "mlp.up_proj.weight" => vec![c.intermediate, c.hidden],
                "mlp.down_proj.weight" => vec![c.hidden, c.intermediate],
                "input_layernorm.weight"
                | "post_attention_layernorm.weight"
                | "model.norm.weight" => vec![c.hidden],
                _ => panic!("no tensor {name}"),
            }
        }
    }

    impl TensorSource for RandomSource {
        fn tensor(&mut self, name: &str) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
            let shape = self.shape(name);
            let mut state = name.bytes().fold(0x9e37_79b9_7f4a_7c15u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            let (centre, spread) = match (
                name.contains("norm"),
                name.ends_with("bias"),
                name.contains("embed"),
            ) {
                (true, _, _) => (1.0, 0.2),
                (_, true, _) => (0.0, 0.5),
                (_, _, true) => (0.0, 1.0),
                _ => (0.0, 2.0 / (shape[1] as f32).sqrt()),
            };
            let values = (0..shape.iter().product())
                .map(|_| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    centre + spread * ((state >> 40) as f32 / 8_388_608.0 - 1.0)
                })
                .collect();
            Ok((shape, values))
        }

        fn has(&self, name: &str) -> bool {
            name != "lm_head.weight" || !self.config.tied
        }
    }

    /// A packed model of this shape whose tokens are `A`, `B`, ... (at most 190 of them).
    pub(crate) fn model(config: &Config) -> Vec<u8> {
        let tokens: Vec<Vec<u8>> = (0..config.vocab)
            .map(|row| vec![b'A' + row as u8])
            .collect();
        let rows: Vec<u32> = (0..config.inputs as u32).collect();
        let rope = Rope {
            theta: 10_000.0,
            scaling: RopeScaling::None,
        };
        let input = PackInput {
            config,
            rope,
            tokens: &tokens,
            rows: &rows,
            merges: &[(0, 1)],
        };
        pack(
            &input,
            &mut RandomSource {
                config: config.clone(),
            },
        )
        .unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::random::RandomSource;
    use super::*;
    use crate::arch::config::tests::tiny;
    use crate::arch::rope::RopeScaling;
    use crate::packed::quantize::tiled_offset;

    fn repack(
        change: impl FnOnce(&mut Vec<Vec<u8>>, &mut Vec<u32>),
    ) -> Result<PackedModel, PackedError> {
        let config = tiny();
        let mut tokens: Vec<Vec<u8>> = (0..config.vocab)
            .map(|row| vec![b'A' + row as u8])
            .collect();
        let mut rows: Vec<u32> = (0..config.inputs as u32).collect();
        change(&mut tokens, &mut rows);
        let rope = Rope {
            theta: 10_000.0,
            scaling: RopeScaling::None,
        };
        let input = PackInput {
            config: &config,
            rope,
            tokens: &tokens,
            rows: &rows,
            merges: &[(0, 1), (2, 3)],
        };
        let bytes = pack(
            &input,
            &mut RandomSource {
                config: config.clone(),
            },
        )?;
        PackedModel::from_bytes(&bytes)
    }

    #[test]
    fn what_is_packed_comes_back() {
        let model = repack(|_, rows| rows.swap(3, 5)).unwrap();
        model.verify().unwrap();
        assert_eq!(model.config(), &tiny());
        assert_eq!(model.tokens().len(), 37);
        assert_eq!(model.tokens().bytes(2), b"C");
        assert_eq!(model.tokens().find(b"D"), Some(3));
        assert_eq!(model.tokens().find(b"DD"), None);
        assert_eq!(model.merges().collect::<Vec<_>>(), [(0, 1), (2, 3)]);
        assert_eq!(model.rope_steps().len(), 10);
        assert_eq!(model.identity(), model.hash());

        let (_, source) = RandomSource { config: tiny() }
            .tensor("model.embed_tokens.weight")
            .unwrap();
        let embed = model.matrix("embed").unwrap();
        assert!(
            (embed.tiles.as_ptr() as usize - model.storage.bytes().as_ptr() as usize)
                .is_multiple_of(ALIGN)
        );
        for column in 0..72 {
            let level = i32::from(embed.tiles[tiled_offset(3, column, 72)]) - 128;
            let error = level as f32 * embed.scales[3] - source[5 * 72 + column];
            assert!(
                error.abs() <= embed.scales[3] * 0.5001,
                "column {column}: {error}"
            );
        }

        let (_, k) = RandomSource { config: tiny() }
            .tensor("model.layers.1.self_attn.k_proj.weight")
            .unwrap();
        let qkv = model.matrix("layer.1.qkv").unwrap();
        assert_eq!((qkv.rows, qkv.columns, qkv.scales.len()), (160, 72, 160));
        let level = i32::from(qkv.tiles[tiled_offset(80 + 7, 9, 72)]) - 128;
        assert!((level as f32 * qkv.scales[87] - k[7 * 72 + 9]).abs() <= qkv.scales[87] * 0.5001);
    }

    #[test]
    fn packing_twice_gives_the_same_file() {
        let (a, b) = (super::random::model(&tiny()), super::random::model(&tiny()));
        assert_eq!(a, b);
        let file = tempfile::tempfile().unwrap();
        let config = tiny();
        let tokens: Vec<Vec<u8>> = (0..config.vocab)
            .map(|row| vec![b'A' + row as u8])
            .collect();
        let rows: Vec<u32> = (0..config.inputs as u32).collect();
        let rope = Rope {
            theta: 10_000.0,
            scaling: RopeScaling::None,
        };
        let input = PackInput {
            config: &config,
            rope,
            tokens: &tokens,
            rows: &rows,
            merges: &[(0, 1)],
        };
        pack_to_file(
            &input,
            &mut RandomSource {
                config: config.clone(),
            },
            &file,
        )
        .unwrap();
        // SAFETY: a temporary file of this test alone.
        let map = unsafe { Mmap::map(&file).unwrap() };
        assert_eq!(&a[..], &map[..]);
    }

    #[test]
    fn bad_token_tables_are_refused() {
        assert!(matches!(
            repack(|tokens, _| tokens.swap(0, 1)),
            Err(PackedError::Value { .. })
        ));
        assert!(matches!(
            repack(|tokens, _| tokens[1].clear()),
            Err(PackedError::Value { .. })
        ));
        assert!(matches!(
            repack(|tokens, _| drop(tokens.pop())),
            Err(PackedError::Tensor { .. })
        ));
        assert!(matches!(
            repack(|_, rows| rows[0] = 99),
            Err(PackedError::Tensor { .. })
        ));
    }

    #[test]
    fn damaged_files_are_refused_and_never_panic() {
        let good = super::random::model(&tiny());
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
        let good = super::random::model(&tiny());
        let model = PackedModel::from_bytes(&good).unwrap();
        let weight = model.entries["layer.0.down.weight"].range.start;
        let scale = model.entries["layer.0.down.scale"].range.start;
        let norm = model.entries["layer.0.ffn_norm.weight"].range.start;
        for (at, value) in [
            (weight, &[0u8][..]),
            (scale, &f32::NAN.to_le_bytes()),
            (norm, &f32::INFINITY.to_le_bytes()),
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
