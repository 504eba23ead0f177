//! Integer dot products and gradient steps of the expert mixer.
//!
//! Weights are `i32` with 20 fractional bits, inputs are logits in 1/256 nat. All sums wrap, so
//! that the order of summation cannot matter; in practice they stay far from overflow. The body is
//! one piece of safe code, which is compiled again for each instruction set that makes it faster.
//! Every version computes the same integers.

use crate::machine::instructions::compile_for_each;

/// Inputs are padded to a multiple of this many.
pub const LANES: usize = 16;

compile_for_each! {
    /// For each `offsets[s]`: the sum over `i` of `inputs[i] * (weights[offsets[s] + i] >> 8)`,
    /// wrapping.
    ///
    /// # Panics
    /// If the number of inputs is no multiple of [`LANES`] or an offset leaves no room for them.
    pub fn dot(inputs: &[i32], weights: &[i32], offsets: &[usize], sums: &mut [i32]) = dot_body;

    /// For each `s`: `weights[offsets[s] + i] += (inputs[i] * steps[s] + 2^11) >> 12`, wrapping.
    ///
    /// # Panics
    /// As [`dot`].
    pub fn train(inputs: &[i32], weights: &mut [i32], offsets: &[usize], steps: &[i32])
        = train_body;
}

/// Sizes that mixers have: of known length the loops unroll and keep their sums in registers.
const SIZES: [usize; 2] = [LANES, 4 * LANES];

#[inline(always)]
fn dot_body(inputs: &[i32], weights: &[i32], offsets: &[usize], sums: &mut [i32]) {
    assert!(inputs.len().is_multiple_of(LANES));
    if let Ok(inputs) = inputs.try_into() {
        dot_sized::<{ SIZES[0] }>(inputs, weights, offsets, sums);
    } else if let Ok(inputs) = inputs.try_into() {
        dot_sized::<{ SIZES[1] }>(inputs, weights, offsets, sums);
    } else {
        for (sum, &offset) in sums.iter_mut().zip(offsets) {
            *sum = product(inputs, &weights[offset..offset + inputs.len()]);
        }
    }
}

#[inline(always)]
fn dot_sized<const N: usize>(
    inputs: &[i32; N],
    weights: &[i32],
    offsets: &[usize],
    sums: &mut [i32],
) {
    for (sum, &offset) in sums.iter_mut().zip(offsets) {
        *sum = product(inputs, &weights[offset..offset + N]);
    }
}

#[inline(always)]
fn product(inputs: &[i32], weights: &[i32]) -> i32 {
    let products = (inputs.iter().zip(weights)).map(|(&x, &w)| x.wrapping_mul(w >> 8));
    products.fold(0, i32::wrapping_add)
}

#[inline(always)]
fn train_body(inputs: &[i32], weights: &mut [i32], offsets: &[usize], steps: &[i32]) {
    assert!(inputs.len().is_multiple_of(LANES));
    if let Ok(inputs) = inputs.try_into() {
        train_sized::<{ SIZES[0] }>(inputs, weights, offsets, steps);
    } else if let Ok(inputs) = inputs.try_into() {
        train_sized::<{ SIZES[1] }>(inputs, weights, offsets, steps);
    } else {
        for (&step, &offset) in steps.iter().zip(offsets) {
            descend(inputs, &mut weights[offset..offset + inputs.len()], step);
        }
    }
}

#[inline(always)]
fn train_sized<const N: usize>(
    inputs: &[i32; N],
    weights: &mut [i32],
    offsets: &[usize],
    steps: &[i32],
) {
    for (&step, &offset) in steps.iter().zip(offsets) {
        descend(inputs, &mut weights[offset..offset + N], step);
    }
}

/// A step of zero changes nothing.
#[inline(always)]
fn descend(inputs: &[i32], weights: &mut [i32], step: i32) {
    for (&x, w) in inputs.iter().zip(weights) {
        *w = w.wrapping_add(x.wrapping_mul(step).wrapping_add(1 << 11) >> 12);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::instructions::InstructionSet;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_instruction_set_gives_the_same(
            inputs in prop::collection::vec(-4095i32..=4095, 3 * LANES),
            weights in prop::collection::vec(any::<i32>(), 5 * LANES),
            steps in prop::collection::vec(prop_oneof![Just(0), any::<i32>()], 3),
        ) {
            let offsets = [0, 17, 2 * LANES];
            let mut expected = ([0; 3], weights.clone());
            dot(InstructionSet::PORTABLE, &inputs, &weights, &offsets, &mut expected.0);
            train(InstructionSet::PORTABLE, &inputs, &mut expected.1, &offsets, &steps);
            for instructions in InstructionSet::available() {
                let mut found = ([0; 3], weights.clone());
                dot(instructions, &inputs, &weights, &offsets, &mut found.0);
                train(instructions, &inputs, &mut found.1, &offsets, &steps);
                prop_assert_eq!(&found, &expected, "{}", instructions.name());
            }
        }
    }

    #[test]
    fn dot_is_the_sum_of_products() {
        let inputs: Vec<i32> = (0..LANES as i32).map(|i| i - 5).collect();
        let weights: Vec<i32> = (0..LANES as i32).map(|i| (i * i) << 8).collect();
        let mut sums = [0];
        dot(InstructionSet::PORTABLE, &inputs, &weights, &[0], &mut sums);
        let expected: i32 = (0..LANES as i32).map(|i| (i - 5) * i * i).sum();
        assert_eq!(sums[0], expected);
    }
}
