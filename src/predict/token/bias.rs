//! A bias on the language model's logits, learned while coding: how much more often this file uses
//! a token than the model expects.
//!
//! After each token the bias of every vocabulary entry takes one step of stochastic gradient
//! descent on the token's code length, `b_i -= RATE * (p_i - [i = token])`, in integers: `p_i` is
//! the entry's share of the model's integer weights. A step that rounds to 0 changes nothing, so
//! only the bias of the coded token changes, and those of tokens to which the model gives a
//! noticeable probability.

use std::ops::Range;

use super::Weights;
use crate::machine::aligned::Aligned;
use crate::machine::instructions::InstructionSet;
use crate::machine::{MachineError, memory};
use crate::predict::kernels::distribution::GROUP;
use crate::predict::kernels::{descend, sum_steps, take_steps};

/// What memory is asked for.
const WHAT: &str = "an output bias";

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
    values: Aligned<i32>,
}

impl OutputBias {
    /// No bias on any of `vocabulary` entries.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(super) fn new(vocabulary: usize) -> Result<OutputBias, MachineError> {
        Ok(OutputBias {
            values: Aligned::filled(WHAT, vocabulary, 0)?,
        })
    }

    /// A copy.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(super) fn try_clone(&self) -> Result<OutputBias, MachineError> {
        Ok(OutputBias {
            values: Aligned::copied(WHAT, &self.values, 0)?,
        })
    }

    /// The numbers to be added to the logits.
    pub(super) fn values(&self) -> &[i32] {
        &self.values
    }

    /// Learns that the token of this distribution was `row`.
    pub(super) fn update(
        &mut self,
        instructions: InstructionSet,
        model: &ModelWeights,
        row: u32,
        token_of: TokenOf,
    ) {
        let rate = match token_of {
            TokenOf::ThisStream => RATE,
            TokenOf::AnotherStream => RATE / 2,
        };
        let (weights, unit) = (model.weights.rows(), model.unit(rate));
        descend(
            instructions,
            &mut self.values,
            weights,
            &model.noticed,
            unit,
            LIMIT,
        );
        let value = &mut self.values[row as usize];
        *value = (*value + rate as i32).min(LIMIT);
    }

    /// Takes the steps that the tokens of a round ask for, summed by [`sum_round`], in a block of
    /// `streams` streams.
    pub(super) fn take_steps(
        &mut self,
        instructions: InstructionSet,
        steps: &[i32],
        streams: usize,
    ) {
        take_steps(instructions, &mut self.values, steps, shift(streams), LIMIT);
    }
}

/// Sums the steps that the tokens of a round ask for at the full rate: for the entries from `first`
/// on, of which there are as many as `sums`. Each token is given with its distribution. `first` is
/// a multiple of [`GROUP`].
pub(super) fn sum_round(
    instructions: InstructionSet,
    first: usize,
    sums: &mut [i32],
    tokens: &[(&ModelWeights, u32)],
) {
    sums.fill(0);
    let rows = first..first + sums.len();
    let first_group = (first / GROUP) as u32;
    for &(model, row) in tokens {
        let (weights, noticed) = (&model.weights.rows()[rows.clone()], model.noticed(&rows));
        sum_steps(
            instructions,
            sums,
            weights,
            first_group,
            noticed,
            model.unit(RATE),
        );
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
    weights: Weights,
    /// The groups of rows in which a step need not round to 0, in ascending order.
    noticed: Vec<u32>,
}

impl ModelWeights {
    /// Weights of `vocabulary` entries, to be set.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub(super) fn new(vocabulary: usize) -> Result<ModelWeights, MachineError> {
        let (weights, mut noticed) = (Weights::new(vocabulary)?, Vec::new());
        memory::reserve(&mut noticed, "a distribution", weights.groups())?;
        Ok(ModelWeights { weights, noticed })
    }

    /// Bytes that the weights of `vocabulary` entries take.
    pub(super) fn bytes(vocabulary: usize) -> usize {
        Weights::bytes(vocabulary) + vocabulary.div_ceil(GROUP) * size_of::<u32>()
    }

    /// The weights, of which the largest is 2^24.
    pub(super) fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The weight of an entry.
    pub(super) fn weight(&self, row: u32) -> u64 {
        u64::from(self.weights.rows()[row as usize])
    }

    /// Sets the weights with `set`.
    pub(super) fn set(&mut self, set: impl FnOnce(&mut Weights)) {
        set(&mut self.weights);
        let groups = self.weights.groups();
        let least = (1u64 << 32).div_ceil(u64::from(self.unit(RATE)));
        self.noticed.resize(groups, 0);
        let mut count = 0;
        for group in 0..groups {
            // No branch: the processor could not predict it.
            self.noticed[count] = group as u32;
            count += usize::from(self.weights.sum_of_group(group) >= least);
        }
        self.noticed.truncate(count);
    }

    /// The step for a weight of 1, in units of 2^-32. `rate` is at most [`RATE`], and the largest
    /// weight alone is 2^24, so it fits.
    fn unit(&self, rate: u32) -> u32 {
        ((u64::from(rate) << 32) / self.weights.total().max(1 << 24)) as u32
    }

    /// The noticed groups among `rows`, which begin with a group.
    fn noticed(&self, rows: &Range<usize>) -> &[u32] {
        let rank = |row: usize| {
            let group = row.div_ceil(GROUP) as u32;
            self.noticed.partition_point(|&noticed| noticed < group)
        };
        &self.noticed[rank(rows.start)..rank(rows.end)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(rows: &[u32]) -> ModelWeights {
        let mut weights = ModelWeights::new(rows.len()).unwrap();
        weights.set(|all| *all = Weights::from_rows(rows));
        weights
    }

    #[test]
    fn a_step_moves_probability_to_the_token_that_came() {
        let mut bias = OutputBias::new(3).unwrap();
        let (top, half) = (1 << 24, 1 << 23);
        let model = weights(&[top, half, 1]);
        bias.update(InstructionSet::PORTABLE, &model, 1, TokenOf::ThisStream);
        let [first, second, third] = *bias.values() else {
            panic!()
        };
        assert_eq!(first, -(RATE as i32) * 2 / 3);
        assert!((second - RATE as i32 * 2 / 3).abs() <= 1);
        assert_eq!(third, 0);
    }

    #[test]
    fn the_bias_is_bounded() {
        let mut bias = OutputBias::new(2).unwrap();
        for _ in 0..1000 {
            bias.update(
                InstructionSet::PORTABLE,
                &weights(&[1, 1 << 24]),
                0,
                TokenOf::ThisStream,
            );
        }
        assert!(bias.values()[0] <= LIMIT && bias.values()[1] >= -LIMIT);
        assert_eq!(bias.values()[0], LIMIT);
    }

    /// The step as the head of the module has it.
    fn step_plainly(values: &mut [i32], weights: &[u32], row: usize, rate: u64) {
        let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        let per_weight = (rate << 32) / total;
        for (value, &weight) in values.iter_mut().zip(weights) {
            *value -= ((u64::from(weight) * per_weight) >> 32) as i32;
        }
        values[row] += rate as i32;
    }

    #[test]
    fn what_is_passed_over_would_not_have_moved() {
        let vocabulary = 6 * GROUP + 7;
        let mut bias = OutputBias::new(vocabulary).unwrap();
        let mut plain = vec![0; vocabulary];
        for round in 0..200usize {
            let weight = |index: usize| match (index + round) % 40 {
                0 => 1 << 24,
                near => (1 << 24) >> (near + round % 7).min(25),
            };
            let rows: Vec<u32> = (0..vocabulary).map(weight).collect();
            let (row, other) = (round % vocabulary, round % 3 == 0);
            let (token_of, rate) = match other {
                true => (TokenOf::AnotherStream, u64::from(RATE) / 2),
                false => (TokenOf::ThisStream, u64::from(RATE)),
            };
            bias.update(
                InstructionSet::PORTABLE,
                &weights(&rows),
                row as u32,
                token_of,
            );
            step_plainly(&mut plain, &rows, row, rate);
        }
        assert_eq!(bias.values(), plain);
    }
}
