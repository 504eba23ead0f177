//! Models with random weights, for the tests of this crate and the self-test of devices.

use super::{PackInput, PackedError, TensorSource, pack};
use crate::arch::rope::{Rope, RopeScaling, RotarySteps};
use crate::arch::{Algorithm, Config, SourceTensor};

/// The rotary steps of these models.
pub(crate) fn steps(config: &Config) -> RotarySteps {
    let steps = |theta| {
        let scaling = RopeScaling::None;
        Rope { theta, scaling }.steps(config.head_dim)
    };
    RotarySteps {
        all: steps(10_000.0),
        local: match config.block.has_own_steps() {
            true => steps(100.0),
            false => Vec::new(),
        },
    }
}

/// Weights drawn from a small generator that each tensor's name seeds, so that the order of reading
/// does not matter. The source's token ids are `0..inputs`.
pub(crate) struct RandomSource;

impl TensorSource for RandomSource {
    fn tensor(&mut self, tensor: &SourceTensor) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        let (name, shape) = (&tensor.hugging_face.name, tensor.shape.clone());
        let mut state = name.bytes().fold(0x9e37_79b9_7f4a_7c15u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let (centre, spread) = if name.contains("norm") {
            (1.0, 0.2)
        } else if name.contains("rate") {
            (0.25, 0.25)
        } else if name.contains("shift") {
            (-1.0, 1.0)
        } else if name.ends_with("bias") {
            (0.0, 0.5)
        } else if name.contains("embed") {
            (0.0, 1.0)
        } else {
            (0.0, 2.0 / (shape[1] as f32).sqrt())
        };
        let values = (0..shape.iter().product())
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                centre + spread * ((state >> 40) as f32 / 8_388_608.0 - 1.0)
            })
            .collect();
        Ok((shape, values))
    }
}

/// The weights of [`RandomSource`], each tensor times a power of two that its name and `seed`
/// choose: activations become so small that subnormal numbers arise.
#[cfg(all(test, feature = "gpu"))]
pub(crate) struct TinySource {
    pub(crate) seed: u64,
}

#[cfg(all(test, feature = "gpu"))]
impl TensorSource for TinySource {
    fn tensor(&mut self, tensor: &SourceTensor) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        const EXPONENTS: [i32; 8] = [0, 0, -10, -40, -60, -75, -90, -97];
        let (shape, mut values) = RandomSource.tensor(tensor)?;
        let mixed = tensor
            .hugging_face
            .name
            .bytes()
            .fold(self.seed, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            });
        let factor = 2f32.powi(EXPONENTS[(mixed >> 61) as usize]);
        values.iter_mut().for_each(|value| *value *= factor);
        Ok((shape, values))
    }
}

/// The tokens `A`, `B`, ... (at most 190 of them).
pub(crate) fn tokens(config: &Config) -> Vec<Vec<u8>> {
    (0..config.vocab)
        .map(|row| vec![b'A' + row as u8])
        .collect()
}

/// The source's token id of every input row.
pub(crate) fn rows(config: &Config) -> Vec<u32> {
    (0..config.inputs as u32).collect()
}

/// A score for each token, if the model has any.
pub(crate) fn scores(config: &Config) -> Vec<f32> {
    let scored = config.segmentation.algorithm == Algorithm::Unigram;
    let rows = 0..if scored { config.vocab } else { 0 };
    rows.map(|row| -1.0 - row as f32).collect()
}

/// A packed model of these sizes and options.
///
/// # Panics
/// If no model can have them.
pub(crate) fn model(config: &Config) -> Vec<u8> {
    model_of(config, &mut RandomSource)
}

/// As [`model`], with the weights of `source`.
pub(crate) fn model_of(config: &Config, source: &mut impl TensorSource) -> Vec<u8> {
    let input = PackInput {
        config,
        steps: &steps(config),
        tokens: &tokens(config),
        rows: &rows(config),
        merges: &[(0, 1)],
        scores: &scores(config),
    };
    pack(&input, source).unwrap()
}
