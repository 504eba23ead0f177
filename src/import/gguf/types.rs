//! The types of tensors in GGUF files.

use super::blocks::BlockType;
use crate::import::floats::FloatType;
use candle_core::CpuStorage;
use candle_core::quantized::GgmlDType;
use std::borrow::Cow;

/// A type whose values can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TensorType {
    Float(FloatType),
    /// Read here.
    Block(BlockType),
    /// Read by candle.
    Candle(GgmlDType),
}

impl TensorType {
    /// The type that a number stands for, if its values can be read.
    pub(super) fn of(number: u32) -> Option<TensorType> {
        Some(match number {
            0 => TensorType::Float(FloatType::F32),
            1 => TensorType::Float(FloatType::F16),
            2 => TensorType::Candle(GgmlDType::Q4_0),
            3 => TensorType::Candle(GgmlDType::Q4_1),
            6 => TensorType::Candle(GgmlDType::Q5_0),
            7 => TensorType::Candle(GgmlDType::Q5_1),
            8 => TensorType::Candle(GgmlDType::Q8_0),
            10 => TensorType::Candle(GgmlDType::Q2K),
            11 => TensorType::Candle(GgmlDType::Q3K),
            12 => TensorType::Candle(GgmlDType::Q4K),
            13 => TensorType::Candle(GgmlDType::Q5K),
            14 => TensorType::Candle(GgmlDType::Q6K),
            20 => TensorType::Block(BlockType::Iq4Nl),
            23 => TensorType::Block(BlockType::Iq4Xs),
            30 => TensorType::Float(FloatType::Bf16),
            34 => TensorType::Block(BlockType::Tq1),
            35 => TensorType::Block(BlockType::Tq2),
            39 => TensorType::Block(BlockType::Mxfp4),
            _ => return None,
        })
    }

    /// Values of a block, the least that is stored together.
    pub(super) fn block_values(self) -> usize {
        match self {
            TensorType::Float(_) => 1,
            TensorType::Block(block) => block.values(),
            TensorType::Candle(block) => block.block_size(),
        }
    }

    /// Bytes of a block.
    pub(super) fn block_bytes(self) -> usize {
        match self {
            TensorType::Float(float) => float.size(),
            TensorType::Block(block) => block.bytes(),
            TensorType::Candle(block) => block.type_size(),
        }
    }

    /// Appends the values of all blocks in `bytes`.
    ///
    /// # Errors
    /// If candle cannot read them.
    pub(super) fn append(self, bytes: &[u8], values: &mut Vec<f32>) -> candle_core::Result<()> {
        let count = bytes.len() / self.block_bytes() * self.block_values();
        match self {
            TensorType::Float(float) => float.append(bytes, values),
            TensorType::Block(block) => block.append(bytes, values),
            TensorType::Candle(block) => {
                // candle sees the bytes as blocks that begin at even addresses, and panics if they
                // do not; new memory does.
                let bytes = match bytes.as_ptr().addr().is_multiple_of(2) {
                    true => Cow::Borrowed(bytes),
                    false => Cow::Owned(bytes.to_vec()),
                };
                let blocks = block.from_data(bytes);
                match blocks.dequantize(count)? {
                    CpuStorage::F32(read) => values.extend_from_slice(&read),
                    _ => return Err(candle_core::Error::Msg("values are no floats".to_owned())),
                }
            }
        }
        Ok(())
    }
}

/// Neighbours in a row that have one scale, in every type of blocks.
const ONE_SCALE: usize = 16;

impl TensorType {
    /// Whether the row `stored`, of this type, may be what quantising a row `near` makes: whether
    /// the root mean square of their difference is at most half a step of this type. Rounding to
    /// the nearest level makes 0.29 steps; a row of another matrix is further away, even from the
    /// types of two bits.
    pub(super) fn may_round_to(self, stored: &[f32], near: &[f32]) -> bool {
        let square = |x: f32| f64::from(x) * f64::from(x);
        let differences = stored
            .iter()
            .zip(near)
            .map(|(one, other)| square(one - other));
        let steps = |values: &[f32]| match self {
            TensorType::Float(float) => {
                let steps = values
                    .iter()
                    .map(|value| square(value * float.largest_step()));
                steps.sum::<f64>()
            }
            _ => values.len() as f64 * square(step(values)),
        };
        let differences = differences.sum::<f64>();
        // Steps are slow to find. A third of a row has enough of them if it is right.
        let mut sum = 0.0;
        let is_within = |part| {
            sum += steps(part);
            differences <= 0.25 * sum
        };
        stored.chunks(ONE_SCALE).any(is_within)
    }
}

/// The smallest difference of two values: as a rule the step between the levels of a block, and in
/// blocks with even levels never less. 0 if all are the same.
fn step(values: &[f32]) -> f32 {
    // Bits of floats that are not negative have their order. Less 1, those of 0 are the largest.
    let mut smallest = u32::MAX;
    for distance in 1..values.len() {
        for (one, other) in values.iter().zip(&values[distance..]) {
            smallest = smallest.min((one - other).abs().to_bits().wrapping_sub(1));
        }
    }
    f32::from_bits(smallest.wrapping_add(1))
}

/// The name of a type whose values cannot be read, as llama.cpp has it.
pub(super) fn name(number: u32) -> String {
    match number {
        4 => "Q4_2",
        5 => "Q4_3",
        9 => "Q8_1",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        21 => "IQ3_S",
        22 => "IQ2_S",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        31 => "Q4_0_4_4",
        32 => "Q4_0_4_8",
        33 => "Q4_0_8_8",
        36 => "IQ4_NL_4_4",
        40 => "NVFP4",
        41 => "Q1_0",
        other => return format!("number {other}"),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::quantized::QTensor;
    use candle_core::{Device, Tensor};

    #[test]
    fn a_type_has_either_a_reader_or_a_name() {
        for number in 0..42 {
            let is_read = TensorType::of(number).is_some();
            let is_unread = !name(number).starts_with("number");
            assert!(!(is_read && is_unread), "{number}");
            // llama.cpp has dropped 37 and 38, which were variants of `IQ4_NL`.
            assert!(
                is_read || is_unread || matches!(number, 37 | 38),
                "{number}"
            );
        }
        assert_eq!(TensorType::of(u32::MAX), None);
    }

    /// The type of candle's with the same values.
    fn of_candle(kind: TensorType) -> GgmlDType {
        match kind {
            TensorType::Candle(theirs) => theirs,
            TensorType::Float(FloatType::F32) => GgmlDType::F32,
            TensorType::Float(FloatType::F16) => GgmlDType::F16,
            _ => GgmlDType::BF16,
        }
    }

    #[test]
    fn values_are_those_of_candle() {
        for number in [0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 30] {
            let kind = TensorType::of(number).unwrap();
            let theirs = of_candle(kind);
            let values: Vec<f32> = (0..1024)
                .map(|i| ((i * 37 % 101) as f32 - 50.0) / 40.0)
                .collect();
            let tensor = Tensor::from_vec(values, (4, 256), &Device::Cpu).unwrap();
            let tensor = QTensor::quantize(&tensor, theirs).unwrap();
            let mut got = Vec::new();
            kind.append(&tensor.data().unwrap(), &mut got).unwrap();
            let want = tensor
                .dequantize(&Device::Cpu)
                .unwrap()
                .flatten_all()
                .unwrap();
            assert_eq!(got, want.to_vec1::<f32>().unwrap(), "{theirs:?}");
            assert_eq!(kind.block_values(), theirs.block_size());
        }
    }

    /// Nearly normal numbers.
    fn row(seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..1024).map(|_| (0..6).map(|_| uniform()).sum()).collect()
    }

    /// The values of a row that was quantised to this type.
    fn quantised(number: u32, values: &[f32]) -> (TensorType, Vec<f32>) {
        let kind = TensorType::of(number).unwrap();
        let tensor = Tensor::new(values, &Device::Cpu).unwrap();
        let tensor = QTensor::quantize(&tensor, of_candle(kind)).unwrap();
        let tensor = tensor.dequantize(&Device::Cpu).unwrap();
        (kind, tensor.to_vec1().unwrap())
    }

    #[test]
    fn a_row_may_be_rounded_to_what_quantising_it_makes_and_to_no_other() {
        // From coarse to fine, without F32.
        let numbers = [10, 11, 2, 3, 12, 6, 7, 13, 14, 8, 30, 1];
        for seed in 1..20 {
            let values = row(seed);
            let nearby = values.iter().zip(row(seed + 100));
            let nearby: Vec<f32> = nearby.map(|(value, noise)| value + 0.8 * noise).collect();
            let short: Vec<f32> = row(seed + 100).iter().map(|value| value / 4.0).collect();
            for (place, number) in numbers.into_iter().enumerate() {
                let (kind, coarse) = quantised(number, &values);
                for &fine in &numbers[place..] {
                    let near = quantised(fine, &values).1;
                    assert!(kind.may_round_to(&coarse, &near), "{number} {fine}");
                    assert!(kind.may_round_to(&near, &near), "{number} {fine}");
                }
                assert!(kind.may_round_to(&coarse, &values), "{number}");
                for other in [&row(seed + 100), &nearby, &short, &vec![0.0; 1024]] {
                    assert!(!kind.may_round_to(&coarse, other), "{number}");
                }
            }
        }
        // Levels that are not even.
        let levels = [-127.0, -104.0, -49.0, 1.0, 13.0, 25.0, 38.0, 89.0];
        let stored: Vec<f32> = levels.repeat(32);
        let near: Vec<f32> = stored.iter().map(|value| value + 4.0).collect();
        let kind = TensorType::Block(BlockType::Iq4Nl);
        assert!(kind.may_round_to(&stored, &near));
        assert!(!kind.may_round_to(&near, &vec![f32::NAN; 256]));
    }
}
