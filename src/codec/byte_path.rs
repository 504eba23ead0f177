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

/// The state of one token's spelling: the rows from `low` to `high` are still possible.
pub(super) struct Walk<'a> {
    tokens: TokenTable<'a>,
    distribution: Distribution<'a>,
    /// Bytes left in the stream: no token may be longer.
    limit: usize,
    low: Bound,
    high: Bound,
    /// Bytes spelled so far.
    depth: usize,
    step: Step,
}

/// A row, and the sum of the weights of all rows below it.
#[derive(Clone, Copy)]
struct Bound {
    row: usize,
    sum: u64,
}

impl Bound {
    fn of(distribution: Distribution<'_>, row: usize) -> Bound {
        let sum = distribution.sum_below(row);
        Bound { row, sum }
    }
}

#[derive(Clone, Copy)]
enum Step {
    /// Whether the token ends. If the bytes so far are themselves a token, which is then the first
    /// of the range, `longer` is where the longer ones begin.
    End {
        longer: Option<Bound>,
    },
    /// A bit. `so_far` has the bits of the byte so far below a leading 1: 1 before any, 0x80..0xff
    /// before the last. `ones` is where the rows begin whose next bit is 1.
    Bit {
        so_far: u8,
        ones: Bound,
    },
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
        debug_assert_eq!(distribution.model().rows().len(), tokens.len());
        debug_assert!(limit > 0);
        let mut walk = Walk {
            tokens,
            distribution,
            limit,
            low: Bound::of(distribution, 0),
            high: Bound::of(distribution, tokens.len()),
            depth: 0,
            step: Step::Done,
        };
        // No token is empty, so the first question is always a bit.
        walk.step = walk.bit(1);
        walk
    }

    /// Bytes spelled so far.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// The question to answer now.
    pub(super) fn question(&self) -> Question {
        match self.step {
            Step::Done => Question::Token(self.low.row as u32),
            Step::End { longer } => Question::TokenEnd(match longer {
                None => Odds::Certain(false),
                Some(longer) if longer.row == self.high.row || self.depth == self.limit => {
                    Odds::Certain(true)
                }
                Some(longer) => self.chance(longer.sum - self.low.sum),
            }),
            Step::Bit { so_far, ones } => {
                let odds = if ones.row == self.low.row {
                    Odds::Certain(true)
                } else if ones.row == self.high.row {
                    Odds::Certain(false)
                } else {
                    self.chance(self.high.sum - ones.sum)
                };
                // The highest bit is asked for when there is nothing below the leading 1.
                Question::Bit(so_far.leading_zeros() as u8, odds)
            }
        }
    }

    /// Answers the question. The only error is a token that is longer than the rest of the stream,
    /// which no encoder writes.
    pub(super) fn answer(&mut self, bit: bool) -> Result<(), CorruptStream> {
        self.step = match self.step {
            Step::Done => Step::Done,
            Step::End { .. } if bit => Step::Done,
            Step::End { longer } => {
                if self.depth == self.limit {
                    return Err(CorruptStream::Overshoot);
                }
                self.low = longer.unwrap_or(self.low);
                self.bit(1)
            }
            Step::Bit { so_far, ones } => {
                let end = if bit { &mut self.low } else { &mut self.high };
                *end = ones;
                debug_assert!(self.low.row < self.high.row);
                if so_far < 0x80 {
                    self.bit(so_far << 1 | u8::from(bit))
                } else {
                    self.depth += 1;
                    self.end()
                }
            }
        };
        Ok(())
    }

    /// The step of the token's end.
    fn end(&self) -> Step {
        let is_token = self.tokens.bytes(self.low.row as u32).len() == self.depth;
        Step::End {
            longer: is_token.then(|| self.bound(self.low.row + 1)),
        }
    }

    /// The step of the bit after `so_far`.
    fn bit(&self, so_far: u8) -> Step {
        // `so_far` has n bits below its leading 1; the byte's smallest value with those bits and
        // then a 1 is what separates the two halves.
        let bits = 7 - so_far.leading_zeros();
        let first = ((u32::from(so_far) << 1 | 1) << (7 - bits)) as u8;
        let (mut low, mut high) = (self.low.row, self.high.row);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.tokens.bytes(middle as u32)[self.depth] < first {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Step::Bit {
            so_far,
            ones: self.bound(low),
        }
    }

    /// `row`, which is one of the range or the one behind it, with its sum.
    fn bound(&self, row: usize) -> Bound {
        match row {
            row if row == self.low.row => self.low,
            row if row == self.high.row => self.high,
            row => Bound::of(self.distribution, row),
        }
    }

    /// The share in the range of some of its rows, but not all, whose weights sum to `part`.
    fn chance(&self, part: u64) -> Odds {
        let whole = self.high.sum - self.low.sum;
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
    use crate::predict::Weights;
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

    /// Walks to `row`; gives the cost in bits.
    fn cost(tokens: TokenTable<'_>, weights: &Weights, row: u32, limit: usize) -> f64 {
        let bytes = tokens.bytes(row);
        let mut walk = Walk::new(tokens, Distribution::new(weights), limit);
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
        let total: u32 = weights.iter().sum();
        let rows = Weights::from_rows(&weights);
        for row in 0..tokens.len() as u32 {
            let ideal = -(f64::from(weights[row as usize]) / f64::from(total)).log2();
            let walked = cost(tokens, &rows, row, 3);
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
        let weights = Weights::from_rows(&[1, 1]);
        assert_eq!(cost(tokens, &weights, 0, 1), 0.0);
        assert!(cost(tokens, &weights, 0, 2) > 0.9);
    }

    #[test]
    fn a_token_longer_than_the_stream_is_refused() {
        let words = Words::new([b"ab".as_slice()]);
        let weights = Weights::from_rows(&[1]);
        let mut walk = Walk::new(words.table(), Distribution::new(&weights), 1);
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
            let weights: Vec<u32> = (0..tokens.len() as u64)
                .map(|i| (i.wrapping_mul(seed | 1) >> 40) as u32 + 1)
                .collect();
            let weights = Weights::from_rows(&weights);
            for row in 0..tokens.len() as u32 {
                cost(tokens, &weights, row, 8);
            }
        }
    }
}
