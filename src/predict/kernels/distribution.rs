//! From logits to the integer weights that tokens are coded with.

use super::chain::Chain;
use crate::machine::instructions::{InstructionSet, compile_for_each};
use crate::numerics;

/// Rows that have a sum together.
pub const GROUP: usize = 16;

/// Groups of a block.
pub const GROUPS: usize = 2;

/// Rows weighed at a time. They are enough for a processor to go on with others while it waits for
/// a result.
pub const BLOCK: usize = GROUPS * GROUP;

compile_for_each! {
    fn compiled(
        logits: &[i32], bias: Option<&[i32]>, weights: &mut [[u32; BLOCK]], sums: &mut [u64],
        chain: Option<Chain<'_>>,
    ) = weigh_and_sum;
}

/// Logits (and a bias on them, in the same units) to integer weights and their sums.
///
/// A weight is `max(1, round(2^24 * 2^((l_i + b_i - max) / 65536)))`. The weights are followed by
/// zeros up to a whole [`BLOCK`]. `sums[g]` becomes the sum of the weights of all rows below
/// `g * GROUP`; there is one more than there are groups in the blocks. Sums of a logit and its bias
/// wrap beyond 32 bits. Meanwhile the `chain` is followed to its end.
///
/// # Panics
/// If `bias`, `weights` or `sums` does not have the length that goes with `logits`.
pub fn distribution(
    instructions: InstructionSet,
    logits: &[i32],
    bias: Option<&[i32]>,
    weights: &mut [[u32; BLOCK]],
    sums: &mut [u64],
    chain: Option<Chain<'_>>,
) {
    assert!(weights.len() == logits.len().div_ceil(BLOCK));
    assert!(sums.len() == weights.len() * GROUPS + 1);
    assert!(bias.is_none_or(|bias| bias.len() == logits.len()));
    compiled(instructions, logits, bias, weights, sums, chain);
}

/// The body of [`distribution`].
#[inline(always)]
fn weigh_and_sum(
    logits: &[i32],
    bias: Option<&[i32]>,
    weights: &mut [[u32; BLOCK]],
    sums: &mut [u64],
    mut chain: Option<Chain<'_>>,
) {
    let best = match bias {
        Some(bias) => {
            let biased = logits.iter().zip(bias);
            biased.fold(i32::MIN, |best, (logit, bias)| {
                best.max(logit.wrapping_add(*bias))
            })
        }
        None => logits.iter().copied().fold(i32::MIN, i32::max),
    };
    let (logits, last_logits) = logits.as_chunks();
    let (biases, last_biases) = bias.unwrap_or_default().as_chunks();
    sums[0] = 0;
    let (sums, _) = sums[1..].as_chunks_mut();
    let mut total = 0;
    let wanted = chain.as_ref().map_or(0, |chain| chain.wanted);
    let steps = wanted.div_ceil(logits.len().max(1));
    let mut follow = |steps| {
        if let Some(chain) = &mut chain {
            chain.follow(steps);
        }
    };
    for (block, logits) in logits.iter().enumerate() {
        follow(steps);
        let biases = biases.get(block).unwrap_or(&[0; BLOCK]);
        weights[block] = weigh_block(best, logits, biases);
        sums[block] = add_groups(&mut total, &weights[block]);
    }
    if let Some(weights) = weights.get_mut(logits.len()) {
        *weights = weigh_block(best, &padded(last_logits), &padded(last_biases));
        weights[last_logits.len()..].fill(0);
        sums[logits.len()] = add_groups(&mut total, weights);
    }
    follow(wanted);
}

/// Fewer numbers than a block has, and zeros.
#[inline(always)]
fn padded(numbers: &[i32]) -> [i32; BLOCK] {
    let mut block = [0; BLOCK];
    block[..numbers.len()].copy_from_slice(numbers);
    block
}

/// How far the sum of a logit and its bias lies below the best one. Any two 32-bit numbers are less
/// than 2^32 apart.
#[inline(always)]
fn below(best: i32, logit: i32, bias: i32) -> u32 {
    best.wrapping_sub(logit.wrapping_add(bias)) as u32
}

/// Adds the weights of the groups of a block to `total`; gives the total after each.
#[inline(always)]
fn add_groups(total: &mut u64, weights: &[u32; BLOCK]) -> [u64; GROUPS] {
    std::array::from_fn(|group| {
        let first = group * GROUP;
        // Weights are at most 2^24, so 16 of them fit 32 bits.
        *total += u64::from(weights[first..first + GROUP].iter().sum::<u32>());
        *total
    })
}

/// The weights of rows whose sums lie a distance below the best one:
/// `max(1, round(2^24 * 2^(-distance / 65536)))`.
#[inline(always)]
fn weigh_block(best: i32, logits: &[i32; BLOCK], biases: &[i32; BLOCK]) -> [u32; BLOCK] {
    let (mut fractions, mut wholes) = ([0.0; BLOCK], [0; BLOCK]);
    for row in 0..BLOCK {
        // Beyond 40 a weight is 1.
        let distance = below(best, logits[row], biases[row]).min(40 << 16) as i32;
        let whole = (32768 - distance) >> 16;
        fractions[row] = (distance + (whole << 16)) as f32 * (-1.0 / 65536.0);
        wholes[row] = whole + 24;
    }
    let values = numerics::exp2_parts_of(fractions, wholes);
    let mut weights = [0; BLOCK];
    for row in 0..BLOCK {
        // SAFETY: no NaN, and between 0 and 2^24, since the distance is at most 40 * 65536. `as`
        // would also say what becomes of other values, and keep the loop from being vectorised.
        let value: i32 = unsafe { values[row].round_ties_even().to_int_unchecked() };
        weights[row] = if value > 1 { value as u32 } else { 1 };
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::kernels::chain::Past;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// The weights, after the sums beside them have been compared with their own, and chains have
    /// been followed to their ends.
    fn weights(instructions: InstructionSet, logits: &[i32], bias: Option<&[i32]>) -> Vec<u32> {
        let blocks = logits.len().div_ceil(BLOCK);
        let (mut weights, mut sums) = (vec![[99; BLOCK]; blocks], vec![99; blocks * GROUPS + 1]);
        // Chains that end before they have given what is wanted, and others.
        let gone = logits.len() as u64 % 7;
        let mut found = Vec::new();
        let chain = Chain {
            next: 7,
            gone,
            capacity: 8,
            past: &[Past {
                distance: 1,
                ..Past::default()
            }; 8],
            states: &[0; 8],
            width: 1,
            found: &mut found,
            wanted: 5,
        };
        let chain = Some(chain);
        distribution(instructions, logits, bias, &mut weights, &mut sums, chain);
        let wanted: Vec<u32> = (gone as u32 + 1..=7).rev().take(5).collect();
        assert_eq!(found, wanted);
        let mut weights = weights.concat();
        let mut total = 0;
        for (sum, group) in sums.iter().zip(weights.chunks(GROUP)) {
            assert_eq!(*sum, total);
            total += group.iter().map(|&weight| u64::from(weight)).sum::<u64>();
        }
        assert_eq!(sums[blocks * GROUPS], total);
        assert!(weights[logits.len()..].iter().all(|&weight| weight == 0));
        weights.truncate(logits.len());
        weights
    }

    proptest! {
        #[test]
        fn every_instruction_set_gives_the_same(
            (logits, bias) in (1usize..150).prop_flat_map(|len| {
                let logit = prop_oneof![
                    8 => -3_000_000i32..3_000_000,
                    1 => -(1 << 29)..=1i32 << 29,
                    1 => Just(0),
                ];
                let bias = prop_oneof![
                    8 => -100_000i32..100_000,
                    1 => Just(1 << 29),
                    1 => Just(-(1 << 29)),
                ];
                (vec(logit, len), proptest::option::of(vec(bias, len)))
            }),
        ) {
            let wanted = weights(InstructionSet::PORTABLE, &logits, bias.as_deref());
            prop_assert!(wanted.iter().all(|weight| (1..=1 << 24).contains(weight)));
            prop_assert!(wanted.contains(&(1 << 24)));
            for instructions in InstructionSet::available() {
                let found = weights(instructions, &logits, bias.as_deref());
                prop_assert_eq!(&found, &wanted, "{}", instructions.name());
            }
        }

        #[test]
        fn no_logit_and_no_bias_break_it(
            (logits, bias) in (1usize..60).prop_flat_map(|len| {
                let any = || prop_oneof![
                    2 => any::<i32>(),
                    1 => Just(i32::MIN),
                    1 => Just(i32::MAX),
                    1 => -3i32..3,
                ];
                (vec(any(), len), proptest::option::of(vec(any(), len)))
            }),
        ) {
            let wanted = weights(InstructionSet::PORTABLE, &logits, bias.as_deref());
            let totals = |i: usize| logits[i].wrapping_add(bias.as_ref().map_or(0, |bias| bias[i]));
            prop_assert!(wanted.iter().all(|weight| (1..=1 << 24).contains(weight)));
            let best = (0..logits.len()).map(totals).max().unwrap();
            for (i, &weight) in wanted.iter().enumerate() {
                let distance = i64::from(best) - i64::from(totals(i));
                prop_assert_eq!(weight == 1 << 24, distance == 0);
                prop_assert!(distance < 26 << 16 || weight == 1);
            }
            for instructions in InstructionSet::available() {
                let found = weights(instructions, &logits, bias.as_deref());
                prop_assert_eq!(&found, &wanted, "{}", instructions.name());
            }
        }

        #[test]
        fn weights_follow_the_exponential(distance in 0u32..(45 << 16)) {
            let found = weights(InstructionSet::PORTABLE, &[0, -(distance as i32)], None);
            let exact = 2f64.powf(24.0 - f64::from(distance) / 65536.0);
            let weight = f64::from(found[1]);
            let error = (weight - exact.max(1.0)).abs();
            prop_assert!(error <= 0.5 + exact * 2e-7, "{weight} for {exact}");
        }
    }
}
