//! A file object of Python as a reader.

use std::io::{self, Read, Seek, SeekFrom};

use pyo3::prelude::*;

use crate::buffer::Bytes;

/// Reads from an object with `read(size)` and, if it can, `seek(offset, whence)`. Exceptions go
/// through the library as errors, and are raised again on the other side.
pub(crate) struct FileObject {
    file: Py<PyAny>,
    /// Where in the file the first byte is.
    start: u64,
}

impl FileObject {
    /// A file whose first byte is at `start`.
    pub(crate) fn new(file: &Bound<'_, PyAny>, start: u64) -> FileObject {
        let file = file.clone().unbind();
        FileObject { file, start }
    }

    /// Where a file is read next; 0 if it does not say.
    pub(crate) fn position(file: &Bound<'_, PyAny>) -> u64 {
        let position = file.call_method0("tell").and_then(|at| at.extract());
        position.unwrap_or(0)
    }
}

impl Read for FileObject {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Python::attach(|py| {
            let read = self.file.bind(py).call_method1("read", (buffer.len(),))?;
            if read.is_none() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let mut bytes = Bytes::of(&read)?;
            if bytes.len() > buffer.len() {
                return Err(io::Error::other(
                    "read() returned more bytes than it was asked for",
                ));
            }
            bytes.read(buffer)
        })
    }
}

impl Seek for FileObject {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (offset, whence) = match to {
            SeekFrom::Start(offset) => (i128::from(self.start) + i128::from(offset), 0),
            SeekFrom::Current(offset) => (i128::from(offset), 1),
            SeekFrom::End(offset) => (i128::from(offset), 2),
        };
        Python::attach(|py| {
            let file = self.file.bind(py);
            file.call_method1("seek", (offset, whence))?;
            // Some file objects return nothing from `seek`.
            let position: u64 = file.call_method0("tell")?.extract()?;
            Ok(position.saturating_sub(self.start))
        })
    }
}
