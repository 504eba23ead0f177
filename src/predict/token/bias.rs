//! A bias on the language model's logits, learned while coding: how much more often this file uses
//! a token than the model expects.
//!
//! After each token the bias of every vocabulary entry takes one step of stochastic gradient
//! descent on the token's code length, `b_i -= RATE * (p_i - [i = token])`, in integers: `p_i` is
//! the entry's share of the model's integer weights. A step that rounds to 0 changes nothing, so
//! only the bias of the coded token changes, and those of tokens to which the model gives a
//! noticeable probability.

/// Entries that are skipped together if the model rules all of them out, as it does for most.
const CHUNK: usize = 32;

/// Step size in units of a logit: 2^-16 bits. 0.1 in natural logarithms is 0.1 * log2(e) * 65536.
const RATE: u32 = 9455;

/// No bias grows beyond 16 bits, whatever the file does.
const LIMIT: i32 = 16 << 16;

/// The stream of the token that a bias learns from.
#[derive(Clone, Copy, Debug)]
pub enum TokenOf {
    /// That of the stream the bias is for: learned at the full rate.
    ThisStream,
    /// That of another stream of the block: learned at half the rate.
    AnotherStream,
}

/// One bias for each output row, in units of a logit.
#[derive(Clone, Debug)]
pub struct OutputBias {
    values: Vec<i32>,
}

impl OutputBias {
    /// No bias on any of `vocabulary` entries.
    pub fn new(vocabulary: usize) -> OutputBias {
        OutputBias {
            values: vec![0; vocabulary],
        }
    }

    /// The numbers to be added to the logits.
    pub fn values(&self) -> &[i32] {
        &self.values
    }

    /// Learns that the token was `row`, under the distribution `cumulative`: exclusive prefix sums
    /// of weights, of which the largest is 2^24.
    pub fn update(&mut self, cumulative: &[u64], row: u32, token_of: TokenOf) {
        let rate = match token_of {
            TokenOf::ThisStream => RATE,
            TokenOf::AnotherStream => RATE / 2,
        };
        let total = cumulative[cumulative.len() - 1];
        // At most `rate * 2^8`, because the largest weight alone is 2^24.
        let per_weight = (u64::from(rate) << 32) / total.max(1 << 24);
        for (chunk, values) in self.values.chunks_mut(CHUNK).enumerate() {
            let sums = &cumulative[chunk * CHUNK..][..=values.len()];
            // If the sum of the chunk rounds to no step, so does every entry.
            if ((sums[values.len()] - sums[0]) * per_weight) >> 32 > 0 {
                descend(values, sums, per_weight as u32);
            }
        }
        let value = &mut self.values[row as usize];
        *value = (*value + rate as i32).min(LIMIT);
    }
}

/// Subtracts `weight * per_weight * 2^-32` from each value. `sums` are the prefix sums of the
/// weights.
fn descend(values: &mut [i32], sums: &[u64], per_weight: u32) {
    for (value, sums) in values.iter_mut().zip(sums.windows(2)) {
        // Both factors fit 32 bits. Written so, the product is one that vector units have.
        let weight = u64::from((sums[1] - sums[0]) as u32);
        let step = (weight * u64::from(per_weight)) >> 32;
        *value = (*value - step as i32).max(-LIMIT);
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
