//! The input of a reader: bytes in order, and how many have been read.

use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};

use super::error::ContainerError;
use super::varint;

/// Bytes are asked for in steps of at most this many, so that a false length costs no memory.
pub(super) const STEP: usize = 1 << 16;

/// An input and the number of bytes read from it.
pub(super) struct Source<R> {
    pub(super) input: R,
    offset: u64,
}

impl<R: Read> Source<R> {
    /// An input that begins at `offset` of a file.
    pub(super) fn at(input: R, offset: u64) -> Source<R> {
        Source { input, offset }
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads exactly `N` bytes and appends them to `bytes`. `field` names them in errors.
    pub(super) fn array<const N: usize>(
        &mut self,
        field: &'static str,
        bytes: &mut Vec<u8>,
    ) -> Result<[u8; N], ContainerError> {
        let mut array = [0; N];
        let got = self.fill(&mut array)?;
        if got < N {
            return Err(self.truncated(field));
        }
        bytes.extend_from_slice(&array);
        Ok(array)
    }

    /// Reads one varint and appends its bytes to `bytes`.
    pub(super) fn varint(
        &mut self,
        field: &'static str,
        bytes: &mut Vec<u8>,
    ) -> Result<u64, ContainerError> {
        varint::read(field, || Ok(self.array::<1>(field, bytes)?[0]))
    }

    /// Reads exactly `len` bytes and appends them to `bytes`.
    pub(super) fn append(
        &mut self,
        field: &'static str,
        len: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), ContainerError> {
        let end = bytes.len() + len;
        self.append_available(len, bytes)?;
        if bytes.len() < end {
            return Err(self.truncated(field));
        }
        Ok(())
    }

    /// Reads `len` bytes, or as many as there are, and appends them to `bytes`.
    pub(super) fn append_available(
        &mut self,
        len: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), ContainerError> {
        let end = bytes.len() + len;
        while bytes.len() < end {
            let start = bytes.len();
            bytes.resize(start + (end - start).min(STEP), 0);
            let got = self.fill(&mut bytes[start..])?;
            let full = start + got == bytes.len();
            bytes.truncate(start + got);
            if !full {
                break;
            }
        }
        Ok(())
    }

    /// The file ends where it has got to, in `field`.
    pub(super) fn truncated(&self, field: &'static str) -> ContainerError {
        ContainerError::Truncated {
            offset: self.offset,
            field,
        }
    }

    /// Fills `buffer` as far as the input goes; returns the number of bytes read.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ContainerError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.input.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }
}

impl Source<&[u8]> {
    /// Passes over `len` bytes, or as many as there are.
    pub(super) fn pass(&mut self, len: usize) {
        let len = len.min(self.input.len());
        self.input = &self.input[len..];
        self.offset += len as u64;
    }
}

impl<R: Seek> Source<R> {
    /// Continues at `offset` of the file.
    pub(super) fn restart(&mut self, offset: u64) -> io::Result<()> {
        self.input.seek(SeekFrom::Start(offset))?;
        self.offset = offset;
        Ok(())
    }
}

impl<R: Read + Seek> Source<BufReader<R>> {
    /// Passes over `len` bytes of a file of `file_len` bytes.
    pub(super) fn skip(
        &mut self,
        field: &'static str,
        len: u64,
        file_len: u64,
    ) -> Result<(), ContainerError> {
        if len > file_len.saturating_sub(self.offset) {
            self.offset = file_len;
            return Err(self.truncated(field));
        }
        // A frame's part is much shorter than 2^63 bytes.
        self.input.seek_relative(len as i64)?;
        self.offset += len;
        Ok(())
    }
}
