//! Where the frames of a file are.

use std::io::{Seek, SeekFrom};

use llmzip::container::FrameScanner;
use llmzip::{Error, Progress};
use pyo3::prelude::*;

use crate::error::of_file;
use crate::file::FileObject;
use crate::watch::Watch;

/// For each frame of ``file`` that has an original: its offset, the offset of its original, and the
/// length of its original. Frames are found from header to header; payloads are not read.
#[pyfunction]
pub(crate) fn frames(file: &Bound<'_, PyAny>) -> PyResult<Vec<(u64, u64, u64)>> {
    let py = file.py();
    let watch = Watch::new(py, None)?;
    let mut file = FileObject::new(file, 0);
    py.detach(|| scan(&mut file, &watch))
        .map_err(|error| of_file(error.into(), &watch))
}

fn scan(file: &mut FileObject, watch: &Watch) -> Result<Vec<(u64, u64, u64)>, Error> {
    let file_len = file.seek(SeekFrom::End(0)).map_err(Error::Read)?;
    let mut scanner = FrameScanner::new(file_len);
    let mut frames = Vec::new();
    while let Some(frame) = scanner.next(file)? {
        frames.push((frame.offset, frame.original_offset, frame.original_len));
        if watch.look(Progress::default()).is_break() {
            return Err(Error::Cancelled);
        }
    }
    Ok(frames)
}
