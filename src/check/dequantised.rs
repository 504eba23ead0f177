//! The dequantised weights of a packed model, in the form of a source of weights.

use crate::arch::SourceTensor;
use crate::packed::quantize::tiled_offset;
use crate::packed::{PackedError, PackedModel, TensorSource};
use std::sync::Arc;

/// The int8 weights of a packed model, as floats. Its token ids are the rows of the packed model.
pub(super) struct Dequantised(pub(super) Arc<PackedModel>);

impl TensorSource for Dequantised {
    fn tensor(&mut self, tensor: &SourceTensor) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        let rows = tensor.rows_in_packed();
        let Ok(matrix) = self.0.matrix(&tensor.packed) else {
            let ending = if tensor.is_bias { "bias" } else { "weight" };
            let vector = self.0.floats(&format!("{}.{ending}", tensor.packed))?;
            let width: usize = tensor.shape[1..].iter().product();
            let values = &vector[rows.start * width..rows.end * width];
            return Ok((tensor.shape.clone(), values.to_vec()));
        };
        let values = match tensor.shape[..] {
            [_, columns] if !tensor.is_bias => rows
                .flat_map(|row| (0..columns).map(move |column| (row, column)))
                .map(|(row, column)| {
                    let byte = matrix.tiles[tiled_offset(row, column, columns)];
                    (i32::from(byte) - 128) as f32 * matrix.scales[row]
                })
                .collect(),
            _ => matrix.bias.unwrap_or_default()[rows].to_vec(),
        };
        Ok((tensor.shape.clone(), values))
    }
}
