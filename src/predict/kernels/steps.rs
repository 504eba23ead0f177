//! Steps of an output bias.
//!
//! A step is `weight * unit / 2^32`, rounded down: the probability of a row's token, in units of
//! the bias. Most steps round to 0, so they are taken only for the groups of rows that are named.

use super::distribution::GROUP;
use crate::machine::instructions::{InstructionSet, compile_for_each};

compile_for_each! {
    fn compiled_descend(
        values: &mut [i32], weights: &[u32], groups: &[u32], unit: u32, limit: i32,
    ) = descend_in_groups;
    fn compiled_sum(
        sums: &mut [i32], weights: &[u32], first: u32, groups: &[u32], unit: u32,
    ) = sum_in_groups;
    fn compiled_take(values: &mut [i32], steps: &[i32], shift: u32, limit: i32)
        = take_within;
}

/// Subtracts from each value the step of its weight, but goes no further than `-limit`: for the
/// rows in `groups`, of which each has the [`GROUP`] rows from `GROUP * group` on, or as many as
/// there are.
///
/// # Panics
/// If there are not as many weights as values, or no rows in a group.
pub fn descend(
    instructions: InstructionSet,
    values: &mut [i32],
    weights: &[u32],
    groups: &[u32],
    unit: u32,
    limit: i32,
) {
    assert!(values.len() == weights.len());
    compiled_descend(instructions, values, weights, groups, unit, limit);
}

/// Adds to each sum the step of its weight, for the rows in `groups`. Sums and weights begin with
/// the rows of group `first`.
///
/// # Panics
/// If there are not as many weights as sums, or no rows in a group.
pub fn sum_steps(
    instructions: InstructionSet,
    sums: &mut [i32],
    weights: &[u32],
    first: u32,
    groups: &[u32],
    unit: u32,
) {
    assert!(sums.len() == weights.len());
    compiled_sum(instructions, sums, weights, first, groups, unit);
}

/// Subtracts `step * 2^-shift`, rounded down, from each value, but goes no further than `limit` in
/// either direction. The steps are less than 2^31 apart from any value within the limit.
///
/// # Panics
/// If there are not as many steps as values.
pub fn take_steps(
    instructions: InstructionSet,
    values: &mut [i32],
    steps: &[i32],
    shift: u32,
    limit: i32,
) {
    assert!(values.len() == steps.len());
    compiled_take(instructions, values, steps, shift, limit);
}

/// The body of [`descend`].
#[inline(always)]
fn descend_in_groups(values: &mut [i32], weights: &[u32], groups: &[u32], unit: u32, limit: i32) {
    for_each_group(values, weights, 0, groups, |value, weight| {
        *value = value.wrapping_sub(step(weight, unit)).max(-limit);
    });
}

/// The body of [`sum_steps`].
#[inline(always)]
fn sum_in_groups(sums: &mut [i32], weights: &[u32], first: u32, groups: &[u32], unit: u32) {
    for_each_group(sums, weights, first, groups, |sum, weight| {
        *sum = sum.wrapping_add(step(weight, unit));
    });
}

/// Calls `take` with each value and its weight in `groups`; the values begin with group `first`.
#[inline(always)]
fn for_each_group(
    values: &mut [i32],
    weights: &[u32],
    first: u32,
    groups: &[u32],
    take: impl Fn(&mut i32, u32),
) {
    let (whole_values, last_values) = values.as_chunks_mut::<GROUP>();
    let (whole_weights, last_weights) = weights.as_chunks::<GROUP>();
    for group in groups {
        let group = (group - first) as usize;
        match whole_values.get_mut(group) {
            Some(values) => {
                let weights = &whole_weights[group];
                for row in 0..GROUP {
                    take(&mut values[row], weights[row]);
                }
            }
            None => {
                assert!(group == whole_weights.len() && !last_weights.is_empty());
                for (value, weight) in last_values.iter_mut().zip(last_weights) {
                    take(value, *weight);
                }
            }
        }
    }
}

/// Both factors fit 32 bits: this is a product that vector units have.
#[inline(always)]
fn step(weight: u32, unit: u32) -> i32 {
    ((u64::from(weight) * u64::from(unit)) >> 32) as i32
}

/// The body of [`take_steps`].
#[inline(always)]
fn take_within(values: &mut [i32], steps: &[i32], shift: u32, limit: i32) {
    for (value, step) in values.iter_mut().zip(steps) {
        *value = value.wrapping_sub(step >> shift).clamp(-limit, limit);
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
            pairs in vec((-1000..=1000i32, -1_000_000..1_000_000i32), 0..100),
            shift in 0..8u32,
        ) {
            let (values, steps): (Vec<i32>, Vec<i32>) = pairs.into_iter().unzip();
            let wanted: Vec<i32> = (values.iter().zip(&steps))
                .map(|(value, step)| (value - step.div_euclid(1 << shift)).clamp(-1000, 1000))
                .collect();
            for instructions in InstructionSet::available() {
                let mut found = values.clone();
                take_steps(instructions, &mut found, &steps, shift, 1000);
                prop_assert_eq!(&found, &wanted, "{}", instructions.name());
            }
        }

        #[test]
        fn the_steps_of_groups_are_those_of_their_rows(
            rows in vec((-1000..=1000i32, 0..=1u32 << 24), 1..100),
            unit in 0..=9455u32 << 8,
            named in any::<u32>(),
            first in 0..9u32,
        ) {
            let (values, weights): (Vec<i32>, Vec<u32>) = rows.into_iter().unzip();
            let groups: Vec<u32> = (0..values.len().div_ceil(GROUP) as u32)
                .filter(|group| named >> group & 1 == 1)
                .collect();
            let steps: Vec<i32> = (weights.iter().enumerate())
                .map(|(row, weight)| match groups.contains(&((row / GROUP) as u32)) {
                    true => (u64::from(*weight) * u64::from(unit) / (1 << 32)) as i32,
                    false => 0,
                })
                .collect();
            let pairs = || values.iter().zip(&steps);
            let lower: Vec<i32> = pairs().map(|(value, step)| (value - step).max(-2000)).collect();
            let sums: Vec<i32> = pairs().map(|(value, step)| value + step).collect();
            for instructions in InstructionSet::available() {
                let (mut found, mut summed) = (values.clone(), values.clone());
                descend(instructions, &mut found, &weights, &groups, unit, 2000);
                let groups: Vec<u32> = groups.iter().map(|group| first + group).collect();
                sum_steps(instructions, &mut summed, &weights, first, &groups, unit);
                prop_assert_eq!(&found, &lower, "{}", instructions.name());
                prop_assert_eq!(&summed, &sums, "{}", instructions.name());
            }
        }
    }
}
