//! The weights of a distribution over the rows of a vocabulary.

use crate::machine::aligned::Aligned;
use crate::machine::instructions::InstructionSet;
use crate::machine::{MachineError, memory};
use crate::predict::kernels::chain::Chain;
use crate::predict::kernels::distribution;
use crate::predict::kernels::distribution::{BLOCK, GROUP, GROUPS};

/// Integer weights of the rows of a vocabulary. A row's probability is its weight's share in the
/// total.
///
/// Coding a token asks for the sums of a few ranges of rows only. So the sum of all rows below a
/// row is kept for every 16th row only. That takes little more than half the memory of a sum for
/// each row, and less time, because the weights themselves are written by whole vectors.
#[derive(Clone)]
pub struct Weights {
    count: usize,
    /// The weights, and zeros behind the last up to a whole [`BLOCK`].
    weights: Aligned<u32>,
    /// For each group of rows the sum of the weights of all rows before it, and the total.
    sums: Vec<u64>,
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Weights")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl Weights {
    /// Weights of `rows` rows, all of them 0.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn new(rows: usize) -> Result<Weights, MachineError> {
        const WHAT: &str = "a distribution";
        let blocks = rows.div_ceil(BLOCK);
        Ok(Weights {
            count: rows,
            weights: Aligned::filled(WHAT, blocks * BLOCK, 0)?,
            sums: memory::filled(WHAT, blocks * GROUPS + 1, 0)?,
        })
    }

    /// Bytes that the weights of `rows` rows take.
    pub(super) fn bytes(rows: usize) -> usize {
        let blocks = rows.div_ceil(BLOCK);
        blocks * (size_of::<[u32; BLOCK]>() + GROUPS * size_of::<u64>()) + size_of::<u64>()
    }

    /// Sets the weights to those that logits have, with a bias on them in the same units. A weight
    /// is `max(1, round(2^24 * 2^((l_i + b_i - max) / 65536)))`, so the largest is 2^24. Sums of a
    /// logit and its bias wrap beyond 32 bits.
    ///
    /// # Panics
    /// If there are not as many logits, or biases, as rows.
    pub fn set(&mut self, instructions: InstructionSet, logits: &[i32], bias: Option<&[i32]>) {
        self.set_and_follow(instructions, logits, bias, None);
    }

    /// As [`Weights::set`], and follows a chain to its end, which takes little time beside that.
    pub(super) fn set_and_follow(
        &mut self,
        instructions: InstructionSet,
        logits: &[i32],
        bias: Option<&[i32]>,
        chain: Option<Chain<'_>>,
    ) {
        assert!(logits.len() == self.count);
        let (weights, _) = self.weights.as_chunks_mut();
        distribution(instructions, logits, bias, weights, &mut self.sums, chain);
    }

    /// The weight of each row.
    pub fn rows(&self) -> &[u32] {
        &self.weights[..self.count]
    }

    /// The sum of all weights.
    pub fn total(&self) -> u64 {
        self.sums[self.sums.len() - 1]
    }

    /// The sum of the weights of all rows below `row`, which is at most the number of rows.
    pub fn sum_below(&self, row: usize) -> u64 {
        let (group, rest) = (row / GROUP, row % GROUP);
        let group_rows = &self.weights[group * GROUP..];
        // Weights are at most 2^24, so 16 of them fit 32 bits.
        let within: u32 = group_rows[..rest].iter().sum();
        self.sums[group] + u64::from(within)
    }

    /// The sum of the weights of group `group`: of the [`GROUP`] rows from `GROUP * group` on, or
    /// as many as there are.
    pub(super) fn sum_of_group(&self, group: usize) -> u64 {
        self.sums[group + 1] - self.sums[group]
    }

    /// The number of groups. The last may have no row.
    pub(super) fn groups(&self) -> usize {
        self.sums.len() - 1
    }
}

#[cfg(test)]
impl Weights {
    /// These weights.
    pub(crate) fn from_rows(rows: &[u32]) -> Weights {
        let mut weights = Weights::new(rows.len()).unwrap();
        weights.weights[..rows.len()].copy_from_slice(rows);
        let mut sum = 0;
        let groups = weights.weights.chunks(GROUP);
        for (before, group) in weights.sums[1..].iter_mut().zip(groups) {
            sum += group.iter().map(|&weight| u64::from(weight)).sum::<u64>();
            *before = sum;
        }
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_are_those_of_the_rows_below(rows in vec(0u32..=1 << 24, 0..70)) {
            let weights = Weights::from_rows(&rows);
            prop_assert_eq!(weights.rows(), &rows);
            let mut sum = 0;
            for (row, weight) in rows.iter().enumerate() {
                prop_assert_eq!(weights.sum_below(row), sum);
                sum += u64::from(*weight);
            }
            prop_assert_eq!(weights.sum_below(rows.len()), sum);
            prop_assert_eq!(weights.total(), sum);
            let groups = rows.chunks(GROUP).enumerate();
            for (group, rows) in groups {
                let sum: u64 = rows.iter().map(|&weight| u64::from(weight)).sum();
                prop_assert_eq!(weights.sum_of_group(group), sum);
            }
            prop_assert!(weights.groups() >= rows.len().div_ceil(GROUP));
        }
    }
}
