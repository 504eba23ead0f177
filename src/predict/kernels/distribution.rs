//! From logits to the integer weights that tokens are coded with.

use crate::machine::instructions::{InstructionSet, compile_for_each};
use crate::numerics;

/// Logits weighed at a time.
const LANES: usize = 16;

compile_for_each! {
    fn compiled(logits: &[i32], bias: Option<&[i32]>, cumulative: &mut [u64])
        = prefix_sums_of_weights;
}

/// Logits (and a bias on them, in the same units) to integer weights and their exclusive prefix
/// sums.
///
/// `cumulative` has one more entry than `logits`: entry i is the sum of the weights of rows below
/// i. A weight is `max(1, round(2^24 * 2^((l_i + b_i - max) / 65536)))`. Sums beyond 32 bits wrap.
///
/// # Panics
/// If `cumulative` or `bias` does not have the length that goes with `logits`.
pub fn distribution(
    instructions: InstructionSet,
    logits: &[i32],
    bias: Option<&[i32]>,
    cumulative: &mut [u64],
) {
    assert!(
        cumulative.len() == logits.len() + 1 && bias.is_none_or(|bias| bias.len() == logits.len())
    );
    compiled(instructions, logits, bias, cumulative);
}

/// The weight of a row whose sum lies `distance` below the best one:
/// `max(1, round(2^24 * 2^(-distance / 65536)))`.
#[inline(always)]
fn weight(distance: u32) -> u32 {
    // Beyond this a weight is 1.
    let distance = distance.min(40 << 16) as i32;
    let whole = (32768 - distance) >> 16;
    let fraction = (distance + (whole << 16)) as f32 * (-1.0 / 65536.0);
    let value = numerics::exp2_parts(fraction, whole + 24).round_ties_even();
    // SAFETY: no NaN, and between 0 and 2^24, since the distance is at most 40 * 65536. `as` would
    // also say what becomes of other values, and keep the loop from being vectorised.
    let value: i32 = unsafe { value.to_int_unchecked() };
    if value > 1 { value as u32 } else { 1 }
}

/// How far the sum of a logit and its bias lies below the best one. Any two 32-bit numbers are less
/// than 2^32 apart.
#[inline(always)]
fn below(best: i32, logit: i32, bias: i32) -> u32 {
    best.wrapping_sub(logit.wrapping_add(bias)) as u32
}

/// The body of [`distribution`].
#[inline(always)]
fn prefix_sums_of_weights(logits: &[i32], bias: Option<&[i32]>, cumulative: &mut [u64]) {
    const NONE: [i32; LANES] = [0; LANES];
    let (chunks, rest) = logits.as_chunks::<LANES>();
    match bias {
        Some(bias) => {
            let biased = logits
                .iter()
                .zip(bias)
                .map(|(logit, bias)| logit.wrapping_add(*bias));
            let best = biased.fold(i32::MIN, i32::max);
            let (biases, bias_rest) = bias.as_chunks::<LANES>();
            prefix_sums(
                best,
                chunks.iter().zip(biases),
                rest.iter().zip(bias_rest),
                cumulative,
            );
        }
        None => {
            let best = logits.iter().copied().fold(i32::MIN, i32::max);
            let zeros = std::iter::repeat(&NONE);
            prefix_sums(
                best,
                chunks.iter().zip(zeros),
                rest.iter().zip(&NONE),
                cumulative,
            );
        }
    }
}

/// Weights of logits beside their biases, of which `best` is the largest sum: whole chunks, then
/// the rest.
#[inline(always)]
fn prefix_sums<'a>(
    best: i32,
    chunks: impl Iterator<Item = (&'a [i32; LANES], &'a [i32; LANES])>,
    rest: impl Iterator<Item = (&'a i32, &'a i32)>,
    cumulative: &mut [u64],
) {
    let mut total = 0u64;
    cumulative[0] = 0;
    let (out, out_rest) = cumulative[1..].as_chunks_mut::<LANES>();
    for ((logits, biases), out) in chunks.zip(out) {
        let mut weights = [0u32; LANES];
        for lane in 0..LANES {
            weights[lane] = weight(below(best, logits[lane], biases[lane]));
        }
        // One addition an element: cheaper than any sum within registers that the compiler finds.
        for (out, weight) in out.iter_mut().zip(weights) {
            total += u64::from(weight);
            *out = total;
        }
    }
    for (out, (logit, bias)) in out_rest.iter_mut().zip(rest) {
        total += u64::from(weight(below(best, *logit, *bias)));
        *out = total;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn sums(instructions: InstructionSet, logits: &[i32], bias: Option<&[i32]>) -> Vec<u64> {
        let mut cumulative = vec![99; logits.len() + 1];
        distribution(instructions, logits, bias, &mut cumulative);
        cumulative
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
            let wanted = sums(InstructionSet::PORTABLE, &logits, bias.as_deref());
            let weights = || wanted.windows(2).map(|pair| pair[1] - pair[0]);
            prop_assert!(weights().all(|weight| (1..=1 << 24).contains(&weight)));
            prop_assert!(weights().any(|weight| weight == 1 << 24));
            for instructions in InstructionSet::available() {
                let found = sums(instructions, &logits, bias.as_deref());
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
            let wanted = sums(InstructionSet::PORTABLE, &logits, bias.as_deref());
            let totals = |i: usize| logits[i].wrapping_add(bias.as_ref().map_or(0, |bias| bias[i]));
            let weights: Vec<u64> = wanted.windows(2).map(|pair| pair[1] - pair[0]).collect();
            prop_assert!(weights.iter().all(|weight| (1..=1 << 24).contains(weight)));
            let best = (0..logits.len()).map(totals).max().unwrap();
            for (i, weight) in weights.into_iter().enumerate() {
                let distance = i64::from(best) - i64::from(totals(i));
                prop_assert_eq!(weight == 1 << 24, distance == 0);
                prop_assert!(distance < 26 << 16 || weight == 1);
            }
            for instructions in InstructionSet::available() {
                let found = sums(instructions, &logits, bias.as_deref());
                prop_assert_eq!(&found, &wanted, "{}", instructions.name());
            }
        }

        #[test]
        fn weights_follow_the_exponential(distance in 0u32..(45 << 16)) {
            let sums = sums(InstructionSet::PORTABLE, &[0, -(distance as i32)], None);
            let exact = 2f64.powf(24.0 - f64::from(distance) / 65536.0);
            let weight = (sums[2] - sums[1]) as f64;
            let error = (weight - exact.max(1.0)).abs();
            prop_assert!(error <= 0.5 + exact * 2e-7, "{weight} for {exact}");
        }
    }
}
