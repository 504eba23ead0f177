//! Recall: adds weight to tokens that followed similar states of the language model earlier in this
//! file. It is a continuous cache (Grave, Joulin and Usunier, 2017, "Improving neural language
//! models with a continuous cache").
//!
//! The model's state before a token is the input of its output layer. The state before every coded
//! token is kept together with that token; the key of the state is the token before. To predict a
//! token, the latest states with the same key are compared with the present one. The token that
//! followed such a state, a *follower*, gets a score of `2^(SHARPNESS * cosine)` of the two states.
//! The scores form a second distribution, which is mixed with the model's. Its weight in the
//! mixture is learned for each level of similarity by expectation maximisation: after each token,
//! the weight moves towards the second distribution's share in the probability of that token. All
//! arithmetic is in integers.

use crate::machine::MachineError;
use crate::machine::aligned::Aligned;
use crate::machine::instructions::InstructionSet;
use crate::machine::memory::{copied, filled, reserve};
use crate::predict::kernels::chain::{Chain, Past};
use crate::predict::kernels::dots;

/// What memory is asked for.
const WHAT: &str = "recall";

/// At most this many earlier states, the latest, are compared with the present one.
const COMPARED: usize = 128;

/// At most this many bytes of states are kept.
const STATES: usize = 24 << 20;

/// log2 of the ratio between the scores for cosines 1 and 0.
const SHARPNESS: i64 = 70;

/// The mixing weight has this many bits where it is multiplied. A model's weights sum to at most
/// 2^44, 2^24 in each of 2^20 rows, and the followers' weights to at most 31 times as much: below
/// 2^49, so that 14 more bits fit.
const WEIGHT_BITS: u32 = 14;
const WEIGHT_ONE: u64 = 1 << WEIGHT_BITS;
const WEIGHT_MIN: u64 = WEIGHT_ONE / 512;
const WEIGHT_MAX: u64 = WEIGHT_ONE / 32 * 31;

/// The mixing weight at the beginning of a file, in units of 2^-32.
const WEIGHT_INITIAL: u32 = 1 << 28;

/// Levels of similarity of the most similar state; each has a mixing weight of its own.
const LEVELS: usize = 32;

/// The states kept, the tokens that followed them, and the weights of the mixture.
pub(super) struct Recall {
    instructions: InstructionSet,
    /// Numbers in a state.
    width: usize,
    /// States kept; a power of two.
    capacity: u64,
    /// Tokens seen. They are numbered from 1.
    seen: u64,
    /// For each input row the number of the latest token that followed it, 0 without one.
    latest: Vec<u64>,
    /// The state before token `n` is at `n % capacity`, [capacity, width].
    states: Aligned<i8>,
    /// What is known of it, at `n % capacity`. Its chain leads to the previous token after the same
    /// left neighbour.
    past: Vec<Past>,
    mixing_weights: Vec<MixingWeight>,
}

impl std::fmt::Debug for Recall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recall")
            .field("width", &self.width)
            .finish_non_exhaustive()
    }
}

/// The learned share of the followers in the mixture.
#[derive(Clone, Copy)]
struct MixingWeight {
    /// In units of 2^-32.
    value: u32,
    /// Steps taken, up to 255.
    count: u32,
}

/// What recall finds for a token to be predicted.
#[derive(Clone, Default)]
pub(super) struct Recalled {
    state: Vec<i8>,
    /// 2^24 over the norm of the state.
    scale: u32,
    /// The token before it.
    last: u32,
    /// Indices of the states compared with its own, and the cosines, in units of 2^-16.
    chosen: Vec<u32>,
    cosines: Vec<i32>,
    /// The followers by ascending row, each with its score; in the end with the sum of its weight
    /// and those of the followers before it.
    followers: Vec<(u32, u64)>,
    /// The level of similarity.
    level: usize,
}

impl std::fmt::Debug for Recalled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recalled").finish_non_exhaustive()
    }
}

impl Recalled {
    /// What is added to the weights of all rows below `row`.
    pub(super) fn sum_below(&self, row: usize) -> u64 {
        let below = (self.followers).partition_point(|follower| (follower.0 as usize) < row);
        self.sum_of_first(below)
    }

    /// The weight that is added to `row`.
    fn weight(&self, row: u32) -> u64 {
        let found = (self.followers).binary_search_by_key(&row, |follower| follower.0);
        found.map_or(0, |index| {
            self.sum_of_first(index + 1) - self.sum_of_first(index)
        })
    }

    /// The weight of the first `count` followers.
    fn sum_of_first(&self, count: usize) -> u64 {
        match count {
            0 => 0,
            _ => self.followers[count - 1].1,
        }
    }
}

impl Recall {
    /// Nothing seen yet of a model whose states have `width` numbers and which has `rows` input
    /// rows.
    ///
    /// # Errors
    /// If its memory cannot be had.
    pub(super) fn new(
        instructions: InstructionSet,
        width: usize,
        rows: usize,
    ) -> Result<Recall, MachineError> {
        let capacity = capacity(width);
        let mut past = Vec::new();
        // Reserved at once, so that nothing has to grow, and fail, later.
        reserve(&mut past, WHAT, capacity as usize)?;
        Ok(Recall {
            instructions,
            width,
            capacity,
            seen: 0,
            latest: filled(WHAT, rows, 0)?,
            states: Aligned::reserved(WHAT, capacity as usize * width)?,
            past,
            mixing_weights: vec![MixingWeight::new(); LEVELS],
        })
    }

    /// A copy that has learned the same.
    ///
    /// # Errors
    /// If its memory cannot be had.
    pub(super) fn try_clone(&self) -> Result<Recall, MachineError> {
        let capacity = self.capacity as usize;
        Ok(Recall {
            latest: copied(WHAT, &self.latest, 0)?,
            states: Aligned::copied(WHAT, &self.states, capacity * self.width)?,
            past: copied(WHAT, &self.past, capacity)?,
            mixing_weights: self.mixing_weights.clone(),
            ..*self
        })
    }

    /// The chain of the states to compare with that before the token after `last`: the latest after
    /// the same left neighbour. It must be followed before [`Recall::find`].
    pub(super) fn choose<'a>(&'a self, last: u32, recalled: &'a mut Recalled) -> Chain<'a> {
        recalled.last = last;
        recalled.chosen.clear();
        Chain {
            next: self.latest[last as usize],
            gone: self.seen.saturating_sub(self.capacity),
            capacity: self.capacity,
            past: &self.past,
            states: &self.states,
            width: self.width,
            found: &mut recalled.chosen,
            wanted: COMPARED,
        }
    }

    /// Finds what followed the states chosen last, for a token before which the model's state is
    /// `state`. The model's weights sum to `total`.
    ///
    /// # Panics
    /// If the state does not have `width` numbers.
    pub(super) fn find(&self, state: &[i8], total: u64, recalled: &mut Recalled) {
        assert!(state.len() == self.width);
        recalled.state.clear();
        recalled.state.extend_from_slice(state);
        let mut square = [0];
        dots(self.instructions, state, state, &[0], &mut square);
        recalled.scale = scale(square[0]);
        self.compare(recalled);
        self.score(recalled);
        self.weigh(total, recalled);
    }

    /// Learns that the token for which `recalled` was found is `row`, to which the model gave the
    /// weight `model`.
    pub(super) fn learn(&mut self, recalled: &Recalled, model: u64, row: u32) {
        if !recalled.followers.is_empty() {
            let added = recalled.weight(row);
            self.mixing_weights[recalled.level].learn((added << WEIGHT_BITS) / (added + model));
        }
        self.remember(recalled, row);
    }

    /// Computes the cosines of the present state and the chosen ones.
    fn compare(&self, recalled: &mut Recalled) {
        let (chosen, cosines) = (&recalled.chosen, &mut recalled.cosines);
        cosines.resize(chosen.len(), 0);
        dots(
            self.instructions,
            &recalled.state,
            &self.states,
            chosen,
            cosines,
        );
        for (product, &at) in cosines.iter_mut().zip(chosen) {
            let scale = u64::from(self.past[at as usize].scale) * u64::from(recalled.scale);
            *product = ((i64::from(*product) * scale as i64) >> 32) as i32;
        }
    }

    /// Finds the followers and their scores, in units of 2^-16 of the largest score of a state, and
    /// the level of similarity.
    fn score(&self, recalled: &mut Recalled) {
        recalled.followers.clear();
        let most = recalled.cosines.iter().copied().max().unwrap_or(0);
        let states = recalled.cosines.iter().zip(&recalled.chosen);
        let scores = states.filter_map(|(cosine, &at)| {
            let score = exp2_negative(SHARPNESS * i64::from(most - cosine));
            (score > 0).then_some((self.past[at as usize].token, score))
        });
        recalled.followers.extend(scores);
        recalled.followers.sort_unstable_by_key(|one| one.0);
        recalled.followers.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0 };
            same
        });
        recalled.level = (most.clamp(0, (1 << 16) - 1) as usize * LEVELS) >> 16;
    }

    /// Turns the scores of the followers into sums of weights beside the model's, which sum to
    /// `total`.
    fn weigh(&self, total: u64, recalled: &mut Recalled) {
        let scores: u64 = recalled.followers.iter().map(|follower| follower.1).sum();
        let weight = self.mixing_weights[recalled.level].bounded();
        let sum = total * weight / (WEIGHT_ONE - weight);
        let each = (sum << WEIGHT_BITS) / scores.max(1);
        let mut sum = 0;
        for follower in &mut recalled.followers {
            sum += (each * follower.1) >> WEIGHT_BITS;
            follower.1 = sum;
        }
    }

    /// Keeps the present state, after which `row` came.
    fn remember(&mut self, recalled: &Recalled, row: u32) {
        self.seen += 1;
        let at = (self.seen % self.capacity) as usize;
        if at >= self.past.len() {
            self.past.resize(at + 1, Past::default());
            self.states.resize((at + 1) * self.width, 0);
        }
        let before = std::mem::replace(&mut self.latest[recalled.last as usize], self.seen);
        self.past[at] = Past {
            distance: (self.seen - before).min(u64::from(u32::MAX)) as u32,
            token: row,
            scale: recalled.scale,
        };
        self.states[at * self.width..][..self.width].copy_from_slice(&recalled.state);
    }
}

impl MixingWeight {
    fn new() -> MixingWeight {
        MixingWeight {
            value: WEIGHT_INITIAL,
            count: 0,
        }
    }

    /// The weight in units of 2^-14.
    fn bounded(self) -> u64 {
        u64::from(self.value >> (32 - WEIGHT_BITS)).clamp(WEIGHT_MIN, WEIGHT_MAX)
    }

    /// Learns the share that the followers had in the probability of the token that came, in the
    /// same units.
    fn learn(&mut self, share: u64) {
        self.count = (self.count + 1).min(255);
        let share = share.min(WEIGHT_ONE - 1) << (32 - WEIGHT_BITS);
        let step = share as i64 - i64::from(self.value);
        self.value = (i64::from(self.value) + step * 2 / (i64::from(self.count) + 3)) as u32;
    }
}

/// The number of states kept, of `width` numbers each; a power of two.
fn capacity(width: usize) -> u64 {
    1 << (STATES / width.max(1)).clamp(1, 1 << 17).ilog2()
}

/// 2^24 over the square root of `square`, which is not negative.
fn scale(square: i32) -> u32 {
    let root = (u64::from(square.unsigned_abs()) << 16).isqrt();
    ((1 << 32) / root.max(1)).min(1 << 24) as u32
}

/// 2^16 times 2^(-x / 2^16), for x of at least 0.
fn exp2_negative(x: i64) -> u64 {
    let whole = x >> 16;
    if whole > 16 {
        return 0;
    }
    u64::from(FRACTIONS[(x >> 8 & 255) as usize]) >> (14 + whole)
}

/// 2^30 times 2^(-i / 256).
const FRACTIONS: [u32; 256] = {
    // 2^62 times 2^(-1 / 256).
    const STEP: u128 = 4_599_216_278_082_138_665;
    let mut fractions = [0; 256];
    let mut value = 1u128 << 62;
    let mut i = 0;
    while i < 256 {
        fractions[i] = (value >> 32) as u32;
        value = (value * STEP) >> 62;
        i += 1;
    }
    fractions
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const WIDTH: usize = 8;
    const ROWS: usize = 5;
    /// Prefix sums of a model that gives all five tokens the same probability.
    const EVEN: [u64; ROWS + 1] = [0, 1 << 24, 2 << 24, 3 << 24, 4 << 24, 5 << 24];

    fn state(first: i8) -> [i8; WIDTH] {
        [first, 127, 0, 0, -100, 3, 0, 1]
    }

    fn weight(sums: &[u64], row: usize) -> u64 {
        sums[row + 1] - sums[row]
    }

    /// Recall with what it has found last.
    struct Recalling {
        recall: Recall,
        recalled: Recalled,
    }

    impl Recalling {
        fn new() -> Recalling {
            Recalling {
                recall: Recall::new(InstructionSet::PORTABLE, WIDTH, ROWS).unwrap(),
                recalled: Recalled::default(),
            }
        }

        /// The prefix sums of the mixture for `state` after `last`.
        fn mixed(&mut self, last: u32, state: &[i8], model: &[u64]) -> Vec<u64> {
            (self.recall.choose(last, &mut self.recalled)).follow(usize::MAX);
            self.recall.find(state, model[ROWS], &mut self.recalled);
            let sums = model.iter().enumerate();
            sums.map(|(row, sum)| sum + self.recalled.sum_below(row))
                .collect()
        }

        fn learn(&mut self, model: &[u64], row: u32) {
            let weight = weight(model, row as usize);
            self.recall.learn(&self.recalled, weight, row);
        }
    }

    #[test]
    fn what_followed_a_similar_state_is_expected_again() {
        let mut recall = Recalling::new();
        assert_eq!(recall.mixed(1, &state(50), &EVEN), EVEN);
        recall.learn(&EVEN, 3);
        let sums = recall.mixed(1, &state(51), &EVEN);
        assert!(weight(&sums, 3) > 1 << 24);
        for row in [0, 1, 2, 4] {
            assert_eq!(weight(&sums, row), 1 << 24);
        }
        recall.learn(&EVEN, 4);
        // The more similar of the two has the larger share.
        let sums = recall.mixed(1, &state(-100), &EVEN);
        assert!(weight(&sums, 3) > weight(&sums, 4));
        // After another token neither is known.
        assert_eq!(recall.mixed(2, &state(50), &EVEN), EVEN);
    }

    #[test]
    fn the_mixing_weight_follows_what_comes_and_is_bounded() {
        let mut recall = Recalling::new();
        let share = |sums: &[u64]| weight(sums, 3) as f64 / sums[ROWS] as f64;
        let mut after = |row: u32| {
            for _ in 0..2000 {
                recall.mixed(1, &state(50), &EVEN);
                recall.learn(&EVEN, row);
            }
            recall.mixed(1, &state(50), &EVEN)
        };
        assert!(share(&after(3)) > 0.95);
        let model: [u64; ROWS + 1] = [0, 1, 2, 3, 4, 1 << 24];
        let mut doubted = Recalling::new();
        for turn in 0..2000 {
            doubted.mixed(1, &state(50), &model);
            doubted.learn(&model, if turn % 2 == 0 { 4 } else { turn / 2 % 4 });
        }
        assert!(
            (doubted.recall.mixing_weights.iter())
                .all(|weight| (WEIGHT_MIN..=WEIGHT_MAX).contains(&weight.bounded()))
        );
    }

    #[test]
    fn the_oldest_gives_way() {
        let mut recall = Recalling::new();
        recall.recall.capacity = 4;
        for turn in 0..11u32 {
            recall.mixed(turn % 3, &state(turn as i8), &EVEN);
            recall.learn(&EVEN, turn % 5);
        }
        // Turns 7 to 10 are kept: one of them came after 0, two after 1.
        for (last, states) in [(0, [9].as_slice()), (1, &[10, 7])] {
            recall.mixed(last, &state(0), &EVEN);
            let found = recall.recalled.chosen.iter();
            let found = found.map(|&at| recall.recall.states[at as usize * WIDTH]);
            assert_eq!(found.collect::<Vec<i8>>(), states);
        }
        assert_eq!(recall.recall.states.len(), 4 * WIDTH);
    }

    #[test]
    fn powers_and_lengths_are_right() {
        for x in (0..20 << 16).step_by(97) {
            let want = 65536.0 * (-(x as f64) / 65536.0).exp2();
            let got = exp2_negative(x) as f64;
            assert!(
                (got - want).abs() <= want / 256.0 + 1.0,
                "{x}: {got}, {want}"
            );
        }
        assert_eq!(exp2_negative(0), 1 << 16);
        for square in [1, 127 * 127, 1_000_003, (127 * 127) << 16] {
            let want = f64::from(1 << 24) / f64::from(square).sqrt();
            assert!(
                (f64::from(scale(square)) - want).abs() <= want / 100.0 + 1.0,
                "{square}"
            );
        }
        assert_eq!(scale(0), 1 << 24);
    }

    #[test]
    fn the_states_of_any_model_fit() {
        for width in [1, 72, 192, 576, 4096, 1 << 16] {
            assert!(capacity(width) as usize * width <= STATES && capacity(width) >= 256);
        }
    }

    proptest! {
        #[test]
        fn no_state_and_no_weights_break_it(
            tokens in vec(
                (0..ROWS as u32, vec(-127i8..=127, WIDTH), vec(1u64..=1 << 40, ROWS)),
                1..60,
            ),
            flat in any::<bool>(),
        ) {
            let mut recall = Recalling::new();
            let mut last = 0;
            for (row, state, weights) in tokens {
                let state = if flat { vec![0; WIDTH] } else { state };
                let sums: Vec<u64> = [0].into_iter().chain(weights).scan(0, |sum, weight| {
                    *sum += weight;
                    Some(*sum)
                }).collect();
                let mixed = recall.mixed(last, &state, &sums);
                for row in 0..ROWS {
                    prop_assert!(weight(&mixed, row) >= weight(&sums, row));
                }
                prop_assert!(mixed[ROWS] <= sums[ROWS] * 32);
                recall.learn(&sums, row);
                last = row;
            }
        }
    }
}
