//! All experts on the bits of a byte; mixes their predictions with the language model's.

use super::bit_histories::{BitHistories, SelectedRows};
use super::byte_history::{ByteHistory, StreamPosition};
use super::contexts::{self, CONTEXTS, Contexts, combine};
use super::events::{EventContexts, EventExperts};
use super::match_model::{Match, MatchModel, Scope};
use super::pixels::{Neighbourhood, Pixels};
use super::record_length::RecordLength;
use crate::machine::MachineError;
use crate::machine::instructions::InstructionSet;
use crate::predict::decision::{Event, Settings, TokenFacts};
use crate::predict::kernels::mixer::LANES;
use crate::predict::mix::apm::Apm;
use crate::predict::mix::counter::Counter;
use crate::predict::mix::logistic::{LOGIT_MAX, stretch};
use crate::predict::mix::mixer::{Mixer, Rate, Set};
use std::ops::Range;

/// The match models: the shortest match of each, and where it looks.
const MATCHES: [(usize, Scope); 3] = [(20, Scope::File), (10, Scope::File), (5, Scope::Stream)];

/// Inputs in use. Those beyond, up to a multiple of [`LANES`], stay zero.
const ACTIVE: usize = 2 + 2 * CONTEXTS + MATCHES.len() * MatchModel::INPUTS + Pixels::INPUTS;
const INPUTS: usize = ACTIVE.next_multiple_of(LANES);

/// The inputs of an expert, by its index in [`names`].
fn inputs_of(expert: usize) -> Range<usize> {
    const BASE: usize = 2 + BitHistories::<CONTEXTS>::INPUTS;
    const PIXELS: usize = BASE + MATCHES.len() * MatchModel::INPUTS;
    let pair = |start| start..start + 2;
    match expert {
        0 => 1..2,
        context @ 1..=CONTEXTS => pair(2 * context),
        matches if matches - 1 - CONTEXTS < MATCHES.len() => {
            pair(BASE + (matches - 1 - CONTEXTS) * MatchModel::INPUTS)
        }
        _ => PIXELS..PIXELS + Pixels::INPUTS,
    }
}

/// The names of the experts, in order.
pub(crate) fn names() -> Vec<String> {
    let mut names = vec!["order 0".to_owned()];
    names.extend(contexts::NAMES.map(str::to_owned));
    names.extend(MATCHES.map(|(minimum, _)| format!("match of {minimum} bytes or more")));
    names.push("pixels".to_owned());
    names
}

/// Contexts of each weight set of the experts' mixer, and of the final mixer, which weighs the
/// experts against the model.
const SETS: [usize; 6] = [16 * 3, 256, 256, 64, 512, 2048];
const FINAL_SETS: [usize; 6] = [16 * 4 * 4, 16 * 4, 512, 512, 256, 512];

/// Pace of the final mixer's fast sets.
const FAST: u32 = 8;

/// All experts, what they have seen, and the mixers.
pub(crate) struct AllExperts {
    byte_history: ByteHistory,
    bit_histories: BitHistories<CONTEXTS>,
    contexts: Contexts,
    record: RecordLength,
    pixels: Pixels,
    matches: [MatchModel; MATCHES.len()],
    order0: Vec<Counter>,
    inputs: [i32; INPUTS],
    /// Inputs of the disabled expert, if there is one.
    disabled: Range<usize>,
    mixer: Mixer,
    final_mixer: Mixer,
    final_inputs: [i32; LANES],
    has_model: bool,
    apms: [Apm; 2],
    ends: EventExperts,
    escapes: EventExperts,
    event: Event,
    /// The bits of the current byte so far, after a leading one.
    partial: u32,
    tokens: Tokens,
}

/// What each stream of a block has of its own: where its next byte goes, and what the experts know
/// of the bytes just before it. Everything else is shared. Valid between bytes only.
#[derive(Clone)]
pub struct StreamState {
    byte_history: StreamPosition,
    bit_histories: SelectedRows<CONTEXTS>,
    contexts: Contexts,
    record: RecordLength,
    pixels: Neighbourhood,
    matches: [Match; MATCHES.len()],
    tokens: Tokens,
}

impl std::fmt::Debug for StreamState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamState").finish_non_exhaustive()
    }
}

impl StreamState {
    /// The state of a stream that begins at `position`, counted from the beginning of the frame.
    ///
    /// # Errors
    /// If its memory cannot be had.
    pub fn new(position: usize) -> Result<StreamState, MachineError> {
        Ok(StreamState {
            byte_history: StreamPosition::new(position),
            bit_histories: SelectedRows::new(),
            contexts: Contexts::new(position)?,
            record: RecordLength::new(),
            pixels: Neighbourhood::default(),
            matches: Default::default(),
            tokens: Tokens::default(),
        })
    }
}

/// The tokens of the language model so far.
#[derive(Clone, Default)]
struct Tokens {
    token: Token,
    /// Whether the last eight tokens escaped, one bit each, the latest lowest.
    escaped: u8,
}

/// The token being coded.
#[derive(Clone, Default)]
struct Token {
    facts: TokenFacts,
    /// Where it begins.
    start: usize,
    /// Hash of its bytes so far, and of the whole token before it.
    hash: u32,
    previous: u32,
}

impl AllExperts {
    pub(crate) fn new(
        instructions: InstructionSet,
        settings: Settings,
    ) -> Result<AllExperts, MachineError> {
        // Bytes of the table, bytes of history, slots of each match model, as powers of two.
        let (table_bits, history_bits, match_bits) = if settings.with_model {
            (25, 22, 18)
        } else {
            (27, 24, 22)
        };
        let mut initial = [0; INPUTS];
        initial[..ACTIVE].fill((5 << 18) / ACTIVE as i32);
        let mut final_initial = [0; LANES];
        (final_initial[0], final_initial[2]) = (1 << 20, 1 << 17);
        // Every set twice: a slow one, for text that the model knows well, and a fast one, for
        // files that repeat themselves.
        let paces = [1, FAST].map(|pace| FINAL_SETS.map(|contexts| Set { contexts, pace }));
        let final_sets = paces.concat();
        let matches = |i: usize| {
            let (minimum, scope) = MATCHES[i];
            MatchModel::new(minimum, scope, match_bits)
        };
        Ok(AllExperts {
            byte_history: ByteHistory::new(history_bits, settings.with_model)?,
            bit_histories: BitHistories::new(table_bits)?,
            contexts: Contexts::new(0)?,
            record: RecordLength::new(),
            pixels: Pixels::new()?,
            matches: [matches(0)?, matches(1)?, matches(2)?],
            order0: vec![Counter::new(1 << 21, 0); 256],
            inputs: [0; INPUTS],
            disabled: 0..0,
            mixer: Mixer::new(
                instructions,
                &initial,
                &SETS.map(|contexts| Set { contexts, pace: 1 }),
                256,
                [
                    Rate {
                        floor: 190,
                        extra: 1800,
                        halving: 100,
                    },
                    Rate {
                        floor: 100,
                        extra: 1000,
                        halving: 100,
                    },
                ],
            ),
            final_mixer: Mixer::new(
                instructions,
                &final_initial,
                &final_sets,
                16,
                [
                    Rate {
                        floor: 50,
                        extra: 500,
                        halving: 100,
                    },
                    Rate {
                        floor: 15,
                        extra: 100,
                        halving: 100,
                    },
                ],
            ),
            final_inputs: [0; LANES],
            has_model: false,
            apms: [Apm::new(1 << 16, 255)?, Apm::new(1 << 16, 255)?],
            ends: EventExperts::new(instructions)?,
            escapes: EventExperts::new(instructions)?,
            event: Event::Bit,
            partial: 1,
            tokens: Tokens::default(),
        })
    }

    /// A copy in memory of its own.
    pub(crate) fn try_clone(&self) -> Result<AllExperts, MachineError> {
        let [long, middle, short] = &self.matches;
        let [first, second] = &self.apms;
        Ok(AllExperts {
            byte_history: self.byte_history.try_clone()?,
            bit_histories: self.bit_histories.try_clone()?,
            contexts: self.contexts.clone(),
            record: self.record.clone(),
            pixels: self.pixels.try_clone()?,
            matches: [long.try_clone()?, middle.try_clone()?, short.try_clone()?],
            order0: self.order0.clone(),
            disabled: self.disabled.clone(),
            mixer: self.mixer.clone(),
            final_mixer: self.final_mixer.clone(),
            apms: [first.try_clone()?, second.try_clone()?],
            ends: self.ends.try_clone()?,
            escapes: self.escapes.try_clone()?,
            tokens: self.tokens.clone(),
            ..*self
        })
    }

    /// Expects that the large tables will be used in most places.
    pub(crate) fn prefer_huge(&mut self) {
        self.byte_history.prefer_huge();
        self.bit_histories.prefer_huge();
        self.matches.iter_mut().for_each(MatchModel::prefer_huge);
        self.apms.iter_mut().for_each(Apm::prefer_huge);
    }

    /// Disables one expert.
    pub(crate) fn disable(&mut self, expert: usize) {
        self.disabled = inputs_of(expert);
    }

    /// How many bytes have been seen.
    pub(crate) fn position(&self) -> usize {
        self.byte_history.position()
    }

    /// Swaps the state of the current stream with `other`. Called between bytes.
    pub(crate) fn exchange(&mut self, other: &mut StreamState) {
        debug_assert_eq!(self.partial, 1);
        self.byte_history.exchange(&mut other.byte_history);
        self.bit_histories.exchange(&mut other.bit_histories);
        std::mem::swap(&mut self.contexts, &mut other.contexts);
        std::mem::swap(&mut self.record, &mut other.record);
        self.pixels.exchange(&mut other.pixels);
        for (model, other) in self.matches.iter_mut().zip(&mut other.matches) {
            model.exchange(other);
        }
        std::mem::swap(&mut self.tokens, &mut other.tokens);
    }

    /// A token begins, and the one before it ended.
    pub(crate) fn begin_token(&mut self, facts: TokenFacts) {
        self.byte_history.mark_end();
        self.tokens.token = Token {
            facts,
            start: self.byte_history.position(),
            hash: 0,
            previous: self.tokens.token.hash,
        };
    }

    /// P(bit = 1) of the next decision.
    pub(crate) fn predict(&mut self, event: Event, model: Option<u32>) -> u32 {
        self.event = event;
        match event {
            Event::Bit => {
                let contexts = self.map_contexts();
                for (apm, context) in self.apms.iter().zip(contexts) {
                    apm.prefetch(context);
                }
                self.predict_bit();
                self.mix(model, contexts)
            }
            Event::TokenEnd => self.predict_end(model),
            Event::Escape => self.predict_escape(model),
        }
    }

    /// Learns the decision just predicted.
    pub(crate) fn update(&mut self, bit: bool) {
        match self.event {
            Event::Bit => {
                self.mixer.update(&self.inputs, bit);
                if self.has_model {
                    self.final_mixer.update(&self.final_inputs, bit);
                }
                for apm in &mut self.apms {
                    apm.update(bit);
                }
                self.learn(bit);
            }
            Event::TokenEnd => self.ends.update(bit),
            Event::Escape => {
                self.escapes.update(bit);
                self.tokens.escaped = self.tokens.escaped << 1 | u8::from(bit);
            }
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
        self.bit_histories.find();
    }

    fn predict_end(&mut self, model: Option<u32>) -> u32 {
        let depth = self.byte_history.position() - self.tokens.token.start;
        // Whether a token ended at the same byte of the longest match.
        let longest = self
            .matches
            .iter()
            .find_map(|model| Some((model.pointer()?, model)));
        let (there, next, class) = longest.map_or((0, 256, 0), |(pointer, model)| {
            let ended = self.byte_history.ended_after(pointer.wrapping_sub(1));
            (
                1 + u32::from(ended),
                u32::from(self.byte_history.at(pointer)),
                model.class() as u32,
            )
        });
        let model_logit = model.map_or(0, stretch);
        let bucket = ((model_logit >> 7) + 32) as u32;
        let (token, last) = (self.tokens.token.hash, self.byte_history.recent()[0] as u32);
        let contexts = EventContexts {
            hashes: [
                token,
                combine(token, self.tokens.token.previous),
                combine(last & 0xff_ffff, depth as u32),
                combine(bucket, depth.min(15) as u32),
                combine(there << 8 | class, bucket >> 3),
                combine(next, combine(token, there)),
            ],
            small: depth.min(15) * 4 + there as usize,
            model_logit,
        };
        self.ends.predict(&contexts)
    }

    fn predict_escape(&mut self, model: Option<u32>) -> u32 {
        let last = self.byte_history.recent()[0] as u32;
        let escaped = u32::from(self.tokens.escaped);
        let longest = self.matches.iter().find_map(MatchModel::pointer);
        let next = longest.map_or(256, |pointer| u32::from(self.byte_history.at(pointer)));
        let contexts = EventContexts {
            hashes: [
                0,
                escaped,
                last & 0xff,
                last & 0xffff,
                next,
                combine(escaped & 3, last & 0xff),
            ],
            small: (escaped & 63) as usize,
            model_logit: model.map_or(-8 * 256, stretch),
        };
        self.escapes.predict(&contexts)
    }

    /// Every expert predicts the next bit; the predictions become inputs of the mixer.
    fn predict_bit(&mut self) {
        let partial = self.partial;
        self.inputs[0] = 256;
        self.inputs[1] = stretch(self.order0[partial as usize].p());
        self.bit_histories.predict(partial, &mut self.inputs[2..]);
        let base = 2 + 2 * CONTEXTS;
        for (i, model) in self.matches.iter_mut().enumerate() {
            model.inputs(partial, &mut self.inputs[base + 2 * i..]);
        }
        let base = base + MATCHES.len() * MatchModel::INPUTS;
        self.pixels.inputs(partial, &mut self.inputs[base..]);
        self.inputs[self.disabled.clone()].fill(0);
    }

    /// Contexts of the two probability maps: the bits so far after the last byte, and after the
    /// last two.
    fn map_contexts(&self) -> [usize; 2] {
        let [c1, c2] = [1, 2].map(|distance| u32::from(self.byte_history.back(distance)));
        let pair = (c1 | c2 << 8).wrapping_mul(0x9e37_79b1) >> 16;
        [
            (c1 << 8 | self.partial) as usize,
            ((pair ^ self.partial.wrapping_mul(0x0101)) & 0xffff) as usize,
        ]
    }

    /// P(bit = 1) of the next bit, from the experts' predictions and the model's.
    fn mix(&mut self, model: Option<u32>, map_contexts: [usize; 2]) -> u32 {
        let partial = self.partial;
        let bits = partial.ilog2();
        let model_logit = model.map_or(0, stretch);
        let hits = self.bit_histories.states()[..7]
            .iter()
            .filter(|&&state| state != 0)
            .count();
        let depth = self.byte_history.position() - self.tokens.token.start;
        let history = &self.byte_history;
        // What the longest match expects of this bit: 0 for nothing, 1 for a zero, 2 for a one.
        let longest = self
            .matches
            .iter()
            .find(|model| model.expected(partial).is_some());
        let expected = longest.and_then(|model| model.expected(partial));
        let expected_bit = expected.map_or(0, |byte| 1 + (usize::from(byte) >> (7 - bits) & 1));
        let class = if expected.is_some() {
            longest.map_or(0, MatchModel::class)
        } else {
            0
        };
        let confidence = (model_logit.abs() >> 6).min(15) as usize;
        let agreement = match (model.is_some(), expected_bit) {
            (false, _) => 0,
            (true, 0) => 1,
            (true, bit) => 2 + usize::from((bit == 2) == (model_logit > 0)),
        };
        let column = self.record.column(history.position()).min(255) as usize;
        let contexts = [
            class * 3 + expected_bit,
            partial as usize,
            usize::from(history.back(1)),
            hits * 8 + bits as usize,
            self.contexts.last_classes(),
            self.pixels.nearest().unwrap_or(column) * 8 + bits as usize,
        ];
        let mut sum = self.mixer.mix(&self.inputs, &contexts, partial as usize);
        self.has_model = model.is_some();
        if let Some(p) = model {
            let experts = (sum >> 4).clamp(-LOGIT_MAX, LOGIT_MAX);
            self.final_inputs[0] = model_logit;
            self.final_inputs[1] = (p as i32 - (1 << 23)) >> 14;
            self.final_inputs[2] = experts;
            self.final_inputs[3] =
                (crate::predict::mix::logistic::squash(sum) as i32 - (1 << 23)) >> 14;
            self.final_inputs[4] = 256;
            self.final_inputs[5..11].copy_from_slice(&self.mixer.sums()[..6]);
            let base = 2 + 2 * CONTEXTS;
            self.final_inputs[11] = self.inputs[base];
            self.final_inputs[12] = self.inputs[base + 2];
            self.final_inputs[13] = self.inputs[base + 4];
            let signed = |logit: i32, step: i32, half: i32| {
                ((logit / step).clamp(-half, half - 1) + half) as usize
            };
            let top = (stretch(self.tokens.token.facts.top_probability) + 2048).clamp(0, 4095)
                as usize
                / 256;
            let contexts = [
                (confidence * 4 + agreement) * 4 + depth.min(3),
                top * 4 + depth.min(3),
                signed(model_logit, 128, 16) * 16 + signed(experts, 256, 8),
                class * 32
                    + signed(
                        if expected_bit == 1 {
                            -model_logit
                        } else {
                            model_logit
                        },
                        128,
                        16,
                    ),
                partial as usize,
                hits * 64 + bits as usize * 8 + depth.min(7),
            ];
            let contexts = [contexts; 2];
            sum = self
                .final_mixer
                .mix(&self.final_inputs, contexts.as_flattened(), 0);
        }
        let mixed = crate::predict::mix::logistic::squash(sum);
        let logit = (sum >> 4).clamp(-LOGIT_MAX, LOGIT_MAX);
        let a = self.apms[0].refine(logit, map_contexts[0]);
        let b = self.apms[1].refine(logit, map_contexts[1]);
        // With a model the mix is well calibrated already, so the maps count for less.
        if self.has_model {
            (mixed * 6 + a + b) / 8
        } else {
            (mixed * 2 + a + b) / 4
        }
    }

    /// Every expert learns the bit, and the eighth completes a byte.
    fn learn(&mut self, bit: bool) {
        let partial = self.partial;
        self.order0[partial as usize].update(bit, 255);
        self.bit_histories.learn(partial, bit);
        self.pixels.update(bit);
        for model in &mut self.matches {
            model.update(partial, bit);
        }
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
        let slots = self
            .matches
            .each_ref()
            .map(|model| model.seek(&self.byte_history));
        self.tokens.token.hash = combine(self.tokens.token.hash, u32::from(byte) + 1);
        self.record.next_byte(&self.byte_history);
        self.pixels
            .next_byte(&self.byte_history, self.record.length());
        let hashes = self.contexts.next_byte(&self.byte_history, &self.record);
        self.bit_histories.next_byte(hashes);
        for (model, slot) in self.matches.iter_mut().zip(slots) {
            model.next_byte(&self.byte_history, slot);
        }
    }
}
