//! The source of weights to pack: tensors in f32, with their rows in the publisher's order.

use super::{BOUNDED, PackedError, is_bounded};
use crate::arch::SourceTensor;

/// Where unquantised weights come from: a published model, a packed one, or random numbers.
pub trait TensorSource {
    /// Shape and values, row-major, of a tensor.
    ///
    /// # Errors
    /// [`PackedError::Source`] if there is no such tensor or it cannot be read.
    fn tensor(&mut self, tensor: &SourceTensor) -> Result<(Vec<usize>, Vec<f32>), PackedError>;

    /// Takes back the values of a tensor that are no longer needed, so that the next one can lie
    /// where they did. The system takes long to give a process new memory.
    fn recycle(&mut self, _values: Vec<f32>) {}
}

/// The rows of a source tensor that a packed model takes, read and checked.
pub(crate) struct SourceRows<'a> {
    values: Vec<f32>,
    width: usize,
    /// The source's number of each row, if not all are taken in order.
    chosen: Option<&'a [u32]>,
}

impl<'a> SourceRows<'a> {
    /// Reads `tensor`; `token_ids` are the source's token ids in the order of the packed model.
    ///
    /// # Errors
    /// If the tensor is missing, has another shape, or holds a value that no model may hold.
    pub(crate) fn read(
        source: &mut dyn TensorSource,
        tensor: &SourceTensor,
        token_ids: &'a [u32],
    ) -> Result<SourceRows<'a>, PackedError> {
        let (shape, values) = source.tensor(tensor)?;
        if shape.iter().product::<usize>() != values.len() {
            let (got, want) = (values.len(), shape);
            return Err(PackedError::tensor(
                &tensor.hugging_face.name,
                format!("{got} values"),
                format!("{want:?}"),
            ));
        }
        if let Some(want) = shape_error(tensor, &shape, token_ids) {
            let got = format!("{shape:?}");
            return Err(PackedError::tensor(&tensor.hugging_face.name, got, want));
        }
        if let Some(bad) = values.iter().find(|value| !is_bounded(**value)) {
            return Err(PackedError::value(&tensor.hugging_face.name, bad, BOUNDED));
        }
        Ok(SourceRows {
            values,
            width: tensor.shape.get(1).copied().unwrap_or(1),
            chosen: chosen(tensor, token_ids),
        })
    }

    /// Gives the memory back to the source that the rows were read from.
    pub(crate) fn recycle(self, source: &mut dyn TensorSource) {
        source.recycle(self.values);
    }

    /// The rows in the order of the packed model.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[f32]> {
        let count = self
            .chosen
            .map_or(self.values.len() / self.width, <[u32]>::len);
        (0..count).map(|row| {
            let row = self.chosen.map_or(row, |chosen| chosen[row] as usize);
            &self.values[row * self.width..][..self.width]
        })
    }
}

fn chosen<'a>(tensor: &SourceTensor, token_ids: &'a [u32]) -> Option<&'a [u32]> {
    let count = tensor.shape[0].min(token_ids.len());
    tensor.by_token.then(|| &token_ids[..count])
}

/// What was expected of a tensor whose shape in the source is `got`; `None` if that shape will do.
pub(crate) fn shape_error(
    tensor: &SourceTensor,
    got: &[usize],
    token_ids: &[u32],
) -> Option<String> {
    let Some(chosen) = chosen(tensor, token_ids) else {
        return (got != tensor.shape).then(|| format!("{:?}", tensor.shape));
    };
    let last = chosen.iter().max().copied().unwrap_or(0) as usize;
    let (rest, dimensions) = (&tensor.shape[1..], tensor.shape.len());
    let fits = got.len() == dimensions && got[0] > last && got[1..] == *rest;
    (!fits).then(|| match rest {
        [] => format!("[more than {last}]"),
        [columns, ..] => format!("[more than {last}, {columns}]"),
    })
}
