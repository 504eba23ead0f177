//! The weights of an open GGUF file.

use super::broken;
use crate::arch::SourceTensor;
use crate::packed::{PackedError, TensorSource};
use candle_core::Device;
use candle_core::quantized::gguf_file::Content;
use std::io::{Read, Seek};

/// The weights of an open GGUF.
pub(super) struct GgufTensors<R> {
    pub(super) reader: R,
    pub(super) content: Content,
    /// Whether the rows of rotated heads are interleaved.
    pub(super) interleaved: bool,
}

/// Puts the interleaved rows of each head back into two halves: row `2i + s` of a head becomes row
/// `s * half + i`. `row` is the number of values of one.
pub(super) fn deinterleave(values: &[f32], row: usize, heads: usize) -> Vec<f32> {
    let head = values.len() / heads;
    let half = head / row / 2;
    let mut out = Vec::with_capacity(values.len());
    for head in values.chunks_exact(head) {
        for side in 0..2 {
            for pair in 0..half {
                out.extend_from_slice(&head[(2 * pair + side) * row..][..row]);
            }
        }
    }
    out
}

impl<R: Read + Seek> TensorSource for GgufTensors<R> {
    fn tensor(&mut self, tensor: &SourceTensor) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        let name = &tensor.gguf;
        let fail = |reason: String| PackedError::Source {
            name: name.to_owned(),
            reason,
        };
        let read = |reader: &mut R| {
            let stored = self.content.tensor(reader, name, &Device::Cpu)?;
            let shape = stored.shape().dims().to_vec();
            let values = stored.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?;
            candle_core::Result::Ok((shape, values))
        };
        let (shape, values): (Vec<usize>, Vec<f32>) =
            read(&mut self.reader).map_err(|error| fail(broken(error).to_string()))?;
        let Some(heads) = tensor.rotary_heads.filter(|_| self.interleaved) else {
            return Ok((shape, values));
        };
        let row = shape.get(1).copied().unwrap_or(1);
        if row == 0 || heads == 0 || !values.len().is_multiple_of(row * heads * 2) {
            return Err(fail(format!("{shape:?} does not split into {heads} heads")));
        }
        Ok((shape, deinterleave(&values, row, heads)))
    }
}
