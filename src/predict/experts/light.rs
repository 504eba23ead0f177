//! The light preset: a few experts and a small mixer, for speed. It runs without a language model.

use super::bit_histories::BitHistories;
use super::byte_history::ByteHistory;
use super::contexts::combine;
use super::match_model::{MatchModel, Scope};
use crate::machine::MachineError;
use crate::machine::instructions::InstructionSet;
use crate::predict::decision::Event;
use crate::predict::kernels::mixer::LANES;
use crate::predict::mix::apm::Apm;
use crate::predict::mix::counter::Counter;
use crate::predict::mix::logistic::{LOGIT_MAX, squash, stretch};
use crate::predict::mix::mixer::{Mixer, Rate, Set};

/// Orders 1 to 4 and 6, and the word.
const CONTEXTS: usize = 6;

/// Bytes of the table, bytes of history, slots of the match model, as powers of two.
const TABLE_BITS: u32 = 24;
const HISTORY_BITS: u32 = 22;
const MATCH_BITS: u32 = 18;

/// Shortest match that is looked for.
const MATCH: usize = 7;

/// A bias, order 0, the contexts, the match.
const ACTIVE: usize = 2 + BitHistories::<CONTEXTS>::INPUTS + MatchModel::INPUTS;
const INPUTS: usize = ACTIVE.next_multiple_of(LANES);

/// Weights are chosen by the match and by the last byte.
const SETS: [usize; 2] = [16 * 3, 256];

/// The light experts and their mixer.
pub(crate) struct LightExperts {
    byte_history: ByteHistory,
    bit_histories: BitHistories<CONTEXTS>,
    longest: MatchModel,
    order0: Vec<Counter>,
    events: [Counter; 2],
    event: Event,
    inputs: [i32; INPUTS],
    mixer: Mixer,
    apm: Apm,
    /// Hash of the letters of the current word, 0 outside of words.
    word: u32,
    /// The bits of the current byte so far, after a leading one.
    partial: u32,
}

impl LightExperts {
    pub(crate) fn new(instructions: InstructionSet) -> Result<LightExperts, MachineError> {
        let mut initial = [0; INPUTS];
        initial[..ACTIVE].fill((5 << 18) / ACTIVE as i32);
        let rates = [(300, 1700), (100, 1000)].map(|(floor, extra)| Rate {
            floor,
            extra,
            halving: 100,
        });
        let sets = SETS.map(|contexts| Set { contexts, pace: 1 });
        Ok(LightExperts {
            byte_history: ByteHistory::new(HISTORY_BITS, false)?,
            bit_histories: BitHistories::new(TABLE_BITS)?,
            longest: MatchModel::new(MATCH, Scope::File, MATCH_BITS)?,
            order0: vec![Counter::new(1 << 21, 0); 256],
            events: [Counter::new(1 << 21, 0); 2],
            event: Event::Bit,
            inputs: [0; INPUTS],
            mixer: Mixer::new(instructions, &initial, &sets, 256, rates),
            apm: Apm::new(1 << 16, 255)?,
            word: 0,
            partial: 1,
        })
    }

    /// A copy in memory of its own.
    pub(crate) fn try_clone(&self) -> Result<LightExperts, MachineError> {
        Ok(LightExperts {
            byte_history: self.byte_history.try_clone()?,
            bit_histories: self.bit_histories.try_clone()?,
            longest: self.longest.try_clone()?,
            order0: self.order0.clone(),
            mixer: self.mixer.clone(),
            apm: self.apm.try_clone()?,
            ..*self
        })
    }

    /// Expects that the large tables will be used in most places.
    pub(crate) fn prefer_huge(&mut self) {
        self.byte_history.prefer_huge();
        self.bit_histories.prefer_huge();
        self.longest.prefer_huge();
        self.apm.prefer_huge();
    }

    /// P(bit = 1) of the next decision.
    pub(crate) fn predict(&mut self, event: Event) -> u32 {
        self.event = event;
        match event {
            Event::Bit => {
                self.predict_bit();
                self.mix()
            }
            Event::TokenEnd => self.events[0].p(),
            Event::Escape => self.events[1].p(),
        }
    }

    /// Learns the decision just predicted.
    pub(crate) fn update(&mut self, bit: bool) {
        match self.event {
            Event::Bit => {
                self.mixer.update(&self.inputs, bit);
                self.apm.update(bit);
                self.learn(bit);
            }
            Event::TokenEnd => self.events[0].update(bit, 255),
            Event::Escape => self.events[1].update(bit, 255),
        }
    }

    /// Learns a bit that was not coded.
    pub(crate) fn learn_certain(&mut self, bit: bool) {
        self.predict_bit();
        self.learn(bit);
    }

    /// A byte that was stored joins the history.
    pub(crate) fn skip(&mut self, byte: u8) {
        self.next_byte(byte);
    }

    fn predict_bit(&mut self) {
        self.inputs[0] = 256;
        self.inputs[1] = stretch(self.order0[self.partial as usize].p());
        let (contexts, longest) = self.inputs[2..].split_at_mut(BitHistories::<CONTEXTS>::INPUTS);
        self.bit_histories.predict(self.partial, contexts);
        self.longest.inputs(self.partial, longest);
    }

    fn mix(&mut self) -> u32 {
        let partial = self.partial;
        let last = self.byte_history.back(1);
        let curve = usize::from(last) << 8 | partial as usize;
        self.apm.prefetch(curve);
        let expected = self.longest.expected(partial).map_or(0, |byte| {
            1 + (usize::from(byte) >> (7 - partial.ilog2()) & 1)
        });
        let class = if expected == 0 {
            0
        } else {
            self.longest.class()
        };
        let contexts = [class * 3 + expected, usize::from(last)];
        let sum = self.mixer.mix(&self.inputs, &contexts, partial as usize);
        let logit = (sum >> 4).clamp(-LOGIT_MAX, LOGIT_MAX);
        (squash(sum) + self.apm.refine(logit, curve)) / 2
    }

    fn learn(&mut self, bit: bool) {
        let partial = self.partial;
        self.order0[partial as usize].update(bit, 255);
        self.bit_histories.learn(partial, bit);
        self.longest.update(partial, bit);
        self.partial = partial << 1 | u32::from(bit);
        if self.partial >= 256 {
            self.next_byte(self.partial as u8);
        } else if self.partial.ilog2() == 4 {
            self.bit_histories.next_nibble(self.partial);
        }
    }

    /// A byte is complete.
    fn next_byte(&mut self, byte: u8) {
        self.partial = 1;
        self.byte_history.push(byte);
        let slot = self.longest.seek(&self.byte_history);
        self.word = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | 128.. => {
                combine(self.word, u32::from(byte.to_ascii_lowercase()) + 1)
            }
            _ => 0,
        };
        let last = self.byte_history.recent()[0];
        let (last4, last6) = (last as u32, (last >> 32) as u32 & 0xffff);
        let contexts = [
            last4 & 0xff,
            last4 & 0xffff,
            last4 & 0xff_ffff,
            last4,
            combine(last4, last6),
            combine(self.word, last4 & 0xff),
        ];
        self.bit_histories.next_byte(std::array::from_fn(|i| {
            combine(i as u32 + 1, contexts[i]).wrapping_mul(0x2545_f491)
        }));
        self.longest.next_byte(&self.byte_history, slot);
    }
}
