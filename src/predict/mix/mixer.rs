//! Logistic mixing in two layers.
//!
//! The first layer holds several sets of weight vectors. A context selects one vector of each set,
//! and each selected vector gives its own weighted sum of all inputs. The second layer mixes these
//! sums. Every vector descends the gradient of its own coding cost, fast at first and slower later.

use super::logistic::{LOGIT_MAX, PROBABILITY_BITS, squash};
use crate::machine::aligned::Aligned;
use crate::machine::instructions::{InstructionSet, compile_for_each};
use crate::predict::kernels::mixer::{LANES, dot, train};

/// A sum of the first layer, in 1/4096 nat, as an input of the second, in 1/256 nat.
fn as_input(sum: i32) -> i32 {
    (sum >> 4).clamp(-LOGIT_MAX, LOGIT_MAX)
}

/// How fast weights move: `floor + extra / (1 + bits / halving)`, in 2^-16.
#[derive(Clone, Copy)]
pub(crate) struct Rate {
    /// The rate after many bits.
    pub floor: u32,
    /// What is added to it at first.
    pub extra: u32,
    /// Bits after which half of the extra is left.
    pub halving: u32,
}

/// One set of weight vectors.
#[derive(Clone, Copy)]
pub(crate) struct Set {
    /// How many contexts select among its vectors.
    pub contexts: usize,
    /// Factor on the mixer's rate.
    pub pace: u32,
}

/// Fastest rate that cannot overflow: an error of one times the largest logit.
const RATE_MAX: u32 = 2000;

/// Bits after which a vector's rate no longer changes.
const SETTLED: u16 = 4095;

impl Rate {
    fn by_bits(self) -> Vec<u32> {
        let extra = |bits| self.extra * self.halving / (self.halving + bits);
        (0..=u32::from(SETTLED))
            .map(|bits| self.floor + extra(bits))
            .collect()
    }
}

/// One layer of weight vectors.
#[derive(Clone)]
struct Layer {
    inputs: usize,
    weights: Aligned<i32>,
    /// Bits that each vector has learned from.
    learned: Vec<u16>,
    /// The rate by the number of bits learned.
    rates: Vec<u32>,
}

impl Layer {
    fn new(initial: &[i32], vectors: usize, rate: Rate) -> Layer {
        assert!(initial.len().is_multiple_of(LANES));
        Layer {
            inputs: initial.len(),
            weights: Aligned::from(&initial.repeat(vectors)[..]),
            learned: vec![0; vectors],
            rates: rate.by_bits(),
        }
    }

    /// The rate of a vector that learns one more bit.
    fn next_rate(&mut self, vector: usize, pace: u32) -> u32 {
        let learned = &mut self.learned[vector];
        let rate = (pace * self.rates[usize::from(*learned)]).min(RATE_MAX);
        *learned = (*learned + 1).min(SETTLED);
        rate
    }
}

/// The gradient step of a vector that gave `p`: error times rate, for weights of 20 bits.
#[inline(always)]
fn step(p: u32, bit: bool, rate: u32) -> i32 {
    let error = (i32::from(bit) << PROBABILITY_BITS) - p as i32;
    ((i64::from(error) * i64::from(rate) + (1 << 15)) >> 16) as i32
}

compile_for_each! {
    /// The gradient steps of vectors that gave these sums, in 1/256 nat.
    fn steps_of(sums: &[i32], bit: bool, rates: &[u32], steps: &mut [i32]) = each_step;
}

/// The body of [`steps_of`]. Chunks of a fixed length let the compiler use vectors for the inner
/// loop.
#[inline(always)]
fn each_step(sums: &[i32], bit: bool, rates: &[u32], steps: &mut [i32]) {
    let (sums, _) = sums.as_chunks::<LANES>();
    let (rates, _) = rates.as_chunks::<LANES>();
    let (steps, _) = steps.as_chunks_mut::<LANES>();
    for ((steps, sums), rates) in steps.iter_mut().zip(sums).zip(rates) {
        for lane in 0..LANES {
            steps[lane] = step(squash(sums[lane] * 16), bit, rates[lane]);
        }
    }
}

/// The two layers.
#[derive(Clone)]
pub(crate) struct Mixer {
    instructions: InstructionSet,
    first: Layer,
    /// Index of the first vector of each set.
    sets: Vec<usize>,
    paces: Vec<u32>,
    selected: Vec<usize>,
    offsets: Vec<usize>,
    sums: Vec<i32>,
    /// Rates and steps of each set, and zeros up to a multiple of [`LANES`].
    rates: Vec<u32>,
    steps: Vec<i32>,
    second: Layer,
    second_inputs: Aligned<i32>,
    second_selected: [usize; 1],
    probability: u32,
}

impl Mixer {
    /// A mixer whose vectors of the first layer all begin as `first`, weights with 20 fractional
    /// bits. `second_contexts` select the vector of the second layer; `rates` are those of the
    /// layers.
    pub(crate) fn new(
        instructions: InstructionSet,
        first: &[i32],
        sets: &[Set],
        second_contexts: usize,
        rates: [Rate; 2],
    ) -> Mixer {
        let mut vectors = 0;
        let paces = sets.iter().map(|set| set.pace).collect();
        let sets = Vec::from_iter(sets.iter().map(|set| {
            vectors += set.contexts;
            vectors - set.contexts
        }));
        let second_size = sets.len().next_multiple_of(LANES);
        let second = vec![(1 << 20) / sets.len() as i32; second_size];
        Mixer {
            instructions,
            first: Layer::new(first, vectors, rates[0]),
            selected: vec![0; sets.len()],
            offsets: vec![0; sets.len()],
            sums: vec![0; sets.len()],
            rates: vec![0; second_size],
            steps: vec![0; second_size],
            second: Layer::new(&second, second_contexts, rates[1]),
            second_inputs: Aligned::from(&vec![0; second_size][..]),
            second_selected: [0],
            probability: 0,
            sets,
            paces,
        }
    }

    /// The last sum of each set, in 1/256 nat.
    pub(crate) fn sums(&self) -> &[i32] {
        &self.second_inputs[..self.sets.len()]
    }

    /// The mixed logit in 1/4096 nat. `contexts` has one for each set.
    pub(crate) fn mix(&mut self, inputs: &[i32], contexts: &[usize], second_context: usize) -> i32 {
        assert_eq!(contexts.len(), self.sets.len());
        for (set, &context) in contexts.iter().enumerate() {
            self.selected[set] = self.sets[set] + context;
            self.offsets[set] = self.selected[set] * self.first.inputs;
        }
        dot(
            self.instructions,
            inputs,
            &self.first.weights,
            &self.offsets,
            &mut self.sums,
        );
        for (input, &sum) in self.second_inputs.iter_mut().zip(&self.sums) {
            *input = as_input(sum >> 8);
        }
        self.second_selected = [second_context * self.second.inputs];
        let mut sum = [0];
        dot(
            self.instructions,
            &self.second_inputs,
            &self.second.weights,
            &self.second_selected,
            &mut sum,
        );
        let sum = sum[0] >> 8;
        self.probability = squash(sum);
        sum
    }

    /// The vectors used last learn the bit.
    pub(crate) fn update(&mut self, inputs: &[i32], bit: bool) {
        let vectors = self.selected.iter().zip(&self.paces);
        for (rate, (&vector, &pace)) in self.rates.iter_mut().zip(vectors) {
            *rate = self.first.next_rate(vector, pace);
        }
        let (sums, steps) = (&self.second_inputs, &mut self.steps);
        steps_of(self.instructions, sums, bit, &self.rates, steps);
        train(
            self.instructions,
            inputs,
            &mut self.first.weights,
            &self.offsets,
            &self.steps[..self.sets.len()],
        );
        let vector = self.second_selected[0] / self.second.inputs;
        let rate = self.second.next_rate(vector, 1);
        train(
            self.instructions,
            &self.second_inputs,
            &mut self.second.weights,
            &self.second_selected,
            &[step(self.probability, bit, rate)],
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_instruction_set_takes_the_same_steps(
            lanes in vec((-LOGIT_MAX..=LOGIT_MAX, 0..=RATE_MAX), 2 * LANES),
            bit: bool,
        ) {
            let (sums, rates): (Vec<i32>, Vec<u32>) = lanes.into_iter().unzip();
            let wanted = sums.iter().zip(&rates).map(|(&sum, &rate)| {
                let p = 1.0 / (1.0 + (-f64::from(sum) / 256.0).exp());
                let error = f64::from(u8::from(bit)) - p;
                // 24 bits of error and 16 of rate for weights of 20.
                error * f64::from(rate) * 256.0
            });
            let wanted: Vec<f64> = wanted.collect();
            let mut portable = vec![7; sums.len()];
            steps_of(InstructionSet::PORTABLE, &sums, bit, &rates, &mut portable);
            for (&step, wanted) in portable.iter().zip(&wanted) {
                let error = (f64::from(step) - wanted).abs();
                prop_assert!(error <= 1.0 + wanted.abs() * 2e-4, "{step} for {wanted}");
            }
            for instructions in InstructionSet::available() {
                let mut found = vec![7; sums.len()];
                steps_of(instructions, &sums, bit, &rates, &mut found);
                prop_assert_eq!(&found, &portable, "{}", instructions.name());
            }
        }
    }
}
