//! The dequantised weights of a packed model, in the form of a source of weights.

use crate::arch::SourceTensor;
use crate::arch::rope::{Rope, RopeScaling};
use crate::packed::quantize::tiled_offset;
use crate::packed::{PackedError, PackedModel, TensorSource};
use std::sync::Arc;

/// The int8 weights of a packed model, as floats. Its token ids are the rows of the packed model.
pub(super) struct Dequantised(pub(super) Arc<PackedModel>);

impl TensorSource for Dequantised {
    fn tensor(&mut self, tensor: &SourceTensor) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        let rows = tensor.first_row..tensor.first_row + tensor.shape[0];
        let Ok(matrix) = self.0.matrix(&tensor.packed) else {
            let vector = self.0.floats(&format!("{}.weight", tensor.packed))?;
            return Ok((tensor.shape.clone(), vector.to_vec()));
        };
        let values = match tensor.shape[..] {
            [_, columns] => rows
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

/// The base of a plain geometric progression of steps, `None` if they are none.
pub(super) fn rope_of(steps: &[u64]) -> Option<Rope> {
    let last = steps.len().checked_sub(1)?;
    let ratio = *steps.first()? as f64 / *steps.last()? as f64;
    // theta^(2 last / (2 (last + 1))) = first / last step.
    let theta = match last {
        0 => 10_000.0,
        _ => ratio.powf((last + 1) as f64 / last as f64),
    };
    // The bases in use are whole numbers.
    let rope = Rope {
        theta: theta.round(),
        scaling: RopeScaling::None,
    };
    let again = rope.steps(2 * steps.len());
    let close = |(&a, &b): (&u64, &u64)| (a as f64 / b as f64 - 1.0).abs() < 1e-9;
    again.iter().zip(steps).all(close).then_some(rope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_of_rotary_steps_is_found_again() {
        for theta in [10_000.0, 100_000.0, 500_000.0, 1_000_000.0] {
            let rope = Rope {
                theta,
                scaling: RopeScaling::None,
            };
            assert_eq!(rope_of(&rope.steps(64)), Some(rope));
        }
        let scaled = Rope {
            theta: 500_000.0,
            scaling: RopeScaling::Llama3 {
                factor: 8.0,
                low: 1.0,
                high: 4.0,
                original_positions: 8192.0,
            },
        };
        assert_eq!(rope_of(&scaled.steps(64)), None);
    }
}
