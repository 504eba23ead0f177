//! The bytes of an object that has any: `bytes`, `bytearray`, `memoryview`, `array`, `mmap`, an
//! array of numpy.

use std::io::{self, Read};
use std::ptr;

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::PyBufferError;
use pyo3::prelude::*;
use pyo3::types::PyMemoryView;

/// The bytes of an object, read in order. They may be read while the interpreter is free: then
/// another thread may change what is not read yet, and whoever reads gets copies alone.
pub(crate) struct Bytes {
    view: PyUntypedBuffer,
    read: usize,
}

impl Bytes {
    /// The bytes of `object`: `TypeError` if it has none, `BufferError` if they do not lie one
    /// behind the other.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Bytes> {
        let view = PyUntypedBuffer::get(object).or_else(|error| {
            // A single number, of NumPy or ctypes, has no dimensions.
            let flat = object.py().get_type::<PyMemoryView>().call1((object,));
            let flat = flat.and_then(|view| view.call_method1("cast", ("B",)));
            flat.map_or(Err(error), |flat| PyUntypedBuffer::get(&flat))
        })?;
        if !view.is_c_contiguous() {
            return Err(PyBufferError::new_err(
                "the bytes of the buffer do not lie one behind the other; copy them first, for \
                 example with bytes(...)",
            ));
        }
        Ok(Bytes { view, read: 0 })
    }

    /// The number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.view.len_bytes()
    }

    /// A copy of all bytes that have not been read.
    pub(crate) fn into_vec(mut self) -> Vec<u8> {
        let mut bytes = vec![0; self.len() - self.read];
        self.copy(&mut bytes);
        bytes
    }

    fn copy(&mut self, buffer: &mut [u8]) -> usize {
        let len = buffer.len().min(self.len() - self.read);
        if len > 0 {
            let start = self.view.buf_ptr().cast::<u8>();
            // SAFETY: the view keeps `len_bytes` contiguous bytes in place as long as it lives, and
            // `read + len` is at most that. The buffer is Rust's own, so they do not overlap.
            unsafe { ptr::copy_nonoverlapping(start.add(self.read), buffer.as_mut_ptr(), len) };
        }
        self.read += len;
        len
    }
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.copy(buffer))
    }
}
