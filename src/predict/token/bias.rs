//! A bias on the language model's logits, learned while coding: how much more often this file uses
//! a token than the model expects.
//!
//! After each token the bias of every vocabulary entry takes one step of stochastic gradient
//! descent on the token's code length, `b_i -= RATE * (p_i - [i = token])`, in integers: `p_i` is
//! the entry's share of the model's integer weights. A step that rounds to 0 changes nothing, so
//! only the bias of the coded token changes, and those of tokens to which the model gives a
//! noticeable probability.

use crate::machine::{MachineError, memory};

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

    /// Learns that the token was `row`, under the distribution `cumulative`: exclusive prefix sums
    /// of weights, of which the largest is 2^24.
    pub(super) fn update(&mut self, cumulative: &[u64], row: u32, token_of: TokenOf) {
        let rate = match token_of {
            TokenOf::ThisStream => RATE,
            TokenOf::AnotherStream => RATE / 2,
        };
        for_each_step(rate, cumulative, 0, &mut self.values, |value, step| {
            *value = (*value - step).max(-LIMIT);
        });
        let value = &mut self.values[row as usize];
        *value = (*value + rate as i32).min(LIMIT);
    }

    /// Takes the steps that the tokens of a round ask for, summed by [`sum_steps`], in a block of
    /// `streams` streams.
    pub(super) fn take_steps(&mut self, steps: &[i32], streams: usize) {
        let shift = shift(streams);
        for (value, step) in self.values.iter_mut().zip(steps) {
            *value = (*value - (step >> shift)).clamp(-LIMIT, LIMIT);
        }
    }
}

/// Sums the steps that the tokens of a round ask for at the full rate: for the entries from `first`
/// on, of which there are as many as `sums`. A token is given by its distribution and its row.
pub(super) fn sum_steps(first: usize, sums: &mut [i32], tokens: &[(&[u64], u32)]) {
    sums.fill(0);
    for &(cumulative, row) in tokens {
        for_each_step(RATE, cumulative, first, sums, |sum, step| *sum += step);
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

/// Calls `take` with each of `values` and its step, `weight * rate / total`, except for steps that
/// round to 0. `values` belong to the entries from `first` on, and `cumulative` are the prefix sums
/// of the weights of all entries.
fn for_each_step(
    rate: u32,
    cumulative: &[u64],
    first: usize,
    values: &mut [i32],
    take: impl Fn(&mut i32, i32),
) {
    let total = cumulative[cumulative.len() - 1];
    // At most `rate * 2^8`, because the largest weight alone is 2^24.
    let per_weight = (u64::from(rate) << 32) / total.max(1 << 24);
    for (chunk, values) in values.chunks_mut(CHUNK).enumerate() {
        let sums = &cumulative[first + chunk * CHUNK..][..=values.len()];
        // If the sum of the chunk rounds to no step, so does every entry.
        if ((sums[values.len()] - sums[0]) * per_weight) >> 32 == 0 {
            continue;
        }
        for (value, sums) in values.iter_mut().zip(sums.windows(2)) {
            // Both factors fit 32 bits. Written so, the product is one that vector units have.
            let weight = u64::from((sums[1] - sums[0]) as u32);
            take(
                value,
                ((weight * u64::from(per_weight as u32)) >> 32) as i32,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_moves_probability_to_the_token_that_came() {
        let mut bias = OutputBias::new(3);
        let (top, half) = (1 << 24, 1 << 23);
        bias.update(
            &[0, top, top + half, top + half + 1],
            1,
            TokenOf::ThisStream,
        );
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
            bias.update(&[0, 1, 1 + (1 << 24)], 0, TokenOf::ThisStream);
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
            bias.update(&cumulative, row as u32, token_of);
            step_plainly(&mut plain, &cumulative, row, rate);
        }
        assert_eq!(bias.values(), plain);
    }
}
