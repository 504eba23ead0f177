//! The structure of a GGUF file: its metadata and where its tensors lie.
//!
//! Every length is compared with that of the file before anything is allocated by it. What the
//! metadata mean, and in which types tensors are, is judged by others: a file of an unknown
//! architecture is refused for that, whatever else is unusual about it.

use crate::import::SourceError;
use crate::import::metadata::{Metadata, integer};
use candle_core::quantized::gguf_file::Value;
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Seek, SeekFrom};

/// Elements of all metadata arrays together; a vocabulary of 2^18 tokens has about 2^20. Each takes
/// 32 bytes of memory.
const MAX_ELEMENTS: u64 = 1 << 23;

/// Bytes of metadata and tensor descriptions.
const MAX_HEADER: u64 = 256 << 20;

/// Tensors begin at a multiple of this many bytes if the metadata do not say otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;

/// What a GGUF file holds.
#[derive(Debug)]
pub(super) struct Structure {
    pub(super) metadata: Metadata,
    pub(super) tensors: Vec<StoredTensor>,
    /// Bytes of the file.
    pub(super) length: u64,
}

/// A tensor of a file.
#[derive(Clone, Debug)]
pub(super) struct StoredTensor {
    pub(super) name: String,
    /// The number that stands for its type.
    pub(super) kind: u32,
    /// Rows first.
    pub(super) shape: Vec<usize>,
    /// Where it begins in the file.
    pub(super) start: u64,
}

impl StoredTensor {
    /// The number of its values.
    pub(super) fn values(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Structure {
    /// # Errors
    /// If the file is no GGUF, or its structure is broken.
    pub(super) fn read<R: Read + Seek>(reader: &mut R) -> Result<Structure, SourceError> {
        let failed = |e| SourceError::io("GGUF", e);
        let length = reader.seek(SeekFrom::End(0)).map_err(failed)?;
        reader.seek(SeekFrom::Start(0)).map_err(failed)?;
        StructureReader {
            reader,
            position: 0,
            length,
            elements: 0,
        }
        .file()
    }

    /// The metadata at the start of a file of which no more than `start` is known: all that is
    /// whole.
    ///
    /// # Errors
    /// If the file is no GGUF.
    pub(super) fn start_of_metadata(start: &[u8]) -> Result<Metadata, SourceError> {
        let mut reader = StructureReader {
            reader: &mut &*start,
            position: 0,
            length: start.len() as u64,
            elements: 0,
        };
        let (_, keys) = reader.counts()?;
        let mut metadata = HashMap::new();
        for _ in 0..keys {
            let Ok((key, value)) = reader.entry() else {
                break;
            };
            metadata.insert(key, value);
        }
        Ok(Metadata::new(metadata))
    }
}

struct StructureReader<'a, R> {
    reader: &'a mut R,
    position: u64,
    length: u64,
    /// Of all arrays so far.
    elements: u64,
}

impl<R: Read> StructureReader<'_, R> {
    /// Moves the position, which is to be done before what lies there is read.
    fn advance(&mut self, count: u64) -> Result<(), SourceError> {
        match self.position.checked_add(count) {
            Some(end) if end <= self.length.min(MAX_HEADER) => {
                self.position = end;
                Ok(())
            }
            _ => Err(SourceError::invalid(
                "the GGUF file is truncated, or a length in it is wrong",
            )),
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), SourceError> {
        self.advance(bytes.len() as u64)?;
        self.reader
            .read_exact(bytes)
            .map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => SourceError::invalid("the GGUF file is truncated"),
                _ => SourceError::io("GGUF", error),
            })
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], SourceError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, SourceError> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64, SourceError> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    /// Some writers end strings with zeros, and some strings are not quite UTF-8.
    fn text(&mut self) -> Result<String, SourceError> {
        let length = self.u64()?;
        let start = self.position;
        self.advance(length)?;
        self.position = start;
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        let end = bytes.iter().rposition(|&byte| byte != 0);
        bytes.truncate(end.map_or(0, |end| end + 1));
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// A short string: a key or a tensor's name.
    fn name(&mut self) -> Result<String, SourceError> {
        let name = self.text()?;
        match name.len() <= 1 << 12 {
            true => Ok(name),
            false => Err(SourceError::invalid("a name in the GGUF file is too long")),
        }
    }

    fn value(&mut self, kind: u32, depth: u32) -> Result<Value, SourceError> {
        Ok(match kind {
            0 => Value::U8(u8::from_le_bytes(self.bytes()?)),
            1 => Value::I8(i8::from_le_bytes(self.bytes()?)),
            2 => Value::U16(u16::from_le_bytes(self.bytes()?)),
            3 => Value::I16(i16::from_le_bytes(self.bytes()?)),
            4 => Value::U32(self.u32()?),
            5 => Value::I32(i32::from_le_bytes(self.bytes()?)),
            6 => Value::F32(f32::from_le_bytes(self.bytes()?)),
            7 => Value::Bool(self.bytes::<1>()? != [0]),
            8 => Value::String(self.text()?),
            9 if depth < 2 => {
                let (kind, count) = (self.u32()?, self.u64()?);
                self.elements = self.elements.saturating_add(count);
                if self.elements > MAX_ELEMENTS {
                    return Err(SourceError::invalid(
                        "the arrays in the GGUF file are too long",
                    ));
                }
                let values = (0..count).map(|_| self.value(kind, depth + 1));
                Value::Array(values.collect::<Result<_, _>>()?)
            }
            10 => Value::U64(self.u64()?),
            11 => Value::I64(i64::from_le_bytes(self.bytes()?)),
            12 => Value::F64(f64::from_le_bytes(self.bytes()?)),
            _ => {
                return Err(SourceError::Invalid(format!(
                    "the GGUF file has a value of unknown type {kind}"
                )));
            }
        })
    }

    fn file(mut self) -> Result<Structure, SourceError> {
        let (tensors, keys) = self.counts()?;
        let metadata = self.metadata(keys)?;
        let mut tensors = (0..tensors)
            .map(|_| self.tensor())
            .collect::<Result<Vec<_>, _>>()?;
        let data = self.position.next_multiple_of(alignment(&metadata)?);
        for tensor in &mut tensors {
            // An offset that is far too large must stay so.
            tensor.start = tensor.start.saturating_add(data);
        }
        Ok(Structure {
            metadata: Metadata::new(metadata),
            tensors,
            length: self.length,
        })
    }

    /// How many tensors and keys of metadata the file has.
    fn counts(&mut self) -> Result<(u64, u64), SourceError> {
        check_start(self.bytes()?, self.u32()?)?;
        let (tensors, keys) = (self.u64()?, self.u64()?);
        match tensors.max(keys) <= 1 << 16 {
            true => Ok((tensors, keys)),
            false => Err(SourceError::invalid(
                "the GGUF file declares too many entries",
            )),
        }
    }

    /// The next key of the metadata, and its value.
    fn entry(&mut self) -> Result<(String, Value), SourceError> {
        let key = self.name()?;
        let kind = self.u32()?;
        Ok((key, self.value(kind, 0)?))
    }

    fn metadata(&mut self, keys: u64) -> Result<HashMap<String, Value>, SourceError> {
        let mut metadata = HashMap::new();
        for _ in 0..keys {
            let (key, value) = self.entry()?;
            if metadata.contains_key(&key) {
                return Err(SourceError::Invalid(format!(
                    "the GGUF file has the key {key} twice"
                )));
            }
            metadata.insert(key, value);
        }
        Ok(metadata)
    }

    /// The next description of a tensor; its start counts from that of all tensors.
    fn tensor(&mut self) -> Result<StoredTensor, SourceError> {
        let name = self.name()?;
        let dimensions = self.u32()?;
        if dimensions > 4 {
            return Err(SourceError::Invalid(format!(
                "tensor {name} has {dimensions} dimensions"
            )));
        }
        let mut shape = Vec::new();
        let mut values = 1u64;
        for _ in 0..dimensions {
            let size = self.u64()?;
            // No type stores more than eight values in a byte.
            values = values
                .checked_mul(size)
                .filter(|&values| values <= self.length.saturating_mul(8))
                .ok_or_else(|| {
                    SourceError::Invalid(format!("tensor {name} is larger than the GGUF file"))
                })?;
            shape.push(size as usize);
        }
        shape.reverse();
        Ok(StoredTensor {
            name,
            shape,
            kind: self.u32()?,
            start: self.u64()?,
        })
    }
}

/// The first four bytes and the version, in the order of bytes of little-endian files.
fn check_start(magic: [u8; 4], version: u32) -> Result<(), SourceError> {
    match (&magic, version) {
        (b"GGUF", 2 | 3) => Ok(()),
        (b"GGUF", 1) => Err(SourceError::Unsupported(
            "GGUF version 1 (llama.cpp's quantize writes the model again in a newer one)".into(),
        )),
        (b"GGUF" | b"FUGG", _) if matches!(version.swap_bytes(), 1..=3) => {
            Err(SourceError::Unsupported(
                "a big-endian GGUF file (llama.cpp's gguf_convert_endian.py makes it little-endian)"
                    .into(),
            ))
        }
        (b"GGUF", version) => Err(SourceError::Unsupported(format!(
            "GGUF version {version} (versions 2 and 3 are)"
        ))),
        _ => Err(SourceError::invalid("not a GGUF file")),
    }
}

fn alignment(metadata: &HashMap<String, Value>) -> Result<u64, SourceError> {
    let Some(value) = metadata.get("general.alignment") else {
        return Ok(DEFAULT_ALIGNMENT);
    };
    integer(value)
        .filter(|bytes| bytes.is_power_of_two() && *bytes <= 1 << 20)
        .ok_or_else(|| SourceError::invalid("the alignment in the GGUF file is no power of two"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::import::gguf::{dequantise, read, read_parts, rope, tests};
    use std::io::Cursor;

    pub(in crate::import::gguf) fn text(value: &str) -> Value {
        Value::String(value.to_owned())
    }

    /// A GGUF file to be written, with things that candle's writer would not write.
    #[derive(Clone, Debug)]
    pub(in crate::import::gguf) struct Raw {
        pub(in crate::import::gguf) metadata: Vec<(String, Value)>,
        /// Name, number of the type, shape, and bytes.
        pub(in crate::import::gguf) tensors: Vec<(String, u32, Vec<usize>, Vec<u8>)>,
        /// Of tensors; not written into the metadata.
        pub(in crate::import::gguf) alignment: usize,
    }

    impl Default for Raw {
        fn default() -> Raw {
            Raw {
                metadata: Vec::new(),
                tensors: Vec::new(),
                alignment: 32,
            }
        }
    }

    fn put_text(text: &str, out: &mut Vec<u8>) {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    }

    fn put_value(value: &Value, out: &mut Vec<u8>) -> u32 {
        match value {
            Value::U8(n) => (out.extend(n.to_le_bytes()), 0),
            Value::I8(n) => (out.extend(n.to_le_bytes()), 1),
            Value::U16(n) => (out.extend(n.to_le_bytes()), 2),
            Value::I16(n) => (out.extend(n.to_le_bytes()), 3),
            Value::U32(n) => (out.extend(n.to_le_bytes()), 4),
            Value::I32(n) => (out.extend(n.to_le_bytes()), 5),
            Value::F32(n) => (out.extend(n.to_le_bytes()), 6),
            Value::Bool(flag) => (out.push(u8::from(*flag)), 7),
            Value::String(text) => (put_text(text, out), 8),
            Value::Array(values) => {
                let (mut kind, mut all) = (4, Vec::new());
                for value in values {
                    kind = put_value(value, &mut all);
                }
                out.extend(kind.to_le_bytes());
                out.extend((values.len() as u64).to_le_bytes());
                (out.extend(all), 9)
            }
            Value::U64(n) => (out.extend(n.to_le_bytes()), 10),
            Value::I64(n) => (out.extend(n.to_le_bytes()), 11),
            Value::F64(n) => (out.extend(n.to_le_bytes()), 12),
        }
        .1
    }

    impl Raw {
        /// The small model of the tests beside this module.
        pub(in crate::import::gguf) fn tiny() -> Raw {
            let bytes = tests::tiny_gguf();
            let structure = Structure::read(&mut Cursor::new(&bytes)).unwrap();
            let tensors = structure.tensors.into_iter().map(|it| {
                let (start, len) = (it.start as usize, 4 * it.values());
                (
                    it.name,
                    it.kind,
                    it.shape,
                    bytes[start..start + len].to_vec(),
                )
            });
            Raw {
                tensors: tensors.collect(),
                metadata: tests::metadata()
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect(),
                ..Raw::default()
            }
        }

        pub(in crate::import::gguf) fn set(&mut self, key: &str, value: Value) {
            self.metadata.retain(|(other, _)| other != key);
            self.metadata.push((key.to_owned(), value));
        }

        pub(in crate::import::gguf) fn bytes(&self) -> Vec<u8> {
            let mut out = b"GGUF\x03\0\0\0".to_vec();
            out.extend((self.tensors.len() as u64).to_le_bytes());
            out.extend((self.metadata.len() as u64).to_le_bytes());
            for (key, value) in &self.metadata {
                put_text(key, &mut out);
                let mut written = Vec::new();
                let kind = put_value(value, &mut written);
                out.extend(kind.to_le_bytes());
                out.extend(written);
            }
            let mut data = Vec::new();
            for (name, kind, shape, bytes) in &self.tensors {
                put_text(name, &mut out);
                out.extend((shape.len() as u32).to_le_bytes());
                for size in shape.iter().rev() {
                    out.extend((*size as u64).to_le_bytes());
                }
                out.extend(kind.to_le_bytes());
                out.extend((data.len() as u64).to_le_bytes());
                data.extend(bytes);
                data.resize(data.len().next_multiple_of(self.alignment), 0);
            }
            out.resize(out.len().next_multiple_of(self.alignment), 0);
            out.extend(data);
            out
        }

        fn refusal(&self) -> String {
            read(Cursor::new(self.bytes())).unwrap_err().to_string()
        }

        fn pack(&self) -> Vec<u8> {
            read(Cursor::new(self.bytes())).unwrap().pack().unwrap()
        }
    }

    #[test]
    fn the_alignment_may_be_an_integer_of_any_type() {
        let packed = Raw::tiny().pack();
        for value in [
            Value::U8(64),
            Value::I8(64),
            Value::U16(64),
            Value::I16(64),
            Value::U32(64),
            Value::I32(64),
            Value::U64(64),
            Value::I64(64),
        ] {
            let mut raw = Raw::tiny();
            raw.alignment = 64;
            raw.set("general.alignment", value.clone());
            assert!(raw.pack() == packed, "{value:?}");
        }
        for value in [
            Value::U64(48),
            Value::I32(-32),
            Value::F32(32.0),
            Value::U32(0),
        ] {
            let mut raw = Raw::tiny();
            raw.set("general.alignment", value);
            assert!(raw.refusal().contains("alignment"), "{}", raw.refusal());
        }
    }

    #[test]
    fn what_is_there_twice_is_refused() {
        let mut raw = Raw::tiny();
        let entry = raw.metadata[3].clone();
        raw.metadata.push(entry);
        let want = "the key llama.feed_forward_length twice";
        assert!(raw.refusal().contains(want), "{}", raw.refusal());
        let mut raw = Raw::tiny();
        let tensor = raw.tensors[3].clone();
        raw.tensors.push(tensor);
        assert!(raw.refusal().contains("twice"), "{}", raw.refusal());
    }

    #[test]
    fn other_byte_orders_and_versions_are_named() {
        let says = |start: &[u8], want: &str| {
            let mut bytes = Raw::tiny().bytes();
            bytes[..start.len()].copy_from_slice(start);
            let reason = read(Cursor::new(bytes)).unwrap_err().to_string();
            assert!(reason.contains(want), "{reason}");
        };
        says(b"GGUF\0\0\0\x03", "big-endian");
        says(b"FUGG\0\0\0\x03", "big-endian");
        says(b"GGUF\x01\0\0\0", "version 1");
        says(b"GGUF\x09\0\0\0", "version 9");
        says(b"GGML\x03\0\0\0", "not a GGUF file");
    }

    #[test]
    fn the_architecture_is_judged_before_the_weights() {
        let mut raw = Raw::tiny();
        raw.tensors[2].1 = 16;
        let name = raw.tensors[2].0.clone();
        let reason = raw.refusal();
        assert!(
            reason.contains(&format!("tensor {name} of type IQ2_XXS")),
            "{reason}"
        );
        raw.tensors[2].3.clear();
        raw.set("general.architecture", text("martian"));
        assert!(
            raw.refusal().contains("architecture martian"),
            "{}",
            raw.refusal()
        );
        for name in ["bert", "nomic-bert", "t5"] {
            raw.set("general.architecture", text(name));
            let reason = raw.refusal();
            assert!(
                reason.contains(&format!("architecture {name}, which is no causal")),
                "{reason}"
            );
        }
        raw.set("general.architecture", text("martian"));
        raw.set("martian.attention.causal", Value::Bool(false));
        assert!(
            raw.refusal().contains("no causal decoder"),
            "{}",
            raw.refusal()
        );
        raw.set("general.type", text("adapter"));
        assert!(raw.refusal().contains("type adapter"), "{}", raw.refusal());
    }

    #[test]
    fn a_file_that_ends_before_its_tensors_is_truncated() {
        let bytes = Raw::tiny().bytes();
        let cut = bytes[..bytes.len() - 100].to_vec();
        let reason = read_parts(vec![Cursor::new(cut)]).unwrap_err().to_string();
        assert!(reason.contains("truncated"), "{reason}");
        let mut raw = Raw::tiny();
        raw.tensors[4].2 = vec![1 << 40];
        assert!(
            raw.refusal().contains("larger than the GGUF file"),
            "{}",
            raw.refusal()
        );
    }

    #[test]
    fn block_types_that_candle_lacks_are_read() {
        let up = "blk.0.ffn_up.weight";
        // IQ4_NL and MXFP4: blocks of 32 values.
        for (kind, block) in [(20, 18), (39, 17)] {
            let mut raw = Raw::tiny();
            let tensor = raw.tensors.iter_mut().find(|it| it.0 == up).unwrap();
            let count = tensor.2.iter().product::<usize>() / 32 * block;
            // Scales are small, whatever the byte order: no byte has its upper bit set.
            let bytes: Vec<u8> = (0..count).map(|i| (i * 89 % 61) as u8).collect();
            (tensor.1, tensor.3) = (kind, bytes.clone());
            let mut source = read(Cursor::new(raw.bytes())).unwrap();
            let (_, values) = tests::weights(&mut source, up).unwrap();
            assert_eq!(Some(values), dequantise(kind, &bytes));
        }
        // Rows of 64 values are no blocks of 256.
        let mut raw = Raw::tiny();
        raw.tensors[3].1 = 12;
        assert!(raw.refusal().contains("blocks of 256"), "{}", raw.refusal());
    }

    #[test]
    fn rotary_divisors_become_part_of_the_steps() {
        let with = |divisors: &[f32]| {
            let mut raw = Raw::tiny();
            let bytes = divisors.iter().flat_map(|it| it.to_le_bytes()).collect();
            let shape = vec![divisors.len()];
            raw.tensors
                .push((rope::DIVISORS.to_owned(), 0, shape, bytes));
            raw
        };
        let plain = read(Cursor::new(Raw::tiny().bytes())).unwrap();
        let divided = with(&[1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]);
        let divided = read(Cursor::new(divided.bytes())).unwrap();
        assert_eq!(plain.config, divided.config);
        let (plain, divided) = (plain.steps.all, divided.steps.all);
        for (pair, divisor) in [1, 1, 1, 2, 4, 8, 8, 8].into_iter().enumerate() {
            assert!(
                divided[pair].abs_diff(plain[pair] / divisor) <= 1,
                "pair {pair}"
            );
        }
        assert!(with(&[1.0; 7]).refusal().contains("8 pairs"));
        assert!(with(&[0.0; 8]).refusal().contains("no meaning"));
    }
}
