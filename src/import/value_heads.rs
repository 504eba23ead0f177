//! The order of the value heads of recurrences. Packed models have those of each key head one after
//! the other. llama.cpp's files have the first ones of all key heads, then the second ones, and so
//! on.

use crate::arch::block::Recurrent;
use crate::arch::{SourceTensor, parts};

/// Gives `values`, a tensor of a recurrence as llama.cpp orders it, the order of packed models;
/// does nothing to other tensors.
pub(super) fn group(recurrent: &Recurrent, tensor: &SourceTensor, values: &mut [f32]) {
    let queries_and_keys = 2 * recurrent.key_heads * recurrent.key_dim;
    let of_part = |spec: &parts::TensorSpec| tensor.part == spec.name;
    let width = values.len() / tensor.shape[0].max(1);
    // Rows before those of value heads, and rows of each of these.
    let (before, rows) = match () {
        () if of_part(&parts::RECURRENT_CONV) => (queries_and_keys, recurrent.value_dim),
        () if of_part(&parts::RECURRENT_IN) => match tensor.first_row {
            0 => (queries_and_keys, recurrent.value_dim),
            row if row < recurrent.kept_rows() => (0, 1),
            _ => (0, recurrent.value_dim),
        },
        () if of_part(&parts::RECURRENT_RATE) || of_part(&parts::RECURRENT_SHIFT) => (0, 1),
        () if of_part(&parts::RECURRENT_OUT) => {
            // The heads are columns.
            let rows = values.chunks_exact_mut(width.max(1));
            return rows.for_each(|row| group_heads(recurrent, row, recurrent.value_dim));
        }
        () => return,
    };
    group_heads(recurrent, &mut values[before * width..], rows * width);
}

/// The same for the values of all heads, as many of each as `len`.
fn group_heads(recurrent: &Recurrent, values: &mut [f32], len: usize) {
    let tiled = values.to_vec();
    let of_key = recurrent.value_heads / recurrent.key_heads;
    for (place, head) in values.chunks_exact_mut(len.max(1)).enumerate() {
        let (key, value) = (place / of_key, place % of_key);
        let from = (value * recurrent.key_heads + key) * len;
        head.copy_from_slice(&tiled[from..from + len]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_heads_of_a_key_head_become_neighbours() {
        let recurrent = Recurrent {
            layers: vec![0],
            key_heads: 2,
            value_heads: 6,
            key_dim: 1,
            value_dim: 1,
            taps: 1,
        };
        // Each value is its key head, then its number there.
        let mut values = [0., 10., 1., 11., 2., 12.];
        group_heads(&recurrent, &mut values, 1);
        assert_eq!(values, [0., 1., 2., 10., 11., 12.]);
        let mut pairs = [0., 0.5, 10., 10.5, 1., 1.5, 11., 11.5, 2., 2.5, 12., 12.5];
        group_heads(&recurrent, &mut pairs, 2);
        assert_eq!(
            pairs,
            [0., 0.5, 1., 1.5, 2., 2.5, 10., 10.5, 11., 11.5, 12., 12.5]
        );
    }
}
