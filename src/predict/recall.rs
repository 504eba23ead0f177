//! What followed, earlier in this file, where the language model was in a state like the one it is in now: a continuous
//! cache (Grave, Joulin and Usunier, 2017, "Improving neural language models with a continuous cache").
//!
//! The model's state before a token is what its output layer sees. For every token coded the state before it is kept, and
//! found again by the token before that. Each of those found gives its follower a share that grows with the cosine between the
//! two states, `2^(SHARPNESS cos)`; the shares together are a second distribution, which is mixed with the model's. How far it is
//! trusted is learned for each kind of situation by expectation maximisation: a step towards the part that it had in the
//! probability of the token that came. In integers alone.

use crate::machine::MachineError;
use crate::machine::instructions::InstructionSet;
use crate::machine::memory::{copied, filled, reserve};
use crate::machine::prefetch::prefetch_range;
use crate::predict::kernels::dots;

/// What memory is asked for.
const WHAT: &str = "recall";

/// Most earlier states that are compared with the present one: the latest.
const COMPARED: usize = 128;

/// Bytes of states kept, at most.
const STATES: usize = 24 << 20;

/// log2 of a share for a cosine of 1, as against 0.
const SHARPNESS: i64 = 70;

/// Trust is in units of 2^-14. A model's weights sum to at most 2^44, 2^24 in each of 2^20 rows, and the most that is mixed
/// with them to 31 times that: below 2^49, so that 14 more bits fit.
const TRUST_BITS: u32 = 14;
const TRUST_ONE: u64 = 1 << TRUST_BITS;
const TRUST_LEAST: u64 = TRUST_ONE / 512;
const TRUST_MOST: u64 = TRUST_ONE / 32 * 31;

/// The trust that a file begins with, in units of 2^-32, as [`Trust::value`].
const TRUST_AT_FIRST: u32 = 1 << 28;

/// Kinds of situations: how alike the most alike state is.
const LIKENESSES: usize = 32;

/// States, what followed them, and how far to trust that.
pub struct Recall {
    instructions: InstructionSet,
    /// Numbers in a state.
    width: usize,
    /// States kept; a power of two.
    capacity: u64,
    /// Tokens seen; they are numbered from 1.
    seen: u64,
    /// Of each input row the number of the latest token behind it, 0 without one.
    latest: Vec<u64>,
    /// The state of the `n`th token and what came of it, at `n % capacity`.
    states: Vec<i8>,
    kept: Vec<Kept>,
    /// How many tokens ago, by then, the token before it came last. Apart from the rest, for it is followed from one to the
    /// next and should stay in the cache.
    distances: Vec<u32>,
    trust: Vec<Trust>,
    /// About the token to come.
    present: Present,
}

/// What came where a state was.
#[derive(Clone, Copy, Default)]
struct Kept {
    /// The token.
    row: u32,
    /// 2^24 over the length of the state.
    scale: u32,
}

#[derive(Clone, Copy)]
struct Trust {
    /// In units of 2^-32.
    value: u32,
    count: u32,
}

#[derive(Clone, Default)]
struct Present {
    state: Vec<i8>,
    scale: u32,
    last: u32,
    /// Where the states are that it is compared with, and the cosines between those and it, in units of 2^-16.
    chosen: Vec<u32>,
    cosines: Vec<i32>,
    /// Followers in ascending order, and the weight each is given.
    weights: Vec<(u32, u64)>,
    /// The kind of situation.
    kind: usize,
}

impl Recall {
    /// Nothing seen, of a model whose states have `width` numbers, and with `rows` input rows.
    ///
    /// # Errors
    /// If its memory cannot be had.
    pub fn new(
        instructions: InstructionSet,
        width: usize,
        rows: usize,
    ) -> Result<Recall, MachineError> {
        let capacity = capacity(width);
        let (mut states, mut kept, mut distances) = (Vec::new(), Vec::new(), Vec::new());
        // Asked for at once and used bit by bit: nothing has to grow later.
        reserve(&mut states, WHAT, capacity as usize * width)?;
        reserve(&mut kept, WHAT, capacity as usize)?;
        reserve(&mut distances, WHAT, capacity as usize)?;
        Ok(Recall {
            instructions,
            width,
            capacity,
            seen: 0,
            latest: filled(WHAT, rows, 0)?,
            states,
            kept,
            distances,
            trust: vec![Trust::new(); LIKENESSES],
            present: Present::default(),
        })
    }

    /// A copy that has learned the same.
    ///
    /// # Errors
    /// If its memory cannot be had.
    pub fn try_clone(&self) -> Result<Recall, MachineError> {
        let capacity = self.capacity as usize;
        Ok(Recall {
            latest: copied(WHAT, &self.latest, 0)?,
            states: copied(WHAT, &self.states, capacity * self.width)?,
            kept: copied(WHAT, &self.kept, capacity)?,
            distances: copied(WHAT, &self.distances, capacity)?,
            trust: self.trust.clone(),
            present: self.present.clone(),
            ..*self
        })
    }

    /// What the token behind `last` will be, in the model's state `state`: `mixed` becomes the prefix sums of weights
    /// in which those of the model, `cumulative`, are mixed with what followed before.
    ///
    /// # Panics
    /// If the state is not as wide as was said, or the two sums not as long as each other.
    pub fn mix(&mut self, last: u32, state: &[i8], cumulative: &[u64], mixed: &mut [u64]) {
        assert!(state.len() == self.width && cumulative.len() == mixed.len());
        let present = &mut self.present;
        present.state.clear();
        present.state.extend_from_slice(state);
        let mut square = [0];
        dots(self.instructions, state, state, &[0], &mut square);
        present.scale = scale(square[0]);
        present.last = last;
        self.find();
        self.weigh(cumulative[cumulative.len() - 1]);
        add(&self.present.weights, cumulative, mixed);
    }

    /// Learns that `row` followed, to which `cumulative` gave the model's weight.
    pub fn learn(&mut self, cumulative: &[u64], row: u32) {
        let present = &mut self.present;
        if !present.weights.is_empty() {
            let model = cumulative[row as usize + 1] - cumulative[row as usize];
            let found = present
                .weights
                .binary_search_by_key(&row, |follower| follower.0);
            let recalled = found.map_or(0, |index| present.weights[index].1);
            self.trust[present.kind].learn((recalled << TRUST_BITS) / (recalled + model));
        }
        self.remember(row);
    }

    /// Where the latest states behind the present token are.
    fn choose(&mut self) {
        let chosen = &mut self.present.chosen;
        chosen.clear();
        let mut number = self.latest[self.present.last as usize];
        while number > 0 && self.seen - number < self.capacity && chosen.len() < COMPARED {
            let at = (number % self.capacity) as usize;
            chosen.push(at as u32);
            prefetch_range(&self.states, at * self.width..(at + 1) * self.width);
            number -= u64::from(self.distances[at]);
        }
    }

    /// How much alike the present state and the chosen ones are.
    fn compare(&mut self) {
        let present = &mut self.present;
        let (chosen, cosines) = (&present.chosen, &mut present.cosines);
        cosines.resize(chosen.len(), 0);
        dots(
            self.instructions,
            &present.state,
            &self.states,
            chosen,
            cosines,
        );
        for (product, &at) in cosines.iter_mut().zip(chosen) {
            let scale = u64::from(self.kept[at as usize].scale) * u64::from(present.scale);
            *product = ((i64::from(*product) * scale as i64) >> 32) as i32;
        }
    }

    /// The followers of the states like the present one, by ascending row, each with its share in units of 2^-16 of the
    /// greatest; and the likeness of the most alike.
    fn find(&mut self) {
        self.choose();
        self.compare();
        let present = &mut self.present;
        present.weights.clear();
        let most = present.cosines.iter().copied().max().unwrap_or(0);
        let shares = present.cosines.iter().zip(&present.chosen);
        let shares = shares.filter_map(|(cosine, &at)| {
            let share = exp2_negative(SHARPNESS * i64::from(most - cosine));
            (share > 0).then_some((self.kept[at as usize].row, share))
        });
        present.weights.extend(shares);
        present.weights.sort_unstable_by_key(|one| one.0);
        present.weights.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0 };
            same
        });
        present.kind = (most.clamp(0, (1 << 16) - 1) as usize * LIKENESSES) >> 16;
    }

    /// Turns the followers' shares into weights beside the model's, which sum to `total`.
    fn weigh(&mut self, total: u64) {
        let shares: u64 = self.present.weights.iter().map(|follower| follower.1).sum();
        let trust = self.trust[self.present.kind].share();
        let sum = total * trust / (TRUST_ONE - trust);
        let each = (sum << TRUST_BITS) / shares.max(1);
        for follower in &mut self.present.weights {
            follower.1 = (each * follower.1) >> TRUST_BITS;
        }
    }

    /// Keeps the present state, which `row` followed.
    fn remember(&mut self, row: u32) {
        let present = &self.present;
        self.seen += 1;
        let at = (self.seen % self.capacity) as usize;
        if at >= self.kept.len() {
            self.kept.resize(at + 1, Kept::default());
            self.distances.resize(at + 1, 0);
            self.states.resize((at + 1) * self.width, 0);
        }
        self.kept[at] = Kept {
            row,
            scale: present.scale,
        };
        let before = std::mem::replace(&mut self.latest[present.last as usize], self.seen);
        self.distances[at] = (self.seen - before).min(u64::from(u32::MAX)) as u32;
        self.states[at * self.width..][..self.width].copy_from_slice(&present.state);
    }
}

impl Trust {
    fn new() -> Trust {
        Trust {
            value: TRUST_AT_FIRST,
            count: 0,
        }
    }

    /// In units of 2^-14.
    fn share(self) -> u64 {
        u64::from(self.value >> (32 - TRUST_BITS)).clamp(TRUST_LEAST, TRUST_MOST)
    }

    /// Learns what part, in the same units, the followers had in the probability of the token that came.
    fn learn(&mut self, part: u64) {
        self.count = (self.count + 1).min(255);
        let part = part.min(TRUST_ONE - 1) << (32 - TRUST_BITS);
        let step = part as i64 - i64::from(self.value);
        self.value = (i64::from(self.value) + step * 2 / (i64::from(self.count) + 3)) as u32;
    }
}

/// Prefix sums of the model's weights with those of the followers added.
fn add(followers: &[(u32, u64)], cumulative: &[u64], mixed: &mut [u64]) {
    let (mut added, mut from) = (0, 0);
    let ends = followers
        .iter()
        .map(|follower| (follower.0 as usize + 1, follower.1));
    for (end, weight) in ends.chain([(cumulative.len(), 0)]) {
        for (mixed, sum) in mixed[from..end].iter_mut().zip(&cumulative[from..end]) {
            *mixed = sum + added;
        }
        (added, from) = (added + weight, end);
    }
}

/// States kept of so many numbers; a power of two.
fn capacity(width: usize) -> u64 {
    1 << (STATES / width.max(1)).clamp(1, 1 << 17).ilog2()
}

/// 2^24 over the root of `square`, which is not negative.
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
    /// Prefix sums of a model that finds every one of five tokens as likely.
    const EVEN: [u64; ROWS + 1] = [0, 1 << 24, 2 << 24, 3 << 24, 4 << 24, 5 << 24];

    fn state(first: i8) -> [i8; WIDTH] {
        [first, 127, 0, 0, -100, 3, 0, 1]
    }

    fn weight(sums: &[u64], row: usize) -> u64 {
        sums[row + 1] - sums[row]
    }

    /// The weights that are mixed for `state` behind `last`.
    fn mixed(recall: &mut Recall, last: u32, state: &[i8]) -> [u64; ROWS + 1] {
        let mut sums = [0; ROWS + 1];
        recall.mix(last, state, &EVEN, &mut sums);
        sums
    }

    #[test]
    fn what_followed_a_like_state_is_expected_again() {
        let mut recall = Recall::new(InstructionSet::PORTABLE, WIDTH, ROWS).unwrap();
        assert_eq!(mixed(&mut recall, 1, &state(50)), EVEN);
        recall.learn(&EVEN, 3);
        let sums = mixed(&mut recall, 1, &state(51));
        assert!(weight(&sums, 3) > 1 << 24);
        for row in [0, 1, 2, 4] {
            assert_eq!(weight(&sums, row), 1 << 24);
        }
        recall.learn(&EVEN, 4);
        // The more alike of the two has the greater share.
        let sums = mixed(&mut recall, 1, &state(-100));
        assert!(weight(&sums, 3) > weight(&sums, 4));
        // Behind another token neither is known.
        assert_eq!(mixed(&mut recall, 2, &state(50)), EVEN);
    }

    #[test]
    fn trust_follows_what_comes_and_is_bounded() {
        let mut recall = Recall::new(InstructionSet::PORTABLE, WIDTH, ROWS).unwrap();
        let share = |sums: &[u64]| weight(sums, 3) as f64 / sums[ROWS] as f64;
        let mut after = |row: u32| {
            for _ in 0..2000 {
                mixed(&mut recall, 1, &state(50));
                recall.learn(&EVEN, row);
            }
            mixed(&mut recall, 1, &state(50))
        };
        assert!(share(&after(3)) > 0.95);
        let model: [u64; ROWS + 1] = [0, 1, 2, 3, 4, 1 << 24];
        let mut doubted = Recall::new(InstructionSet::PORTABLE, WIDTH, ROWS).unwrap();
        for turn in 0..2000 {
            let mut sums = [0; ROWS + 1];
            doubted.mix(1, &state(50), &model, &mut sums);
            doubted.learn(&model, if turn % 2 == 0 { 4 } else { turn / 2 % 4 });
        }
        assert!(
            doubted
                .trust
                .iter()
                .all(|trust| (TRUST_LEAST..=TRUST_MOST).contains(&trust.share()))
        );
    }

    #[test]
    fn the_oldest_gives_way() {
        let mut recall = Recall::new(InstructionSet::PORTABLE, WIDTH, ROWS).unwrap();
        recall.capacity = 4;
        for turn in 0..11u32 {
            mixed(&mut recall, turn % 3, &state(turn as i8));
            recall.learn(&EVEN, turn % 5);
        }
        // Kept are turns 7 to 10: of those behind 0 that is one of four, of those behind 1 two.
        for (last, states) in [(0, [9].as_slice()), (1, &[10, 7])] {
            mixed(&mut recall, last, &state(0));
            let found = recall.present.chosen.iter();
            let found = found.map(|&at| recall.states[at as usize * WIDTH]);
            assert_eq!(found.collect::<Vec<i8>>(), states);
        }
        assert_eq!(recall.states.len(), 4 * WIDTH);
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
            tokens in vec((0..ROWS as u32, vec(-127i8..=127, WIDTH), vec(1u64..=1 << 40, ROWS)), 1..60),
            flat in any::<bool>(),
        ) {
            let mut recall = Recall::new(InstructionSet::PORTABLE, WIDTH, ROWS).unwrap();
            let mut last = 0;
            for (row, state, weights) in tokens {
                let state = if flat { vec![0; WIDTH] } else { state };
                let sums: Vec<u64> = [0].into_iter().chain(weights).scan(0, |sum, weight| {
                    *sum += weight;
                    Some(*sum)
                }).collect();
                let mut mixed = vec![0; sums.len()];
                recall.mix(last, &state, &sums, &mut mixed);
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
