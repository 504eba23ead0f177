//! A walk over the structure of a GGUF file, before candle reads it.

use crate::import::SourceError;
use std::io::{Read, Seek, SeekFrom};

/// Elements of all metadata arrays together; a vocabulary of 2^18 tokens has about 2^20. candle
/// spends 32 bytes on each.
const MAX_ELEMENTS: u64 = 1 << 23;

/// Bytes of metadata and tensor descriptions.
const MAX_HEADER: u64 = 256 << 20;

/// A walk over the structure of a GGUF file that allocates nothing and checks every length against
/// the file's.
pub(super) struct Walk<'a, R> {
    reader: &'a mut R,
    position: u64,
    length: u64,
    elements: u64,
}

impl<R: Read + Seek> Walk<'_, R> {
    pub(super) fn check(reader: &mut R) -> Result<(), SourceError> {
        let failed = |e| SourceError::io("GGUF", e);
        let length = reader.seek(SeekFrom::End(0)).map_err(failed)?;
        reader.seek(SeekFrom::Start(0)).map_err(failed)?;
        Walk {
            reader,
            position: 0,
            length,
            elements: 0,
        }
        .file()
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], SourceError> {
        let mut bytes = [0; N];
        self.reader
            .read_exact(&mut bytes)
            .map_err(|_| SourceError::invalid("the GGUF file is truncated"))?;
        self.position += N as u64;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, SourceError> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64, SourceError> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn skip(&mut self, count: u64) -> Result<(), SourceError> {
        let end = self.position.checked_add(count);
        match end {
            Some(end) if end <= self.length.min(MAX_HEADER) => {
                self.reader
                    .seek_relative(count as i64)
                    .map_err(|e| SourceError::io("GGUF", e))?;
                self.position = end;
                Ok(())
            }
            _ => Err(SourceError::invalid(
                "the GGUF file is truncated or a length in it is wrong",
            )),
        }
    }

    /// A short string: a key or a tensor's name.
    fn name(&mut self) -> Result<String, SourceError> {
        let length = self.u64()?;
        if length > 1 << 12 {
            return Err(SourceError::invalid("a name in the GGUF file is too long"));
        }
        let mut name = vec![0; length as usize];
        self.reader
            .read_exact(&mut name)
            .map_err(|_| SourceError::invalid("the GGUF file is truncated"))?;
        self.position += length;
        Ok(String::from_utf8_lossy(&name).into_owned())
    }

    /// Skips a value of a GGUF type; its number if it is an unsigned one.
    fn value(&mut self, kind: u32, depth: u32) -> Result<Option<u64>, SourceError> {
        match kind {
            0 | 1 | 7 => return self.bytes::<1>().map(|b| Some(b[0].into())),
            2 | 3 => return self.bytes().map(|b| Some(u16::from_le_bytes(b).into())),
            4 | 5 => return self.u32().map(|n| Some(n.into())),
            10 | 11 => return self.u64().map(Some),
            6 => self.skip(4)?,
            12 => self.skip(8)?,
            8 => {
                let length = self.u64()?;
                self.skip(length)?;
            }
            9 if depth < 2 => {
                let (kind, count) = (self.u32()?, self.u64()?);
                self.elements = self.elements.saturating_add(count);
                if self.elements > MAX_ELEMENTS {
                    return Err(SourceError::invalid(
                        "an array in the GGUF file is too long",
                    ));
                }
                for _ in 0..count {
                    self.value(kind, depth + 1)?;
                }
            }
            _ => {
                return Err(SourceError::invalid(format!(
                    "the GGUF file has a value of unknown type {kind}"
                )));
            }
        }
        Ok(None)
    }

    fn file(mut self) -> Result<(), SourceError> {
        let magic: [u8; 4] = self.bytes()?;
        let version = self.u32()?;
        if &magic != b"GGUF" || !matches!(version, 2 | 3) {
            return Err(SourceError::Unsupported(format!("GGUF version {version}")));
        }
        let (tensors, keys) = (self.u64()?, self.u64()?);
        if tensors > 1 << 16 || keys > 1 << 16 {
            return Err(SourceError::invalid(
                "the GGUF file declares too many entries",
            ));
        }
        for _ in 0..keys {
            let key = self.name()?;
            let kind = self.u32()?;
            let value = self.value(kind, 0)?;
            let power = |n: u64| n.is_power_of_two() && n <= 1 << 20;
            if key == "general.alignment" && !value.is_some_and(power) {
                return Err(SourceError::invalid("the GGUF file has an odd alignment"));
            }
        }
        for _ in 0..tensors {
            let name = self.name()?;
            let dimensions = self.u32()?;
            if dimensions > 4 {
                return Err(SourceError::invalid(format!(
                    "tensor {name} has {dimensions} dimensions"
                )));
            }
            let mut elements = 1u64;
            for _ in 0..dimensions {
                // No block format stores more than eight values a byte.
                elements = elements
                    .checked_mul(self.u64()?)
                    .filter(|&n| n <= self.length.saturating_mul(8))
                    .ok_or_else(|| {
                        SourceError::invalid(format!("tensor {name} is larger than the file"))
                    })?;
            }
            self.skip(12)?;
        }
        Ok(())
    }
}
