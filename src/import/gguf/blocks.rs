//! Block types of GGUF that candle does not read: how their bytes become floats.
//!
//! A block holds the values of 32 or 256 neighbours in a row, as small numbers and a common scale.
//! The layouts are those of llama.cpp (`ggml-common.h`, `ggml-quants.c`); every value is the same
//! f32 as there.

use crate::import::floats::f16_to_f32;

/// The types. What a model is quantised to with `IQ2`, `IQ3`, `Q2_K` or `IQ4_XS`, llama.cpp stores
/// as [`BlockType::Iq4Nl`] where the width of a tensor is no multiple of 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockType {
    /// 32 values: the scale in F16, then four bits each, which choose from [`UNEVEN`].
    Iq4Nl,
    /// 256 values: the scale in F16, six bits of scale for each 32 of them, then as `Iq4Nl`.
    Iq4Xs,
    /// 32 values: the exponent of the scale, then four bits each, which choose from [`FP4`].
    Mxfp4,
    /// 256 values of -1, 0 or 1: five of them in a byte, then the scale in F16.
    Tq1,
    /// 256 values of -1, 0 or 1: four of them in a byte, then the scale in F16.
    Tq2,
}

/// The levels of `IQ4_NL` and `IQ4_XS`, closer to each other around zero.
const UNEVEN: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

/// Twice the values of the floats of four bits: a sign, two bits of exponent, one of fraction.
const FP4: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

impl BlockType {
    /// Values of a block.
    pub(super) fn values(self) -> usize {
        match self {
            BlockType::Iq4Nl | BlockType::Mxfp4 => 32,
            BlockType::Iq4Xs | BlockType::Tq1 | BlockType::Tq2 => 256,
        }
    }

    /// Bytes of a block.
    pub(super) fn bytes(self) -> usize {
        match self {
            BlockType::Iq4Nl => 2 + 16,
            BlockType::Iq4Xs => 2 + 2 + 4 + 128,
            BlockType::Mxfp4 => 1 + 16,
            BlockType::Tq1 => 48 + 4 + 2,
            BlockType::Tq2 => 64 + 2,
        }
    }

    /// Appends the values of all blocks in `bytes`.
    pub(super) fn append(self, bytes: &[u8], values: &mut Vec<f32>) {
        for block in bytes.chunks_exact(self.bytes()) {
            match self {
                BlockType::Iq4Nl => halves(&block[2..], &UNEVEN, f16(block), values),
                BlockType::Iq4Xs => iq4_xs(block, values),
                BlockType::Mxfp4 => halves(&block[1..], &FP4, half_power(block[0]), values),
                BlockType::Tq1 => tq1(block, values),
                BlockType::Tq2 => tq2(block, values),
            }
        }
    }
}

/// The F16 that `bytes` begin with.
fn f16(bytes: &[u8]) -> f32 {
    f16_to_f32(u16::from_le_bytes([bytes[0], bytes[1]]))
}

/// 2^(exponent - 128).
fn half_power(exponent: u8) -> f32 {
    f32::from_bits(match exponent {
        // The two that are subnormal.
        0 => 1 << 21,
        1 => 1 << 22,
        _ => (u32::from(exponent) - 1) << 23,
    })
}

/// The levels that the lower halves of the bytes choose, then those of the upper halves, scaled.
fn halves(bytes: &[u8], levels: &[i8; 16], scale: f32, values: &mut Vec<f32>) {
    for shift in [0, 4] {
        let chosen = bytes
            .iter()
            .map(|byte| levels[usize::from(byte >> shift & 15)]);
        values.extend(chosen.map(|level| scale * f32::from(level)));
    }
}

fn iq4_xs(block: &[u8], values: &mut Vec<f32>) {
    let scale = f16(block);
    let upper = u16::from_le_bytes([block[2], block[3]]);
    for (part, bytes) in block[8..].chunks_exact(16).enumerate() {
        let low = block[4 + part / 2] >> (4 * (part % 2)) & 15;
        let high = (upper >> (2 * part) & 3) as u8;
        let factor = f32::from(low | high << 4) - 32.0;
        halves(bytes, &UNEVEN, scale * factor, values);
    }
}

/// A byte of `Tq1` is a fraction of 256 whose first five ternary digits are the values plus one.
fn tq1(block: &[u8], values: &mut Vec<f32>) {
    let scale = f16(&block[52..]);
    let (first, second, last) = (&block[..32], &block[32..48], &block[48..52]);
    for (bytes, digits) in [(first, 5), (second, 5), (last, 4)] {
        for digit in 0..digits {
            let shifted = bytes.iter().map(|byte| byte.wrapping_mul(3u8.pow(digit)));
            let digit = shifted.map(|byte| (u16::from(byte) * 3 / 256) as u8);
            values.extend(digit.map(|digit| (f32::from(digit) - 1.0) * scale));
        }
    }
}

fn tq2(block: &[u8], values: &mut Vec<f32>) {
    let scale = f16(&block[64..]);
    for bytes in block[..64].chunks_exact(32) {
        for shift in [0, 2, 4, 6] {
            let digits = bytes.iter().map(|byte| byte >> shift & 3);
            values.extend(digits.map(|digit| (f32::from(digit) - 1.0) * scale));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes from a small generator.
    fn noise(seed: u32, count: usize) -> Vec<u8> {
        let mut state = seed;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..count).map(next).collect()
    }

    /// Two blocks, the first with a scale of 0.75, the second with one of -1/512; those of `Mxfp4`
    /// have scales of 1/4 and 2^-127.
    fn two_blocks(kind: BlockType) -> Vec<u8> {
        let mut blocks = Vec::new();
        for (seed, scale, exponent) in [(1, 0x3a00u16, 126), (2, 0x9800, 1)] {
            let mut block = noise(seed, kind.bytes());
            match kind {
                BlockType::Mxfp4 => block[0] = exponent,
                BlockType::Iq4Nl | BlockType::Iq4Xs => {
                    block[..2].copy_from_slice(&scale.to_le_bytes());
                }
                BlockType::Tq1 | BlockType::Tq2 => {
                    let end = block.len();
                    block[end - 2..].copy_from_slice(&scale.to_le_bytes());
                }
            }
            blocks.extend(block);
        }
        blocks
    }

    /// FNV-1a of the values' bits.
    fn hash(values: &[f32]) -> u64 {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    /// Values and hash come from `gguf.quants.dequantize` of the Python package gguf 0.17, which
    /// computes them from the same bytes with numpy.
    #[test]
    fn values_are_those_of_the_format_bit_for_bit() {
        const TINY: f32 = 7.052_966e-38;
        for (kind, first, last, want) in [
            (
                BlockType::Iq4Nl,
                [-78.0, -36.75, 39.75, 66.75, -16.5, 66.75],
                [0.01953125, 0.248_046_88, 0.068359375],
                0x90ff_71a2_6a6a_3c6d,
            ),
            (
                BlockType::Iq4Xs,
                [147.0, 195.0, 381.0, -159.0, 30.0, 66.0],
                [-0.943_359_4, 1.736_328_1, 0.669_921_9],
                0x086f_31c0_bc9f_e379,
            ),
            (
                BlockType::Mxfp4,
                [-2.0, 0.25, 1.0, -1.0, -2.0, 2.0],
                [TINY, TINY, 0.0],
                0xe3ad_6026_de97_bc7b,
            ),
            (
                BlockType::Tq1,
                [-0.75, 0.0, 0.0, 0.75, -0.75, 0.0],
                [0.001953125, 0.001953125, -0.001953125],
                0x74fb_a049_2e1a_2764,
            ),
            (
                BlockType::Tq2,
                [-0.75, 0.75, 0.0, -0.75, -0.75, 0.75],
                [-0.00390625, 0.001953125, -0.00390625],
                0x1c2e_cd22_09c4_ac08u64,
            ),
        ] {
            let mut values = Vec::new();
            kind.append(&two_blocks(kind), &mut values);
            assert_eq!(values.len(), 2 * kind.values());
            assert_eq!(values[..6], first, "{kind:?}");
            assert_eq!(values[values.len() - 3..], last, "{kind:?}");
            assert_eq!(hash(&values), want, "{kind:?}");
        }
    }

    #[test]
    fn scales_of_mxfp4_are_powers_of_two() {
        for exponent in 0..=255u8 {
            let want = 2f64.powi(i32::from(exponent) - 128);
            assert_eq!(f64::from(half_power(exponent)), want);
        }
    }
}
