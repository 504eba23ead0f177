//! The frame header: what a decoder must know before the first block.

use std::io::Read;

use super::error::ContainerError;
use super::reader::Source;
use super::{FORMAT_VERSION, MAGIC, MAX_NAME_LEN};

const FLAG_MODEL: u8 = 1 << 0;
const FLAG_NAME: u8 = 1 << 1;
const FLAG_INDEPENDENT: u8 = 1 << 2;
const FLAG_UNCHECKED: u8 = 1 << 3;
const PRESET_SHIFT: u32 = 4;
const PRESET_MAX: u8 = 7;
const FLAG_RESERVED: u8 = 1 << 7;

/// Everything that holds for all blocks of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameHeader {
    /// The language model, if any block may use one.
    pub model: Option<ModelRef>,
    /// Version of the predictor (experts and mixer): any constant of any of them changes the bits.
    pub predictor: u8,
    /// Preset of the predictor, 0..=7.
    pub preset: u8,
    /// Blocks carry no state into one another.
    pub independent_blocks: bool,
    /// Each block carries a check of its original bytes. (Headers and payload are always sealed.)
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
    /// The model's name where the file was written; only ever used to say what is missing.
    /// See [`FrameHeader::is_name`].
    pub name: Option<String>,
}

impl Default for FrameHeader {
    /// No model, predictor 0, preset 0, blocks that depend on each other, checksum on.
    fn default() -> Self {
        FrameHeader {
            model: None,
            predictor: 0,
            preset: 0,
            independent_blocks: false,
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

    /// The header's bytes, magic included.
    ///
    /// # Errors
    ///
    /// [`ContainerError::Unwritable`] if a field is outside its documented range.
    pub(super) fn encode(&self) -> Result<Vec<u8>, ContainerError> {
        let unwritable = |reason| ContainerError::Unwritable { reason };
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
            if !(1..=15).contains(&model.numerics) || !(1..=15).contains(&model.window_log2) {
                return Err(unwritable("numerics and window are 1 to 15"));
            }
            model_part.extend_from_slice(&model.identity);
            model_part.push(model.window_log2 << 4 | model.numerics);
            if let Some(name) = &model.name {
                if !Self::is_name(name) {
                    return Err(unwritable("a model name has 1 to 64 letters and digits"));
                }
                flags |= FLAG_NAME;
                model_part.push(name.len() as u8);
                model_part.extend_from_slice(name.as_bytes());
            }
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[FORMAT_VERSION, flags, self.predictor]);
        bytes.append(&mut model_part);
        Ok(bytes)
    }

    /// Reads what follows the magic; appends the bytes read to `bytes`.
    pub(super) fn decode<R: Read>(
        source: &mut Source<R>,
        bytes: &mut Vec<u8>,
    ) -> Result<Self, ContainerError> {
        let place = "the frame header";
        let [version] = source.array(place, bytes)?;
        if version != FORMAT_VERSION {
            return Err(ContainerError::Version {
                got: version,
                expected: FORMAT_VERSION,
            });
        }
        let [flags, predictor] = source.array(place, bytes)?;
        if flags & FLAG_RESERVED != 0 || flags & (FLAG_MODEL | FLAG_NAME) == FLAG_NAME {
            return Err(ContainerError::Reserved {
                place: "the flags",
                got: flags,
            });
        }
        let model = if flags & FLAG_MODEL == 0 {
            None
        } else {
            let identity = source.array(place, bytes)?;
            let [parameters] = source.array(place, bytes)?;
            let (numerics, window_log2) = (parameters & 15, parameters >> 4);
            for (place, value) in [("numerics version", numerics), ("window", window_log2)] {
                if value == 0 {
                    return Err(ContainerError::Field {
                        place,
                        got: 0,
                        expected: "1 to 15",
                    });
                }
            }
            let name = if flags & FLAG_NAME == 0 {
                None
            } else {
                Some(decode_name(source, bytes)?)
            };
            Some(ModelRef {
                identity,
                numerics,
                window_log2,
                name,
            })
        };
        Ok(FrameHeader {
            model,
            predictor,
            preset: flags >> PRESET_SHIFT & PRESET_MAX,
            independent_blocks: flags & FLAG_INDEPENDENT != 0,
            checksum: flags & FLAG_UNCHECKED == 0,
        })
    }
}

fn decode_name<R: Read>(
    source: &mut Source<R>,
    bytes: &mut Vec<u8>,
) -> Result<String, ContainerError> {
    let place = "the model name";
    let [len] = source.array(place, bytes)?;
    let start = bytes.len();
    source.append(place, usize::from(len).min(MAX_NAME_LEN), bytes)?;
    let name = String::from_utf8(bytes[start..].to_vec()).map_err(|_| ContainerError::Name)?;
    if usize::from(len) != name.len() || !FrameHeader::is_name(&name) {
        return Err(ContainerError::Name);
    }
    Ok(name)
}
