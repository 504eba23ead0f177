//! The floating-point types of published weights.

/// A type of floats, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FloatType {
    F32,
    F16,
    /// The upper half of an F32.
    Bf16,
}

impl FloatType {
    /// Bytes of a value.
    pub(super) fn size(self) -> usize {
        match self {
            FloatType::F32 => 4,
            FloatType::F16 | FloatType::Bf16 => 2,
        }
    }

    /// The largest distance of two neighbouring values, as a share of the greater; those below the
    /// smallest normal value may be further apart.
    pub(super) fn largest_step(self) -> f32 {
        let fraction_bits = match self {
            FloatType::F32 => 23,
            FloatType::F16 => 10,
            FloatType::Bf16 => 7,
        };
        f32::from_bits((127 - fraction_bits) << 23)
    }

    /// Appends the values that `bytes` hold.
    pub(super) fn append(self, bytes: &[u8], values: &mut Vec<f32>) {
        match self {
            FloatType::F32 => append(bytes, values, f32::from_le_bytes),
            FloatType::F16 => append(bytes, values, |b| f16_to_f32(u16::from_le_bytes(b))),
            FloatType::Bf16 => append(bytes, values, |b| {
                f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)
            }),
        }
    }
}

fn append<const N: usize>(bytes: &[u8], values: &mut Vec<f32>, convert: impl Fn([u8; N]) -> f32) {
    let (all, _) = bytes.as_chunks::<N>();
    values.extend(all.iter().map(|&value| convert(value)));
}

/// IEEE binary16 to binary32, exact.
pub(super) fn f16_to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let exponent = u32::from(half >> 10) & 0x1f;
    let fraction = u32::from(half & 0x3ff);
    let magnitude = match exponent {
        // 2^-24 is the unit of subnormal halves; the product is exact.
        0 => (fraction as f32 * f32::from_bits((127 - 24) << 23)).to_bits(),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 127 - 15) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_become_floats_exactly() {
        for (half, float) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 2f32.powi(-24)),
            (0x03ff, 1023.0 * 2f32.powi(-24)),
            (0x0400, 2f32.powi(-14)),
            (0x3555, 0.333_251_95),
        ] {
            assert_eq!(f16_to_f32(half), float, "{half:04x}");
        }
        assert_eq!(f16_to_f32(0x8000).to_bits(), (-0.0f32).to_bits());
        assert_eq!(f16_to_f32(0xfc00), f32::NEG_INFINITY);
        assert!(f16_to_f32(0x7e00).is_nan());
    }

    #[test]
    fn values_are_appended_in_order() {
        let mut values = vec![7.0];
        FloatType::F32.append(&1.5f32.to_le_bytes(), &mut values);
        FloatType::F16.append(&[0, 0x3c, 0, 0xc0], &mut values);
        FloatType::Bf16.append(&[0x80, 0x3f, 0, 0x40], &mut values);
        assert_eq!(values, [7.0, 1.5, 1.0, -2.0, 1.0, 2.0]);
    }
}
