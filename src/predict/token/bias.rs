//! A bias on the language model's logits, learned while coding: how much more often this file uses
//! a token than the model expects.
//!
//! After each token the bias of every vocabulary entry takes one step of stochastic gradient
//! descent on the token's code length, `b_i -= RATE * (p_i - [i = token])`, in integers: `p_i` is
//! the entry's share of the model's integer weights. A step that rounds to 0 changes nothing, so
//! only the bias of the coded token changes, and those of tokens to which the model gives a
//! noticeable probability.

use crate::machine::instructions::InstructionSet;
use crate::machine::{MachineError, memory};
use crate::predict::kernels::descend;

/// Entries that are skipped together if the model rules all of them out, as it does for most.
pub(super) const CHUNK: usize = 32;

/// Step size in units of a logit: 2^-16 bits. 0.1 in natural logarithms is 0.1 * log2(e) * 65536.
const RATE: u32 = 9455;

/// No bias grows beyond 16 bits, whatever the file does.
const LIMIT: i32 = 16 << 16;

/// The stream of the token that a bias learns from.
#[derive(Clone, Copy, Debug)]
pub(super) enum TokenOf {
    /// That of the stream the bias is for: learned at the full rate.
    ThisStream,
    /// That of another stream of the block: learned at half the rate.
    AnotherStream,
}

/// One bias for each output row, in units of a logit.
#[derive(Clone, Debug)]
pub(super) struct OutputBias {
    values: Vec<i32>,
}

impl OutputBias {
    /// No bias on any of `vocabulary` entries.
    pub(super) fn new(vocabulary: usize) -> OutputBias {
        OutputBias {
            values: vec![0; vocabulary],
        }
    }

    /// A copy.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(super) fn try_clone(&self) -> Result<OutputBias, MachineError> {
        Ok(OutputBias {
            values: memory::copied("an output bias", &self.values, 0)?,
        })
    }

    /// The numbers to be added to the logits.
    pub(super) fn values(&self) -> &[i32] {
        &self.values
    }

    /// Learns that the token of this distribution was `row`.
    pub(super) fn update(&mut self, model: &ModelWeights, row: u32, token_of: TokenOf) {
        let rate = match token_of {
            TokenOf::ThisStream => RATE,
            TokenOf::AnotherStream => RATE / 2,
        };
        model.for_each_step(rate, 0, &mut self.values, |value, step| {
            *value = (*value - step).max(-LIMIT);
        });
        let value = &mut self.values[row as usize];
        *value = (*value + rate as i32).min(LIMIT);
    }

    /// Takes the steps that the tokens of a round ask for, summed by [`sum_steps`], in a block of
    /// `streams` streams.
    pub(super) fn take_steps(
        &mut self,
        instructions: InstructionSet,
        steps: &[i32],
        streams: usize,
    ) {
        descend(instructions, &mut self.values, steps, shift(streams), LIMIT);
    }
}

/// Sums the steps that the tokens of a round ask for at the full rate: for the entries from `first`
/// on, of which there are as many as `sums`. Each token is given with its distribution. `first` is
/// a multiple of [`CHUNK`].
pub(super) fn sum_steps(first: usize, sums: &mut [i32], tokens: &[(&ModelWeights, u32)]) {
    sums.fill(0);
    for &(model, row) in tokens {
        model.for_each_step(RATE, first, sums, |sum, step| *sum += step);
        let row = (row as usize).checked_sub(first);
        if let Some(sum) = row.and_then(|row| sums.get_mut(row)) {
            *sum -= RATE as i32;
        }
    }
}

/// log2 of the number by which the sum of a round's steps is divided.
fn shift(streams: usize) -> u32 {
    (streams - 1).ilog2() - 3
}

/// The language model's distribution over a token.
#[derive(Clone)]
pub(super) struct ModelWeights {
    /// Exclusive prefix sums of the weights, of which the largest is 2^24.
    sums: Vec<u64>,
    /// The chunks of entries in which a step need not round to 0, in ascending order.
    noticed: Vec<u32>,
}

impl ModelWeights {
    /// Weights of `vocabulary` entries, to be set.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub(super) fn new(vocabulary: usize) -> Result<ModelWeights, MachineError> {
        Ok(ModelWeights {
            sums: memory::filled("a distribution", vocabulary + 1, 0)?,
            noticed: Vec::new(),
        })
    }

    /// Exclusive prefix sums of the weights.
    pub(super) fn sums(&self) -> &[u64] {
        &self.sums
    }

    /// The weight of an entry.
    pub(super) fn weight(&self, row: u32) -> u64 {
        self.sums[row as usize + 1] - self.sums[row as usize]
    }

    /// Sets the weights with `set`, which writes their prefix sums.
    pub(super) fn set(&mut self, set: impl FnOnce(&mut [u64])) {
        set(&mut self.sums);
        self.noticed.clear();
        let per_weight = self.per_weight(RATE);
        let last = self.sums.len() - 1;
        let chunks = (0..last).step_by(CHUNK).enumerate();
        // Here, because the sums are still in the processor's caches.
        let noticed = chunks.filter(|&(_, start)| {
            let weight = self.sums[last.min(start + CHUNK)] - self.sums[start];
            (weight * per_weight) >> 32 > 0
        });
        (self.noticed).extend(noticed.map(|(chunk, _)| chunk as u32));
    }

    /// The step for a weight of 1, in units of 2^-32: at most `rate * 2^8`, because the largest
    /// weight alone is 2^24.
    fn per_weight(&self, rate: u32) -> u64 {
        (u64::from(rate) << 32) / self.sums[self.sums.len() - 1].max(1 << 24)
    }

    /// Calls `take` with each of `values` and its step, `weight * rate / total`, except for some
    /// steps that round to 0. `values` belong to the entries from `first` on, a multiple of
    /// [`CHUNK`]; `rate` is at most [`RATE`].
    fn for_each_step(
        &self,
        rate: u32,
        first: usize,
        values: &mut [i32],
        take: impl Fn(&mut i32, i32),
    ) {
        let per_weight = self.per_weight(rate) as u32;
        let from = (self.noticed).partition_point(|&chunk| (chunk as usize) < first / CHUNK);
        for &chunk in &self.noticed[from..] {
            let start = chunk as usize * CHUNK;
            let Some(values) = values
                .get_mut(start - first..)
                .filter(|rest| !rest.is_empty())
            else {
                break;
            };
            let sums = &self.sums[start..];
            for (value, sums) in values.iter_mut().take(CHUNK).zip(sums.windows(2)) {
                // Both factors fit 32 bits. Written so, the product is one that vector units have.
                let weight = u64::from((sums[1] - sums[0]) as u32);
                take(value, ((weight * u64::from(per_weight)) >> 32) as i32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(sums: &[u64]) -> ModelWeights {
        let mut weights = ModelWeights::new(sums.len() - 1).unwrap();
        weights.set(|all| all.copy_from_slice(sums));
        weights
    }

    #[test]
    fn a_step_moves_probability_to_the_token_that_came() {
        let mut bias = OutputBias::new(3);
        let (top, half) = (1 << 24, 1 << 23);
        let model = weights(&[0, top, top + half, top + half + 1]);
        bias.update(&model, 1, TokenOf::ThisStream);
        let [first, second, third] = *bias.values() else {
            panic!()
        };
        assert_eq!(first, -(RATE as i32) * 2 / 3);
        assert!((second - RATE as i32 * 2 / 3).abs() <= 1);
        assert_eq!(third, 0);
    }

    #[test]
    fn the_bias_is_bounded() {
        let mut bias = OutputBias::new(2);
        for _ in 0..1000 {
            bias.update(&weights(&[0, 1, 1 + (1 << 24)]), 0, TokenOf::ThisStream);
        }
        assert!(bias.values()[0] <= LIMIT && bias.values()[1] >= -LIMIT);
        assert_eq!(bias.values()[0], LIMIT);
    }

    /// The step as the head of the module has it.
    fn step_plainly(values: &mut [i32], cumulative: &[u64], row: usize, rate: u64) {
        let per_weight = (rate << 32) / cumulative[values.len()];
        for (value, sums) in values.iter_mut().zip(cumulative.windows(2)) {
            *value -= (((sums[1] - sums[0]) * per_weight) >> 32) as i32;
        }
        values[row] += rate as i32;
    }

    #[test]
    fn what_is_passed_over_would_not_have_moved() {
        let vocabulary = 3 * CHUNK + 7;
        let mut bias = OutputBias::new(vocabulary);
        let mut plain = vec![0; vocabulary];
        for round in 0..200usize {
            let weight = |index: usize| match (index + round) % 40 {
                0 => 1 << 24,
                near => (1 << 24) >> (near + round % 7).min(25),
            };
            let mut cumulative = vec![0];
            for index in 0..vocabulary {
                cumulative.push(cumulative[index] + weight(index));
            }
            let (row, other) = (round % vocabulary, round % 3 == 0);
            let (token_of, rate) = match other {
                true => (TokenOf::AnotherStream, u64::from(RATE) / 2),
                false => (TokenOf::ThisStream, u64::from(RATE)),
            };
            bias.update(&weights(&cumulative), row as u32, token_of);
            step_plainly(&mut plain, &cumulative, row, rate);
        }
        assert_eq!(bias.values(), plain);
    }
}
