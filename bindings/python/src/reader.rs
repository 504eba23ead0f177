//! `Reader`: decompression from a file object, in order or from any place.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use llmzip::{Decoder, DecoderOptions, SeekableDecoder};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use pyo3::{PyTraverseError, PyVisit};

use crate::error::of_file;
use crate::exclusive::Exclusive;
use crate::file::FileObject;
use crate::options::Decompressing;
use crate::watch::Watch;

/// The original of the compressed ``file``, an object with ``read`` and, to seek, ``seek``. It is
/// read in order until the first ``seek``; from then on only the frames that are read are decoded.
#[pyclass(frozen, module = "llmzip._llmzip")]
pub(crate) struct Reader {
    file: Py<PyAny>,
    /// Where in the file the compressed data begins.
    start: u64,
    options: DecoderOptions,
    state: Exclusive<State>,
    watch: Arc<Watch>,
}

struct State {
    decoder: Way,
    position: u64,
}

enum Way {
    InOrder(Box<Decoder<FileObject>>),
    FromAnywhere(Box<SeekableDecoder<FileObject>>),
}

#[pymethods]
impl Reader {
    #[new]
    #[pyo3(signature = (file, **options))]
    fn new(file: &Bound<'_, PyAny>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Reader> {
        let Decompressing { options, watch } = Decompressing::new(file.py(), None, options)?;
        let looking = Arc::clone(&watch);
        let start = FileObject::position(file);
        let decoder = Decoder::new(FileObject::new(file, start), &options);
        Ok(Reader {
            file: file.clone().unbind(),
            start,
            options,
            state: Exclusive::new(State {
                decoder: Way::InOrder(Box::new(decoder.on_progress(move |at| looking.look(at)))),
                position: 0,
            }),
            watch,
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.file)?;
        self.watch.traverse(&visit)
    }

    /// At most ``size`` bytes of the original; none at its end.
    fn read<'py>(&self, py: Python<'py>, size: usize) -> PyResult<Bound<'py, PyBytes>> {
        let read = self.with(py, |state| {
            // No block is longer.
            let mut buffer = vec![0; size.min(llmzip::container::MAX_BLOCK_LEN as usize)];
            let len = match &mut state.decoder {
                Way::InOrder(decoder) => decoder.read(&mut buffer)?,
                Way::FromAnywhere(decoder) => decoder.read(&mut buffer)?,
            };
            state.position += len as u64;
            buffer.truncate(len);
            Ok(buffer)
        })?;
        Ok(PyBytes::new(py, &read))
    }

    /// Goes on at ``offset`` of the original, which may lie behind its end.
    fn seek(&self, py: Python<'_>, offset: u64) -> PyResult<()> {
        self.with(py, |state| {
            if offset != state.position {
                self.seekable(state)?.seek(SeekFrom::Start(offset))?;
                state.position = offset;
            }
            Ok(())
        })
    }

    /// Where the next byte is read.
    fn tell(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |state| Ok(state.position))
    }

    /// The length of the original in bytes.
    fn size(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |state| Ok(self.seekable(state)?.original_len()?))
    }
}

impl Reader {
    fn with<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut State) -> io::Result<R> + Send,
    ) -> PyResult<R> {
        self.state.with(py, |state| {
            Python::attach(|py| self.watch.begin(py))?;
            work(state).map_err(|error| of_file(error, &self.watch))
        })
    }

    /// The decoder that seeks, at the same place.
    fn seekable<'a>(
        &self,
        state: &'a mut State,
    ) -> io::Result<&'a mut SeekableDecoder<FileObject>> {
        if let Way::InOrder(_) = state.decoder {
            let file = Python::attach(|py| FileObject::new(self.file.bind(py), self.start));
            let looking = Arc::clone(&self.watch);
            let decoder = SeekableDecoder::new(file, &self.options)?;
            let mut decoder = decoder.on_progress(move |at| looking.look(at));
            decoder.seek(SeekFrom::Start(state.position))?;
            state.decoder = Way::FromAnywhere(Box::new(decoder));
        }
        match &mut state.decoder {
            Way::FromAnywhere(decoder) => Ok(decoder),
            Way::InOrder(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}
