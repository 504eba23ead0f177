//! A token as a path of bytes through the sorted vocabulary.
//!
//! The vocabulary is sorted by bytes, so the rows that share a prefix are one contiguous range, and
//! a row that *is* the prefix comes first in it. A token is then spelled by binary decisions: "the
//! token ends here", and the bits of its next byte, most significant first. The model's probability
//! of each outcome is the weight of the rows that agree with it, divided by the weight of all rows
//! still possible. So the decisions of a token together cost exactly what coding the token at once
//! would.
//!
//! Both directions drive the same [`Walk`]: it asks, the encoder answers from the token, the
//! decoder from the code. If the vocabulary or the end of the stream leaves no choice, a decision
//! is [`Odds::Certain`] and is not coded.

use super::CorruptStream;
use crate::packed::TokenTable;
use crate::predict::{Distribution, PROBABILITY_BITS};

/// The language model's probability that a decision is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Odds {
    /// There is no choice.
    Certain(bool),
    /// P(1) in units of 2^-24.
    Chance(u32),
}

/// The next question on the way to a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Does the token end after the bytes so far?
    TokenEnd(Odds),
    /// What is the bit of value 2^n of the next byte? The number is n.
    Bit(u8, Odds),
    /// Nothing: the token is this row.
    Token(u32),
}

/// The state of one token's spelling: rows `low..high` are still possible.
pub(super) struct Walk<'a> {
    tokens: TokenTable<'a>,
    distribution: Distribution<'a>,
    /// Bytes left in the stream: no token may be longer.
    limit: usize,
    low: usize,
    high: usize,
    /// Bytes spelled so far.
    depth: usize,
    step: Step,
}

#[derive(Clone, Copy)]
enum Step {
    End,
    /// The bits of the byte so far, below a leading 1: 1 before any, 0x80..0xff before the last.
    Bit(u8),
    Done,
}

impl<'a> Walk<'a> {
    /// Begins a token. Every weight of `distribution` is positive; `limit` is the number of bytes
    /// left in the stream, at least 1.
    pub(super) fn new(
        tokens: TokenTable<'a>,
        distribution: Distribution<'a>,
        limit: usize,
    ) -> Walk<'a> {
        debug_assert_eq!(distribution.model().len(), tokens.len() + 1);
        debug_assert!(limit > 0);
        Walk {
            tokens,
            distribution,
            limit,
            low: 0,
            high: tokens.len(),
            depth: 0,
            // No token is empty, so the first question is always a bit.
            step: Step::Bit(1),
        }
    }

    /// Bytes spelled so far.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// The question to answer now.
    pub(super) fn question(&self) -> Question {
        match self.step {
            Step::Done => Question::Token(self.low as u32),
            Step::End => Question::TokenEnd(self.end_odds()),
            Step::Bit(so_far) => {
                let split = self.split(so_far);
                let odds = if split == self.low {
                    Odds::Certain(true)
                } else if split == self.high {
                    Odds::Certain(false)
                } else {
                    self.chance(split, self.high)
                };
                // The highest bit is asked for when there is nothing below the leading 1.
                Question::Bit(so_far.leading_zeros() as u8, odds)
            }
        }
    }

    /// Answers the question. The only error is a token that is longer than the rest of the stream,
    /// which no encoder writes.
    pub(super) fn answer(&mut self, bit: bool) -> Result<(), CorruptStream> {
        match self.step {
            Step::Done => {}
            Step::End if bit => {
                self.high = self.low + 1;
                self.step = Step::Done;
            }
            Step::End => {
                if self.depth == self.limit {
                    return Err(CorruptStream::Overshoot);
                }
                if self.is_token() {
                    self.low += 1;
                }
                self.step = Step::Bit(1);
            }
            Step::Bit(so_far) => {
                let split = self.split(so_far);
                if bit {
                    self.low = split;
                } else {
                    self.high = split;
                }
                debug_assert!(self.low < self.high);
                if so_far < 0x80 {
                    self.step = Step::Bit(so_far << 1 | u8::from(bit));
                } else {
                    self.depth += 1;
                    self.step = Step::End;
                }
            }
        }
        Ok(())
    }

    /// Whether the bytes so far are themselves a token, which is then the first of the range.
    fn is_token(&self) -> bool {
        self.tokens.bytes(self.low as u32).len() == self.depth
    }

    fn end_odds(&self) -> Odds {
        if !self.is_token() {
            Odds::Certain(false)
        } else if self.high - self.low == 1 || self.depth == self.limit {
            Odds::Certain(true)
        } else {
            self.chance(self.low, self.low + 1)
        }
    }

    /// The first row of the range whose next bit is 1.
    fn split(&self, so_far: u8) -> usize {
        // `so_far` has n bits below its leading 1; the byte's smallest value with those bits and
        // then a 1 is what separates the two halves.
        let bits = 7 - so_far.leading_zeros();
        let first = ((u32::from(so_far) << 1 | 1) << (7 - bits)) as u8;
        let rows = self.low..self.high;
        let mut low = rows.start;
        let mut high = rows.end;
        while low < high {
            let middle = low + (high - low) / 2;
            if self.tokens.bytes(middle as u32)[self.depth] < first {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The share of rows `from..to` in the range. They are some of its rows, but not all.
    fn chance(&self, from: usize, to: usize) -> Odds {
        let weight = |from, to| self.distribution.sum_below(to) - self.distribution.sum_below(from);
        let (part, whole) = (weight(from, to), weight(self.low, self.high));
        // Whole sums fit 64 bits; 24 more are needed for the quotient.
        let excess =
            (u64::BITS - whole.leading_zeros()).saturating_sub(u64::BITS - PROBABILITY_BITS);
        let p = ((part >> excess) << PROBABILITY_BITS) / (whole >> excess);
        Odds::Chance((p as u32).clamp(1, (1 << PROBABILITY_BITS) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Words as a table keeps them: their bytes, and where each begins.
    struct Words {
        bytes: Vec<u8>,
        offsets: Vec<u32>,
    }

    impl Words {
        /// From words in ascending order.
        fn new<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Words {
            let mut table = Words {
                bytes: Vec::new(),
                offsets: vec![0],
            };
            for word in words {
                table.bytes.extend_from_slice(word);
                table.offsets.push(table.bytes.len() as u32);
            }
            table
        }

        fn table(&self) -> TokenTable<'_> {
            TokenTable::new(&self.bytes, &self.offsets).unwrap()
        }
    }

    fn cumulative(weights: &[u64]) -> Vec<u64> {
        let mut sums = vec![0];
        for weight in weights {
            sums.push(sums[sums.len() - 1] + weight);
        }
        sums
    }

    /// Walks to `row`; gives the cost in bits.
    fn cost(tokens: TokenTable<'_>, sums: &[u64], row: u32, limit: usize) -> f64 {
        let bytes = tokens.bytes(row);
        let mut walk = Walk::new(tokens, Distribution::new(sums), limit);
        let mut bits = 0.0;
        loop {
            let (odds, truth) = match walk.question() {
                Question::Token(found) => {
                    assert_eq!(found, row);
                    return bits;
                }
                Question::TokenEnd(odds) => (odds, walk.depth() == bytes.len()),
                Question::Bit(shift, odds) => (odds, bytes[walk.depth()] >> shift & 1 == 1),
            };
            match odds {
                Odds::Certain(certain) => assert_eq!(certain, truth),
                Odds::Chance(p) => {
                    let p = f64::from(p) / f64::from(1 << PROBABILITY_BITS);
                    bits -= if truth { p } else { 1.0 - p }.log2();
                }
            }
            walk.answer(truth).unwrap();
        }
    }

    #[test]
    fn the_decisions_of_a_token_cost_what_the_token_costs() {
        let words: [&[u8]; 7] = [b"\x00", b"a", b"ab", b"abc", b"b", b"ba", b"\xff"];
        let words = Words::new(words);
        let tokens = words.table();
        let weights = [5, 100, 20, 7, 1, 1000, 3];
        let sums = cumulative(&weights);
        let total: u64 = weights.iter().sum();
        for row in 0..tokens.len() as u32 {
            let ideal = -(weights[row as usize] as f64 / total as f64).log2();
            let walked = cost(tokens, &sums, row, 3);
            assert!(
                (walked - ideal).abs() < 1e-3,
                "row {row}: {walked}, ideal {ideal}"
            );
        }
    }

    #[test]
    fn a_token_that_fills_the_stream_ends_for_certain() {
        let words = Words::new([b"a".as_slice(), b"ab"]);
        let tokens = words.table();
        let sums = cumulative(&[1, 1]);
        assert_eq!(cost(tokens, &sums, 0, 1), 0.0);
        assert!(cost(tokens, &sums, 0, 2) > 0.9);
    }

    #[test]
    fn a_token_longer_than_the_stream_is_refused() {
        let words = Words::new([b"ab".as_slice()]);
        let sums = cumulative(&[1]);
        let mut walk = Walk::new(words.table(), Distribution::new(&sums), 1);
        let mut failed = false;
        for _ in 0..64 {
            match walk.question() {
                Question::Bit(_, Odds::Certain(bit)) | Question::TokenEnd(Odds::Certain(bit)) => {
                    if walk.answer(bit).is_err() {
                        failed = true;
                        break;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(failed);
    }

    proptest! {
        #[test]
        fn every_row_is_reached(
            words in prop::collection::btree_set(prop::collection::vec(0u8..4, 1..5), 1..60),
            seed in any::<u64>(),
        ) {
            let words = Words::new(words.iter().map(Vec::as_slice));
            let tokens = words.table();
            let weights: Vec<u64> = (0..tokens.len() as u64)
                .map(|i| (i.wrapping_mul(seed | 1) >> 20) + 1)
                .collect();
            let sums = cumulative(&weights);
            for row in 0..tokens.len() as u32 {
                cost(tokens, &sums, row, 8);
            }
        }
    }
}
