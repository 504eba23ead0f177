//! Steps of an output bias.

use crate::machine::instructions::{InstructionSet, compile_for_each};

compile_for_each! {
    fn compiled(values: &mut [i32], steps: &[i32], shift: u32, limit: i32) = descend_within;
}

/// Subtracts `step * 2^-shift`, rounded down, from each value, but goes no further than `limit` in
/// either direction. The steps are less than 2^31 apart from any value within the limit.
///
/// # Panics
/// If there are not as many steps as values.
pub fn descend(
    instructions: InstructionSet,
    values: &mut [i32],
    steps: &[i32],
    shift: u32,
    limit: i32,
) {
    assert!(values.len() == steps.len());
    compiled(instructions, values, steps, shift, limit);
}

/// The body of [`descend`].
#[inline(always)]
fn descend_within(values: &mut [i32], steps: &[i32], shift: u32, limit: i32) {
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
        fn every_instruction_set_goes_as_far(
            pairs in vec((-1000..=1000i32, -1_000_000..1_000_000i32), 0..100),
            shift in 0..8u32,
        ) {
            let (values, steps): (Vec<i32>, Vec<i32>) = pairs.into_iter().unzip();
            let wanted: Vec<i32> = (values.iter().zip(&steps))
                .map(|(value, step)| (value - step.div_euclid(1 << shift)).clamp(-1000, 1000))
                .collect();
            for instructions in InstructionSet::available() {
                let mut found = values.clone();
                descend(instructions, &mut found, &steps, shift, 1000);
                prop_assert_eq!(&found, &wanted, "{}", instructions.name());
            }
        }
    }
}
