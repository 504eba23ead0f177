//! Weights from f32 to symmetric int8, in the tile layout that every kernel reads.
//!
//! A matrix of N rows and K columns becomes `ceil(N/16)` tiles. A tile holds 16 rows as `Kpad/4`
//! lines of 64 bytes, where `Kpad` is K rounded up to a multiple of 64. Line `j` holds, for each of
//! the 16 rows in turn, columns `4j..4j+4`. A byte is the int8 value plus 128, so 128 is zero and
//! 0, which would be -128, never occurs. Rows and columns beyond the matrix are zero.
//!
//! Only IEEE `+ - * /` and rounding to even are used, so a model packs to the same bytes on every
//! machine.

use crate::arch::config::{GROUP, TILE};

/// Magnitudes below this count as zero: the reciprocal of anything larger is finite.
const TINY: f32 = 1e-30;

/// Bytes of the tiled form of a matrix.
pub fn tiled_len(rows: usize, columns: usize) -> usize {
    padded_rows(rows) * columns.next_multiple_of(GROUP)
}

/// Rows rounded up to whole tiles.
pub fn padded_rows(rows: usize) -> usize {
    rows.next_multiple_of(TILE)
}

/// Offset of the value at (`row`, `column`) in the tiled form of a matrix with `columns` columns.
pub fn tiled_offset(row: usize, column: usize, columns: usize) -> usize {
    let padded = columns.next_multiple_of(GROUP);
    (row / TILE) * TILE * padded + (column / 4) * TILE * 4 + (row % TILE) * 4 + column % 4
}

/// Added to a number of a magnitude below 2^22, it leaves in the lowest bits of the sum the number
/// rounded to a whole one, ties to even: 1.5 * 2^23, plus 128 because bytes are levels plus 128.
const ROUND: f32 = 12_582_912.0 + 128.0;

/// Quantises one row of weights into row `row` of `tiles` and returns its scale, so that
/// `weight = (byte - 128) * scale`.
///
/// The scale is `amax / 127`, with `amax` the largest magnitude of the row; values are rounded to
/// even. `values` must be finite.
pub(super) fn quantize_row(values: &[f32], row: usize, tiles: &mut [u8]) -> f32 {
    // Magnitudes are ordered like their bits, and integers are compared several at a time.
    let bits = values.iter().map(|value| value.abs().to_bits());
    let amax = f32::from_bits(bits.fold(0, u32::max));
    if amax < TINY {
        return 0.0;
    }
    let inverse = 127.0 / amax;
    let lines = tiles[tiled_offset(row, 0, values.len())..].chunks_mut(TILE * 4);
    for (four, line) in values.chunks(4).zip(lines) {
        for (value, byte) in four.iter().zip(line) {
            let level = (value * inverse).clamp(-127.0, 127.0);
            *byte = (level + ROUND).to_bits() as u8;
        }
    }
    amax / 127.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_even_and_fills_the_tile() {
        let mut tiles = vec![128u8; tiled_len(17, 5)];
        assert_eq!(tiles.len(), 2 * 16 * 64);
        let scale = quantize_row(&[127.0, -127.0, 0.5, 1.5, -2.5], 16, &mut tiles);
        assert_eq!(scale, 1.0);
        assert_eq!(&tiles[16 * 64..16 * 64 + 4], &[255, 1, 128, 130]);
        assert_eq!(tiles[16 * 64 + 64], 126);
        assert_eq!(tiles.iter().filter(|byte| **byte != 128).count(), 4);
    }

    #[test]
    fn a_row_of_nothing_has_no_scale() {
        let mut tiles = vec![128u8; tiled_len(1, 3)];
        assert_eq!(quantize_row(&[0.0, -0.0, 1e-40], 0, &mut tiles), 0.0);
        assert!(tiles.iter().all(|byte| *byte == 128));
    }

    /// The formula as the documents have it, value by value.
    #[test]
    fn levels_are_quotients_rounded_to_even() {
        let mut state = 1u32;
        for columns in [1, 3, 64, 101, 1000] {
            let values: Vec<f32> = (0..columns)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    // Halves of levels, so that there are ties, among other numbers.
                    match state >> 30 {
                        0 => (state >> 20 & 0xff) as f32 / 2.0 - 63.5,
                        1 => f32::from_bits(state & 0x80ff_ffff | 0x3f00_0000),
                        _ => (state >> 8) as f32 / (1 << 17) as f32 - 64.0,
                    }
                })
                .chain([127.0])
                .collect();
            let mut tiles = vec![128u8; tiled_len(20, values.len())];
            let scale = quantize_row(&values, 19, &mut tiles);
            let amax = values
                .iter()
                .fold(0f32, |amax, value| amax.max(value.abs()));
            assert_eq!(scale, amax / 127.0);
            for (column, value) in values.iter().enumerate() {
                let want = (value * (127.0 / amax)).round_ties_even() as i32;
                let byte = tiles[tiled_offset(19, column, values.len())];
                assert_eq!(i32::from(byte) - 128, want, "{value}");
            }
        }
    }
}
