//! What the beginning of a frame tells.

use llmzip::Error;
use llmzip::container::{Arrival, Arrived, FrameHeader};
use llmzip::store::{embedded, hex};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::buffer::Bytes;
use crate::error::{LlmzError, of_model};

/// The fields of ``llmzip.FrameInfo`` of the frame that ``frame_buffer`` begins with.
#[pyfunction]
pub(crate) fn frame_info<'py>(frame_buffer: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    let bytes = Bytes::of(frame_buffer)?.into_vec();
    let (arrival, len) = arrived(&bytes).map_err(|error| of_model(&error))?;
    let header = arrival.header();
    let header =
        header.ok_or_else(|| LlmzError::new_err("the header of the frame is not whole"))?;
    let info = PyDict::new(frame_buffer.py());
    let whole = arrival.is_complete();
    info.set_item("decompressed_size", whole.then_some(arrival.original_len()))?;
    info.set_item("dictionary_id", header.prime.map(|prime| hex(&prime)))?;
    info.set_item("compressed_size", whole.then_some(len))?;
    info.set_item("blocks", whole.then_some(arrival.blocks()))?;
    let model = header.model.as_ref();
    info.set_item("model_id", model.map(|model| hex(&model.identity)))?;
    info.set_item("model", name(header))?;
    info.set_item("check", header.checksum)?;
    info.set_item("independent_blocks", header.independent_blocks)?;
    Ok(info)
}

/// As much of the frame as `bytes` have, and the number of these bytes. Auxiliary frames before it
/// are passed over.
fn arrived(bytes: &[u8]) -> Result<(Arrival, usize), Error> {
    let (mut arrival, mut at, mut start) = (Arrival::default(), 0, 0);
    while let Some((part, len)) = arrival.next(&bytes[at..])? {
        at += len;
        if part == Arrived::Auxiliary {
            arrival = Arrival::default();
            start = at;
        }
    }
    Ok((arrival, at - start))
}

/// The name of the model, if this package or the frame knows it.
fn name(header: &FrameHeader) -> Option<String> {
    let model = header.model.as_ref()?;
    let built_in = embedded::name_of(&model.identity).map(str::to_owned);
    built_in.or_else(|| model.name.clone())
}
