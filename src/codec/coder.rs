//! The range coder: binary decisions to bytes and back.
//!
//! The arithmetic is `constriction`'s range coder (32-bit words, 64-bit state); this module gives
//! it our two-symbol integer model and turns its words into bytes. It knows nothing of what the
//! decisions mean.
//!
//! Invariants:
//! - A probability is the chance of a 1 in units of 2^-24, never 0 and never 1.
//! - The coder works on [`CODED_BITS`] of those bits. The range coder loses up to one unit in
//!   `range >> CODED_BITS`, where `range` lies between 2^32 and 2^64. With 24 bits this loss costs
//!   1.3e-4 bits a decision; with 20 bits it costs 1e-5 bits, and the cheapest decision still costs
//!   only 1.4e-6 bits.
//! - The last word's trailing zero bytes are dropped: past the end, the decoder reads zeros.
//! - The encoder writes a word at each renormalisation and at most two at the end; the decoder
//!   reads two at the start and one at each renormalisation. So a decoder that asks for a third
//!   word past the end, or leaves words unread, is not reading what an encoder wrote. Any other
//!   corruption goes unnoticed here: lengths and checksums belong to the container.

use std::borrow::Borrow;
use std::num::NonZeroU32;

use constriction::backends::ReadWords;
use constriction::stream::model::{DecoderModel, EncoderModel, EntropyModel};
use constriction::stream::queue::{RangeDecoder, RangeEncoder};
use constriction::stream::{Decode, Encode};
use constriction::{CoderError, Queue, UnwrapInfallible};

use super::CorruptStream;
use crate::predict::PROBABILITY_BITS;

/// Bits of a probability that the range coder uses.
pub const CODED_BITS: usize = 20;

/// A binary event as `constriction` wants it: 0 lies below 1 in the cumulative distribution.
struct Bernoulli {
    zero: NonZeroU32,
    one: NonZeroU32,
}

impl Bernoulli {
    /// `p` is P(1) in units of 2^-24.
    fn new(p: u32) -> Bernoulli {
        let one = (p >> (PROBABILITY_BITS as usize - CODED_BITS)).clamp(1, (1 << CODED_BITS) - 1);
        let zero = (1 << CODED_BITS) - one;
        Bernoulli {
            zero: NonZeroU32::new(zero).unwrap_or(NonZeroU32::MIN),
            one: NonZeroU32::new(one).unwrap_or(NonZeroU32::MIN),
        }
    }
}

impl EntropyModel<CODED_BITS> for Bernoulli {
    type Symbol = bool;
    type Probability = u32;
}

impl EncoderModel<CODED_BITS> for Bernoulli {
    fn left_cumulative_and_probability(
        &self,
        symbol: impl Borrow<bool>,
    ) -> Option<(u32, NonZeroU32)> {
        Some(match symbol.borrow() {
            false => (0, self.zero),
            true => (self.zero.get(), self.one),
        })
    }
}

impl DecoderModel<CODED_BITS> for Bernoulli {
    fn quantile_function(&self, quantile: u32) -> (bool, u32, NonZeroU32) {
        if quantile < self.zero.get() {
            (false, 0, self.zero)
        } else {
            (true, self.zero.get(), self.one)
        }
    }
}

/// Writes binary decisions.
pub(super) struct Encoder {
    range: RangeEncoder<u32, u64>,
}

impl Encoder {
    /// An encoder that has written nothing.
    pub(super) fn new() -> Encoder {
        Encoder {
            range: RangeEncoder::new(),
        }
    }

    /// Codes `bit`. `p` is the predictor's probability that it is 1, in units of 2^-24.
    pub(super) fn encode(&mut self, p: u32, bit: bool) {
        // The model gives both symbols a positive probability and the backend is a `Vec`: the
        // coder has no way to fail.
        let coded = self.range.encode_symbol(bit, Bernoulli::new(p));
        debug_assert!(coded.is_ok());
    }

    /// The number of bytes that `finish` would return now, to within a word.
    pub(super) fn len(&self) -> usize {
        self.range.num_words() * 4
    }

    /// The coded bytes.
    pub(super) fn finish(self) -> Vec<u8> {
        let words: Vec<u32> = self.range.into_compressed().unwrap_infallible();
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let zeros = words.last().map_or(0, |word| word.trailing_zeros() / 8);
        bytes.truncate(bytes.len() - zeros.min(3) as usize);
        bytes
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Encoder::new()
    }
}

/// Reads binary decisions back.
pub(super) struct Decoder<'a> {
    range: RangeDecoder<u32, u64, Words<'a>>,
}

impl<'a> Decoder<'a> {
    /// A decoder at the start of `bytes`, which [`Encoder::finish`] returned.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Decoder<'a>, CorruptStream> {
        let words = Words { bytes, past_end: 0 };
        Ok(Decoder {
            range: RangeDecoder::with_backend(words)?,
        })
    }

    /// The next decision. `p` must be the probability that the encoder was given.
    pub(super) fn decode(&mut self, p: u32) -> Result<bool, CorruptStream> {
        self.range
            .decode_symbol(Bernoulli::new(p))
            .map_err(|error| match error {
                CoderError::Backend(error) => error,
                CoderError::Frontend(_) => CorruptStream::NotACodeWord,
            })
    }

    /// Checks, after the last decision, that nothing is left over.
    pub(super) fn finish(self) -> Result<(), CorruptStream> {
        let (words, _, _) = self.range.into_raw_parts();
        if words.bytes.is_empty() {
            Ok(())
        } else {
            Err(CorruptStream::Unread {
                bytes: words.bytes.len(),
            })
        }
    }
}

/// The coded bytes as big-endian words, the last one filled up with zeros.
struct Words<'a> {
    bytes: &'a [u8],
    past_end: u32,
}

impl ReadWords<u32, Queue> for Words<'_> {
    type ReadError = CorruptStream;

    fn read(&mut self) -> Result<Option<u32>, CorruptStream> {
        if self.bytes.is_empty() {
            self.past_end += 1;
            return if self.past_end > 2 {
                Err(CorruptStream::Exhausted)
            } else {
                Ok(None)
            };
        }
        let (head, tail) = self.bytes.split_at(self.bytes.len().min(4));
        let mut word = [0; 4];
        word[..head.len()].copy_from_slice(head);
        self.bytes = tail;
        Ok(Some(u32::from_be_bytes(word)))
    }

    fn maybe_exhausted(&self) -> bool {
        self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(decisions: &[(u32, bool)]) -> usize {
        let mut encoder = Encoder::new();
        for &(p, bit) in decisions {
            encoder.encode(p, bit);
        }
        let bytes = encoder.finish();
        let mut decoder = Decoder::new(&bytes).unwrap();
        for &(p, bit) in decisions {
            assert_eq!(decoder.decode(p).ok(), Some(bit));
        }
        decoder.finish().unwrap();
        bytes.len()
    }

    #[test]
    fn nothing_takes_no_bytes() {
        assert_eq!(round_trip(&[]), 0);
    }

    #[test]
    fn code_length_is_the_cross_entropy() {
        let top = 1 << PROBABILITY_BITS;
        let mut bits = 0.0;
        let decisions: Vec<(u32, bool)> = (0u32..200_000)
            .map(|i| {
                let noise = i.wrapping_mul(2_654_435_761) >> 8;
                let p = noise.clamp(1 << 8, top - (1 << 8));
                let bit = (i.wrapping_mul(0x9E37_79B1) ^ 0x5555).wrapping_mul(0x85EB_CA6B) >> 8 < p;
                let chance = if bit { p } else { top - p };
                bits -= (f64::from(chance) / f64::from(top)).log2();
                (p, bit)
            })
            .collect();
        let coded = round_trip(&decisions) as f64 * 8.0;
        assert!(
            (coded - bits).abs() < 64.0 + bits * 1e-3,
            "{coded} bits coded, {bits} ideal"
        );
    }

    proptest! {
        #[test]
        fn any_decisions_come_back(
            decisions in prop::collection::vec((1u32..(1 << 24), any::<bool>()), 0..600),
        ) {
            round_trip(&decisions);
        }

        #[test]
        fn any_bytes_decode_to_something_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
            p in 1u32..(1 << 24),
        ) {
            let Ok(mut decoder) = Decoder::new(&bytes) else {
                return Ok(());
            };
            for _ in 0..600 {
                if decoder.decode(p).is_err() {
                    break;
                }
            }
        }
    }
}
