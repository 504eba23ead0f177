//! The header of a frame: what a decoder must know before the first block.

use std::io::Read;

use super::error::ContainerError;
use super::source::Source;
use super::{FORMAT_VERSION, MAGIC, MAX_NAME_LEN};

const FLAG_MODEL: u8 = 1 << 0;
const FLAG_NAME: u8 = 1 << 1;
const FLAG_INDEPENDENT: u8 = 1 << 2;
const FLAG_UNCHECKED: u8 = 1 << 3;
const PRESET_SHIFT: u32 = 4;
const PRESET_MAX: u8 = 7;
const FLAG_PRIME: u8 = 1 << 7;

/// The settings that all blocks of a frame share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameHeader {
    /// The language model; `None` if no block uses one.
    pub model: Option<ModelRef>,
    /// Version of the predictor (experts and mixer). Every change to them that changes coded bits
    /// has a new version.
    pub predictor: u8,
    /// Preset of the predictor, 0..=7.
    pub preset: u8,
    /// Each block can be decoded without those before it.
    pub independent_blocks: bool,
    /// First 8 bytes of the BLAKE3 of what the frame begins after; `None` if it begins afresh.
    pub prime: Option<[u8; 8]>,
    /// Each block carries a check of its original bytes. Headers and payload always have a seal.
    pub checksum: bool,
}

/// Which language model a frame was written with, and how it was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelRef {
    /// First 8 bytes of the BLAKE3 of the packed model.
    pub identity: [u8; 8],
    /// Version of the engine's arithmetic, 1..=15.
    pub numerics: u8,
    /// Base-2 logarithm of the attention window in tokens, 1..=15.
    pub window_log2: u8,
    /// The model's name on the machine that wrote the file. Readers use it only to tell users which
    /// model is missing. See [`FrameHeader::is_name`].
    pub name: Option<String>,
}

impl Default for FrameHeader {
    /// No model, predictor 0, preset 0, dependent blocks, no prime, with checks.
    fn default() -> Self {
        FrameHeader {
            model: None,
            predictor: 0,
            preset: 0,
            independent_blocks: false,
            prime: None,
            checksum: true,
        }
    }
}

impl FrameHeader {
    /// Whether `name` may stand in a header: 1 to [`MAX_NAME_LEN`] ASCII letters, digits and
    /// `. _ - / @ +`, so that it can be printed anywhere.
    pub fn is_name(name: &str) -> bool {
        (1..=MAX_NAME_LEN).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-/@+".contains(&byte))
    }

    /// Bytes of the checksums behind the payload of each block.
    pub(super) fn checksums_len(&self) -> u64 {
        if self.checksum { 8 } else { 4 }
    }

    /// The header's bytes, magic included.
    ///
    /// # Errors
    ///
    /// [`ContainerError::Unwritable`] if a field is outside its documented range.
    pub(super) fn encode(&self) -> Result<Vec<u8>, ContainerError> {
        if self.preset > PRESET_MAX {
            return Err(unwritable("a preset has 3 bits"));
        }
        let mut flags = self.preset << PRESET_SHIFT;
        if self.independent_blocks {
            flags |= FLAG_INDEPENDENT;
        }
        if !self.checksum {
            flags |= FLAG_UNCHECKED;
        }
        let mut model_part = Vec::new();
        if let Some(model) = &self.model {
            flags |= FLAG_MODEL;
            if model.name.is_some() {
                flags |= FLAG_NAME;
            }
            model_part = model.encode()?;
        }
        if self.prime.is_some() {
            flags |= FLAG_PRIME;
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[FORMAT_VERSION, flags, self.predictor]);
        bytes.append(&mut model_part);
        bytes.extend(self.prime.iter().flatten());
        Ok(bytes)
    }

    /// Reads what follows the magic, and appends the bytes read to `bytes`.
    pub(super) fn decode<R: Read>(
        source: &mut Source<R>,
        bytes: &mut Vec<u8>,
    ) -> Result<Self, ContainerError> {
        let field = "the frame header";
        let [version] = source.array(field, bytes)?;
        if version != FORMAT_VERSION {
            return Err(ContainerError::Version {
                got: version,
                expected: FORMAT_VERSION,
            });
        }
        let [flags, predictor] = source.array(field, bytes)?;
        if flags & (FLAG_MODEL | FLAG_NAME) == FLAG_NAME {
            return Err(ContainerError::Reserved {
                field: "the flags",
                got: flags,
            });
        }
        let model = match flags & FLAG_MODEL {
            0 => None,
            _ => Some(ModelRef::decode(source, flags & FLAG_NAME != 0, bytes)?),
        };
        let prime = match flags & FLAG_PRIME {
            0 => None,
            _ => Some(source.array(field, bytes)?),
        };
        Ok(FrameHeader {
            model,
            prime,
            predictor,
            preset: flags >> PRESET_SHIFT & PRESET_MAX,
            independent_blocks: flags & FLAG_INDEPENDENT != 0,
            checksum: flags & FLAG_UNCHECKED == 0,
        })
    }
}

impl ModelRef {
    /// The bytes of this part of the header.
    fn encode(&self) -> Result<Vec<u8>, ContainerError> {
        if !(1..=15).contains(&self.numerics) || !(1..=15).contains(&self.window_log2) {
            return Err(unwritable("numerics and window are 1 to 15"));
        }
        let mut bytes = self.identity.to_vec();
        bytes.push(self.window_log2 << 4 | self.numerics);
        if let Some(name) = &self.name {
            if !FrameHeader::is_name(name) {
                return Err(unwritable("a model name has 1 to 64 letters and digits"));
            }
            bytes.push(name.len() as u8);
            bytes.extend_from_slice(name.as_bytes());
        }
        Ok(bytes)
    }

    /// Reads this part of the header, and appends the bytes read to `bytes`.
    fn decode<R: Read>(
        source: &mut Source<R>,
        has_name: bool,
        bytes: &mut Vec<u8>,
    ) -> Result<Self, ContainerError> {
        let header = "the frame header";
        let identity = source.array(header, bytes)?;
        let [parameters] = source.array(header, bytes)?;
        let (numerics, window_log2) = (parameters & 15, parameters >> 4);
        for (field, value) in [("numerics version", numerics), ("window", window_log2)] {
            if value == 0 {
                return Err(ContainerError::Field {
                    field,
                    got: 0,
                    expected: "1 to 15",
                });
            }
        }
        let name = match has_name {
            true => Some(decode_name(source, bytes)?),
            false => None,
        };
        Ok(ModelRef {
            identity,
            numerics,
            window_log2,
            name,
        })
    }
}

fn decode_name<R: Read>(
    source: &mut Source<R>,
    bytes: &mut Vec<u8>,
) -> Result<String, ContainerError> {
    let field = "the model name";
    let [len] = source.array(field, bytes)?;
    let start = bytes.len();
    source.append(field, usize::from(len).min(MAX_NAME_LEN), bytes)?;
    let name = String::from_utf8(bytes[start..].to_vec()).map_err(|_| ContainerError::Name)?;
    if usize::from(len) != name.len() || !FrameHeader::is_name(&name) {
        return Err(ContainerError::Name);
    }
    Ok(name)
}

fn unwritable(reason: &'static str) -> ContainerError {
    ContainerError::Unwritable { reason }
}
