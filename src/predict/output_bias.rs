//! An online bias on the language model's logits: how often this file uses a token, beyond what the
//! model thinks.
//!
//! After each token the bias of every vocabulary entry takes one step of stochastic gradient descent
//! on the token's code length, `b_i -= RATE * (p_i - [i = token])`, in integers: `p_i` is the entry's
//! share of the model's integer weights, and a step that rounds to nothing is not taken, so that only
//! entries the model considers are touched.

/// Step size in units of a logit: 2^-16 bits. 0.1 in natural logarithms is 0.1 * log2(e) * 65536.
const RATE: u64 = 9455;

/// No bias grows beyond 16 bits, whatever the file does.
const LIMIT: i32 = 16 << 16;

/// One bias an output row, in units of a logit.
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

    /// What is to be added to the logits.
    pub fn values(&self) -> &[i32] {
        &self.values
    }

    /// Learns that `row` came under the distribution `cumulative`: exclusive prefix sums of weights,
    /// each at most 2^24, the largest 2^24.
    pub fn update(&mut self, cumulative: &[u64], row: u32) {
        let total = cumulative[cumulative.len() - 1];
        // At most RATE * 2^8, because the largest weight alone is 2^24.
        let per_weight = ((RATE << 32) / total.max(1 << 24)) as u32;
        for (value, sums) in self.values.iter_mut().zip(cumulative.windows(2)) {
            // Both factors fit 32 bits: said so, the product is one that vectors have.
            let weight = u64::from((sums[1] - sums[0]) as u32);
            let step = (weight * u64::from(per_weight)) >> 32;
            *value = (*value - step as i32).max(-LIMIT);
        }
        let value = &mut self.values[row as usize];
        *value = (*value + RATE as i32).min(LIMIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_moves_probability_to_the_token_that_came() {
        let mut bias = OutputBias::new(3);
        let (top, half) = (1 << 24, 1 << 23);
        bias.update(&[0, top, top + half, top + half + 1], 1);
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
            bias.update(&[0, 1, 1 + (1 << 24)], 0);
        }
        assert!(bias.values()[0] <= LIMIT && bias.values()[1] >= -LIMIT);
        assert_eq!(bias.values()[0], LIMIT);
    }
}
