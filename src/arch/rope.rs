//! Rotary steps: how far each pair of a head turns from one position to the next, as a 64-bit
//! fraction of a turn.
//!
//! The steps are part of a packed model, so they are computed with IEEE `+ - * /` alone and are the
//! same on every machine. The logarithm and exponential below are accurate to a few units in the
//! last place of f64, far more accurate than the f32 arithmetic that models are trained with.

use std::f64::consts::{LN_2, PI, SQRT_2};

use super::block::Block;

/// The rotary steps of a model: one for each pair of a head; 2^64 would be one turn a position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RotarySteps {
    /// Those of all layers, except where `local` are others: `[head_dim / 2]`.
    pub all: Vec<u64>,
    /// Those of local layers, if they have steps of their own; otherwise empty.
    pub local: Vec<u64>,
}

impl RotarySteps {
    /// Those of one layer, all 0 if it does not rotate: `[head_dim / 2]`.
    pub fn of_layer(&self, block: &Block, layer: usize) -> Vec<u64> {
        match () {
            () if !block.is_rotated(layer) => vec![0; self.all.len()],
            () if block.has_own_steps() && block.is_local(layer) => self.local.clone(),
            () => self.all.clone(),
        }
    }
}

/// How a model's rotary frequencies are derived.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Base of the geometric progression of wavelengths (`rope_theta`).
    pub theta: f64,
    /// Change of the frequencies for long contexts (`rope_scaling`).
    pub scaling: RopeScaling,
}

/// The forms of `rope_scaling` in use in the Llama family.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// Frequencies as they are.
    None,
    /// Every frequency divided by `factor`.
    Linear {
        /// Divisor.
        factor: f64,
    },
    /// Llama 3: long wavelengths divided by `factor`, short ones kept, a linear blend between.
    Llama3 {
        /// Divisor of the longest wavelengths.
        factor: f64,
        /// Wavelengths above `original_positions / low` are divided in full.
        low: f64,
        /// Wavelengths below `original_positions / high` are kept.
        high: f64,
        /// Context length that the model was first trained with.
        original_positions: f64,
    },
    /// `YaRN`: as `Llama3`, but the blend is linear in the number of the pair, and rotated values
    /// are multiplied by a magnitude (Peng et al. 2023, <https://arxiv.org/abs/2309.00071>).
    Yarn {
        /// Divisor of the longest wavelengths.
        factor: f64,
        /// Pairs that turn more often than this over the original context are kept.
        fast: f64,
        /// Pairs that turn less often than this are divided in full.
        slow: f64,
        /// Context length that the model was first trained with.
        original_positions: f64,
        /// Whether the ends of the blend are rounded outwards to whole pairs.
        whole_pairs: bool,
        /// What rotated queries and keys are multiplied by.
        magnitude: f64,
    },
    /// The frequency of each pair divided by its own number, as GGUF files of Llama 3 and
    /// `LongRoPE` have it (Ding et al. 2024, <https://arxiv.org/abs/2402.13753>).
    Divisors {
        /// One for each pair.
        each: Vec<f64>,
        /// What rotated queries and keys are multiplied by.
        magnitude: f64,
    },
}

impl Rope {
    /// Whether the base is one that models use.
    pub fn has_sound_base(&self) -> bool {
        (1.0..=1e12).contains(&self.theta)
    }

    /// Whether every number is one that models use: positive, finite, and the base at least 1.
    pub fn is_sound(&self) -> bool {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let scaling = match self.scaling {
            RopeScaling::None => true,
            RopeScaling::Linear { factor } => positive(factor),
            RopeScaling::Divisors {
                ref each,
                magnitude,
            } => each.iter().copied().all(positive) && positive(magnitude),
            RopeScaling::Llama3 {
                factor,
                low,
                high,
                original_positions,
            } => positive(factor) && positive(low) && high > low && positive(original_positions),
            RopeScaling::Yarn {
                factor,
                fast,
                slow,
                original_positions,
                magnitude,
                ..
            } => {
                let positive = [factor, slow, original_positions, magnitude].map(positive);
                positive == [true; 4] && fast > slow && fast.is_finite() && self.theta > 1.0
            }
        };
        scaling && self.has_sound_base()
    }

    /// Whether the scaling is one for heads of this width: there is a divisor for each pair.
    pub fn fits(&self, head_dim: usize) -> bool {
        match &self.scaling {
            RopeScaling::Divisors { each, .. } => each.len() == head_dim / 2,
            _ => true,
        }
    }

    /// Steps for pairs `0..head_dim/2`; 2^64 would be one turn a position.
    ///
    /// # Panics
    /// If the scaling does not [fit](Rope::fits) the width.
    pub fn steps(&self, head_dim: usize) -> Vec<u64> {
        let log_theta = ln(self.theta);
        let blend = self.blend(head_dim);
        (0..head_dim / 2)
            .map(|pair| {
                let frequency = exp(-(2.0 * pair as f64 / head_dim as f64) * log_theta);
                let frequency = self.scaled(frequency, pair, blend);
                let turns = frequency / (2.0 * PI);
                (turns * 18_446_744_073_709_551_616.0).round_ties_even() as u64
            })
            .collect()
    }

    /// What rotated queries and keys are multiplied by.
    pub fn magnitude(&self) -> f64 {
        match self.scaling {
            RopeScaling::Yarn { magnitude, .. } | RopeScaling::Divisors { magnitude, .. } => {
                magnitude
            }
            _ => 1.0,
        }
    }

    /// The pairs between which the frequencies of `YaRN` blend.
    fn blend(&self, head_dim: usize) -> Option<Blend> {
        let RopeScaling::Yarn {
            fast,
            slow,
            original_positions,
            whole_pairs,
            ..
        } = self.scaling
        else {
            return None;
        };
        // The pair, not a whole number, that turns so often over the original context.
        let pair = |turns: f64| {
            let log = ln(original_positions / (turns * 2.0 * PI));
            head_dim as f64 * log / (2.0 * ln(self.theta))
        };
        let (mut first, mut last) = (pair(fast), pair(slow));
        if whole_pairs {
            (first, last) = (first.floor(), last.ceil());
        }
        let (first, last) = (first.max(0.0), last.min(head_dim as f64 - 1.0));
        let last = if first == last { last + 0.001 } else { last };
        Some(Blend { first, last })
    }

    /// The frequency of a pair after scaling; `blend` is that of `YaRN`.
    fn scaled(&self, frequency: f64, pair: usize, blend: Option<Blend>) -> f64 {
        match self.scaling {
            RopeScaling::None => frequency,
            RopeScaling::Linear { factor } => frequency / factor,
            RopeScaling::Divisors { ref each, .. } => frequency / each[pair],
            RopeScaling::Llama3 {
                factor,
                low,
                high,
                original_positions,
            } => {
                let turns = original_positions * frequency / (2.0 * PI);
                if turns > high {
                    frequency
                } else if turns < low {
                    frequency / factor
                } else {
                    let kept = (turns - low) / (high - low);
                    (1.0 - kept) * (frequency / factor) + kept * frequency
                }
            }
            RopeScaling::Yarn { factor, .. } => {
                let kept = blend.map_or(1.0, |blend| blend.kept(pair));
                (1.0 - kept) * (frequency / factor) + kept * frequency
            }
        }
    }
}

/// The pairs between which frequencies blend: those up to `first` are kept, those from `last` on
/// are divided.
#[derive(Clone, Copy, Debug)]
struct Blend {
    first: f64,
    last: f64,
}

impl Blend {
    /// The share of its frequency that a pair keeps.
    fn kept(self, pair: usize) -> f64 {
        let divided = (pair as f64 - self.first) / (self.last - self.first);
        1.0 - divided.clamp(0.0, 1.0)
    }
}

/// The magnitude of `YaRN` for frequencies divided by `factor`; the logarithm counts `weight` times
/// as much as in the paper.
pub fn yarn_magnitude(factor: f64, weight: f64) -> f64 {
    match factor > 1.0 {
        true => 0.1 * weight * ln(factor) + 1.0,
        false => 1.0,
    }
}

/// Natural logarithm of a normal positive number: with `x = m * 2^e` and `s = (m-1)/(m+1)`,
/// `ln m = 2 atanh s`.
pub fn ln(x: f64) -> f64 {
    let mut exponent = ((x.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let mut mantissa =
        f64::from_bits((x.to_bits() & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    if mantissa > SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let mut series = 0.0;
    for term in (0..13).rev() {
        series = series * (s * s) + 1.0 / f64::from(2 * term + 1);
    }
    f64::from(exponent) * LN_2 + 2.0 * s * series
}

/// Exponential for `-700 < x < 700`, the same on every machine: with `x = n ln 2 + r`, the Taylor
/// series of `exp r` scaled by `2^n`.
pub(crate) fn exp(x: f64) -> f64 {
    /// Upper bits of ln 2, exact times any exponent, and the rest.
    const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
    const LN_2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);
    let n = (x / LN_2).round_ties_even();
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut series = 1.0;
    for term in (1..18).rev() {
        series = 1.0 + series * r / f64::from(term);
    }
    series * f64::from_bits(((n as i64 + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided_by(each: Vec<f64>) -> RopeScaling {
        let magnitude = 1.0;
        RopeScaling::Divisors { each, magnitude }
    }

    #[test]
    fn logarithm_and_exponential_agree_with_the_standard_library() {
        for x in [1.0, 1.5, 2.0, 10_000.0, 100_000.0, 500_000.0, 1e6, 0.7] {
            assert!(
                (ln(x) - x.ln()).abs() <= 4e-16 * x.ln().abs().max(1.0),
                "ln {x}"
            );
        }
        for x in [0.0, -0.3, -1.0, -9.2, -13.8, 5.5] {
            assert!((exp(x) / x.exp() - 1.0).abs() < 4e-16, "exp {x}");
        }
    }

    #[test]
    fn the_first_pair_turns_one_radian() {
        let steps = Rope {
            theta: 10_000.0,
            scaling: RopeScaling::None,
        }
        .steps(64);
        assert_eq!(steps.len(), 32);
        let turn = 18_446_744_073_709_551_616.0;
        assert!((steps[0] as f64 / turn * 2.0 * PI - 1.0).abs() < 1e-15);
        assert!((steps[16] as f64 / turn * 2.0 * PI - 0.01).abs() < 1e-17);
        // The exact values, from 50-digit arithmetic; f64 keeps 53 bits.
        for (pair, exact) in [
            (0, 2_935_890_503_282_001_226),
            (1, 2_201_607_287_645_322_119),
            (31, 391_507_290_861_131u64),
        ] {
            assert!(
                steps[pair].abs_diff(exact) <= exact >> 48,
                "pair {pair}: {}",
                steps[pair]
            );
        }
    }

    #[test]
    fn scalings_lengthen_only_what_they_should() {
        let plain = Rope {
            theta: 500_000.0,
            scaling: RopeScaling::None,
        }
        .steps(64);
        let linear = Rope {
            theta: 500_000.0,
            scaling: RopeScaling::Linear { factor: 4.0 },
        }
        .steps(64);
        let llama3 = Rope {
            theta: 500_000.0,
            scaling: RopeScaling::Llama3 {
                factor: 8.0,
                low: 1.0,
                high: 4.0,
                original_positions: 8192.0,
            },
        }
        .steps(64);
        assert_eq!(linear[0], plain[0] / 4);
        assert_eq!(llama3[0], plain[0]);
        assert!((llama3[31] as f64 / (plain[31] as f64 / 8.0) - 1.0).abs() < 1e-12);
    }
    #[test]
    fn divisors_apply_pair_by_pair() {
        let theta = 500_000.0;
        let rope = |scaling| Rope { theta, scaling };
        let mut divisors = vec![1.0; 32];
        divisors[5] = 2.0;
        divisors[31] = 8.0;
        let plain = rope(RopeScaling::None).steps(64);
        let divided = rope(divided_by(divisors.clone()));
        assert!(divided.is_sound() && divided.fits(64) && !divided.fits(32));
        let steps = divided.steps(64);
        for pair in 0..32 {
            let want = plain[pair] as f64 / divisors[pair];
            assert!((steps[pair] as f64 - want).abs() <= 1.0, "pair {pair}");
        }
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            divisors[7] = bad;
            assert!(!rope(divided_by(divisors.clone())).is_sound());
        }
        // What converters write for Llama 3.2 (theta 500,000, factor 32, low 1, high 4, 8,192
        // positions) gives the steps of that scaling.
        let llama3 = rope(RopeScaling::Llama3 {
            factor: 32.0,
            low: 1.0,
            high: 4.0,
            original_positions: 8192.0,
        });
        let scaled = llama3.steps(64);
        let pairs = plain.iter().zip(&scaled);
        let divisors =
            pairs.map(|(&plain, &scaled)| f64::from((plain as f64 / scaled as f64) as f32));
        for (a, b) in rope(divided_by(divisors.collect()))
            .steps(64)
            .iter()
            .zip(scaled)
        {
            assert!((*a as f64 / b as f64 - 1.0).abs() < 1e-6);
        }
    }
}
