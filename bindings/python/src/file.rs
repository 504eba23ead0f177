//! A file object of Python as a reader.

use std::io::{self, Read, Seek, SeekFrom};

use pyo3::prelude::*;

use crate::buffer::Bytes;

/// Reads from an object with `read(size)` and, if it can, `seek(offset, whence)`. Exceptions go
/// through the library as errors, and are raised again on the other side.
pub(crate) struct FileObject(Py<PyAny>);

impl FileObject {
    pub(crate) fn new(file: &Bound<'_, PyAny>) -> FileObject {
        FileObject(file.clone().unbind())
    }
}

impl Read for FileObject {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Python::attach(|py| {
            let read = self.0.bind(py).call_method1("read", (buffer.len(),))?;
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
            SeekFrom::Start(offset) => (i128::from(offset), 0),
            SeekFrom::Current(offset) => (i128::from(offset), 1),
            SeekFrom::End(offset) => (i128::from(offset), 2),
        };
        Python::attach(|py| {
            let file = self.0.bind(py);
            file.call_method1("seek", (offset, whence))?;
            // Some file objects return nothing from `seek`.
            Ok(file.call_method0("tell")?.extract()?)
        })
    }
}
