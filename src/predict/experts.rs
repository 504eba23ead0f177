//! The experts on the bits of a byte, and the mixing of their opinions with the model's.

use super::apm::Apm;
use super::contexts::{self, CONTEXTS, Contexts, combine};
use super::counter::Counter;
use super::events::{EventExperts, Situation};
use super::histories::{self, Histories};
use super::history::{self, History};
use super::logistic::{LOGIT_MAX, stretch};
use super::match_model::{self, MatchModel, Scope};
use super::mixer::{Mixer, Rate, Set};
use super::pixels::{self, Pixels};
use super::predictor::{Event, Settings, TokenFacts};
use super::record::Record;
use crate::machine::MachineError;
use crate::machine::instructions::InstructionSet;
use crate::predict::kernels::mixer::LANES;
use std::ops::Range;

/// Match models: their minimum lengths, and where they look.
const MATCHES: [(usize, Scope); 3] = [(20, Scope::File), (10, Scope::File), (5, Scope::Stream)];

/// Inputs that are used; the rest up to a multiple of the lanes stays zero.
const ACTIVE: usize = 2 + 2 * CONTEXTS + MATCHES.len() * MatchModel::INPUTS + Pixels::INPUTS;
const INPUTS: usize = ACTIVE.next_multiple_of(LANES);

/// Where each expert's inputs begin and end, in the order of [`names`].
fn inputs_of(expert: usize) -> Range<usize> {
    const BASE: usize = 2 + Histories::<CONTEXTS>::INPUTS;
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

/// What the experts are called.
pub fn names() -> Vec<String> {
    let mut names = vec!["order 0".to_owned()];
    names.extend(contexts::NAMES.map(str::to_owned));
    names.extend(MATCHES.map(|(minimum, _)| format!("match of {minimum} bytes or more")));
    names.push("pixels".to_owned());
    names
}

/// Contexts of each weight set of the experts' mixer, and of the referee's between them and the model.
const SETS: [usize; 6] = [16 * 3, 256, 256, 64, 512, 2048];
const REFEREE_SETS: [usize; 6] = [16 * 4 * 4, 16 * 4, 512, 512, 256, 512];

/// How many times as fast the referee's fast sets move.
const FAST: u32 = 8;

/// All experts, what they have seen, and the mixers.
pub struct Experts {
    history: History,
    histories: Histories<CONTEXTS>,
    contexts: Contexts,
    record: Record,
    pixels: Pixels,
    matches: [MatchModel; MATCHES.len()],
    order0: Vec<Counter>,
    inputs: [i32; INPUTS],
    /// Inputs of experts that are not to be heard.
    silenced: Range<usize>,
    mixer: Mixer,
    referee: Mixer,
    verdict: [i32; LANES],
    with_opinion: bool,
    apms: [Apm; 2],
    ends: EventExperts,
    escapes: EventExperts,
    event: Event,
    /// Bits of the current byte behind a leading one.
    partial: u32,
    tokens: Tokens,
}

/// Where in the file the next byte goes, and what its surroundings say: everything that another stream of the block has
/// a different one of. Kept between bytes only.
#[derive(Clone)]
pub struct Place {
    history: history::Place,
    histories: histories::Place<CONTEXTS>,
    contexts: Contexts,
    record: Record,
    pixels: pixels::Place,
    matches: [match_model::Place; MATCHES.len()],
    tokens: Tokens,
}

impl Place {
    /// A place with nothing before it; `position` counts from the beginning of the frame.
    pub fn new(position: usize) -> Place {
        Place {
            history: history::Place::new(position),
            histories: histories::Place::new(),
            contexts: Contexts::new(position),
            record: Record::new(),
            pixels: pixels::Place::default(),
            matches: Default::default(),
            tokens: Tokens::default(),
        }
    }
}

/// What the model's tokens have been.
#[derive(Clone, Default)]
struct Tokens {
    token: Token,
    /// Whether the last eight tokens escaped, the latest lowest.
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

impl Experts {
    pub fn new(instructions: InstructionSet, settings: Settings) -> Result<Experts, MachineError> {
        // Bytes of the table, bytes of history, slots of each match model, as powers of two.
        let (table_bits, history_bits, match_bits) = if settings.with_model {
            (25, 22, 18)
        } else {
            (27, 24, 22)
        };
        let mut initial = [0; INPUTS];
        initial[..ACTIVE].fill((5 << 18) / ACTIVE as i32);
        let mut referee = [0; LANES];
        referee[0] = 1 << 20;
        // Every set twice: slow where the model is hard to better, fast where the file repeats itself.
        let paces = [1, FAST].map(|pace| REFEREE_SETS.map(|contexts| Set { contexts, pace }));
        let referee_sets = paces.concat();
        referee[2] = 1 << 17;
        let matches = |i: usize| {
            let (minimum, scope) = MATCHES[i];
            MatchModel::new(minimum, scope, match_bits)
        };
        Ok(Experts {
            history: History::new(history_bits, settings.with_model)?,
            histories: Histories::new(table_bits)?,
            contexts: Contexts::new(0),
            record: Record::new(),
            pixels: Pixels::new()?,
            matches: [matches(0)?, matches(1)?, matches(2)?],
            order0: vec![Counter::new(1 << 21, 0); 256],
            inputs: [0; INPUTS],
            silenced: 0..0,
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
            referee: Mixer::new(
                instructions,
                &referee,
                &referee_sets,
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
            verdict: [0; LANES],
            with_opinion: false,
            apms: [Apm::new(1 << 16, 255)?, Apm::new(1 << 16, 255)?],
            ends: EventExperts::new(instructions),
            escapes: EventExperts::new(instructions),
            event: Event::Bit,
            partial: 1,
            tokens: Tokens::default(),
        })
    }

    /// A copy in memory of its own.
    pub fn try_clone(&self) -> Result<Experts, MachineError> {
        let [long, middle, short] = &self.matches;
        let [first, second] = &self.apms;
        Ok(Experts {
            history: self.history.try_clone()?,
            histories: self.histories.try_clone()?,
            contexts: self.contexts.clone(),
            record: self.record.clone(),
            pixels: self.pixels.try_clone()?,
            matches: [long.try_clone()?, middle.try_clone()?, short.try_clone()?],
            order0: self.order0.clone(),
            silenced: self.silenced.clone(),
            mixer: self.mixer.clone(),
            referee: self.referee.clone(),
            apms: [first.try_clone()?, second.try_clone()?],
            ends: self.ends.clone(),
            escapes: self.escapes.clone(),
            tokens: self.tokens.clone(),
            ..*self
        })
    }

    /// Takes one expert's voice away.
    pub fn silence(&mut self, expert: usize) {
        self.silenced = inputs_of(expert);
    }

    /// How many bytes have been seen.
    pub fn position(&self) -> usize {
        self.history.position()
    }

    /// Goes on at `place`, and leaves there where it was. Called between bytes.
    pub fn exchange(&mut self, place: &mut Place) {
        debug_assert_eq!(self.partial, 1);
        self.history.exchange(&mut place.history);
        self.histories.exchange(&mut place.histories);
        std::mem::swap(&mut self.contexts, &mut place.contexts);
        std::mem::swap(&mut self.record, &mut place.record);
        self.pixels.exchange(&mut place.pixels);
        for (model, place) in self.matches.iter_mut().zip(&mut place.matches) {
            model.exchange(place);
        }
        std::mem::swap(&mut self.tokens, &mut place.tokens);
    }

    /// A token begins, and the one before it ended.
    pub fn begin_token(&mut self, facts: TokenFacts) {
        self.history.mark_end();
        self.tokens.token = Token {
            facts,
            start: self.history.position(),
            hash: 0,
            previous: self.tokens.token.hash,
        };
    }

    /// P(bit = 1) of the next decision.
    pub fn predict(&mut self, event: Event, model: Option<u32>) -> u32 {
        self.event = event;
        match event {
            Event::Bit => {
                let refined = self.refined();
                for (apm, context) in self.apms.iter().zip(refined) {
                    apm.prefetch(context);
                }
                self.consult();
                self.mix(model, refined)
            }
            Event::TokenEnd => self.predict_end(model),
            Event::Escape => self.predict_escape(model),
        }
    }

    /// Learns the decision just predicted.
    pub fn update(&mut self, bit: bool) {
        match self.event {
            Event::Bit => {
                self.mixer.update(&self.inputs, bit);
                if self.with_opinion {
                    self.referee.update(&self.verdict, bit);
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
    pub fn learn_certain(&mut self, bit: bool) {
        self.consult();
        self.learn(bit);
    }

    /// A byte that was stored joins the history.
    pub fn skip(&mut self, byte: u8) {
        self.next_byte(byte);
        self.histories.find();
    }

    fn predict_end(&mut self, model: Option<u32>) -> u32 {
        let depth = self.history.position() - self.tokens.token.start;
        // Where the longest match comes from, did a token end there too?
        let longest = self
            .matches
            .iter()
            .find_map(|model| Some((model.pointer()?, model)));
        let (there, next, class) = longest.map_or((0, 256, 0), |(pointer, model)| {
            let ended = self.history.ended_after(pointer.wrapping_sub(1));
            (
                1 + u32::from(ended),
                u32::from(self.history.at(pointer)),
                model.class() as u32,
            )
        });
        let opinion = model.map_or(0, stretch);
        let bucket = ((opinion >> 7) + 32) as u32;
        let (token, last) = (self.tokens.token.hash, self.history.recent()[0] as u32);
        let situation = Situation {
            hashes: [
                token,
                combine(token, self.tokens.token.previous),
                combine(last & 0xff_ffff, depth as u32),
                combine(bucket, depth.min(15) as u32),
                combine(there << 8 | class, bucket >> 3),
                combine(next, combine(token, there)),
            ],
            small: depth.min(15) * 4 + there as usize,
            opinion,
        };
        self.ends.predict(&situation)
    }

    fn predict_escape(&mut self, model: Option<u32>) -> u32 {
        let last = self.history.recent()[0] as u32;
        let escaped = u32::from(self.tokens.escaped);
        let longest = self.matches.iter().find_map(|model| model.pointer());
        let next = longest.map_or(256, |pointer| u32::from(self.history.at(pointer)));
        let situation = Situation {
            hashes: [
                0,
                escaped,
                last & 0xff,
                last & 0xffff,
                next,
                combine(escaped & 3, last & 0xff),
            ],
            small: (escaped & 63) as usize,
            opinion: model.map_or(-8 * 256, stretch),
        };
        self.escapes.predict(&situation)
    }

    /// Every expert's opinion on the next bit becomes a pair of inputs.
    fn consult(&mut self) {
        let partial = self.partial;
        self.inputs[0] = 256;
        self.inputs[1] = stretch(self.order0[partial as usize].p());
        self.histories.consult(partial, &mut self.inputs[2..]);
        let base = 2 + 2 * CONTEXTS;
        for (i, model) in self.matches.iter_mut().enumerate() {
            model.inputs(partial, &mut self.inputs[base + 2 * i..]);
        }
        let base = base + MATCHES.len() * MatchModel::INPUTS;
        self.pixels.inputs(partial, &mut self.inputs[base..]);
        self.inputs[self.silenced.clone()].fill(0);
    }

    /// Contexts of the two maps: the bits so far behind the last byte, and behind the last two.
    fn refined(&self) -> [usize; 2] {
        let [c1, c2] = [1, 2].map(|distance| u32::from(self.history.back(distance)));
        let pair = (c1 | c2 << 8).wrapping_mul(0x9e37_79b1) >> 16;
        [
            (c1 << 8 | self.partial) as usize,
            ((pair ^ self.partial.wrapping_mul(0x0101)) & 0xffff) as usize,
        ]
    }

    /// P(bit = 1) of the next bit, from the experts' opinions and the model's.
    fn mix(&mut self, model: Option<u32>, refined: [usize; 2]) -> u32 {
        let partial = self.partial;
        let bits = partial.ilog2();
        let model_logit = model.map_or(0, stretch);
        let hits = self.histories.states()[..7]
            .iter()
            .filter(|&&state| state != 0)
            .count();
        let depth = self.history.position() - self.tokens.token.start;
        let history = &self.history;
        // What the longest match expects of this bit: nothing, zero, one.
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
            self.contexts.kinds(),
            self.pixels.nearest().unwrap_or(column) * 8 + bits as usize,
        ];
        let mut sum = self.mixer.mix(&self.inputs, &contexts, partial as usize);
        self.with_opinion = model.is_some();
        if let Some(p) = model {
            let experts = (sum >> 4).clamp(-LOGIT_MAX, LOGIT_MAX);
            self.verdict[0] = model_logit;
            self.verdict[1] = (p as i32 - (1 << 23)) >> 14;
            self.verdict[2] = experts;
            self.verdict[3] = (super::logistic::squash(sum) as i32 - (1 << 23)) >> 14;
            self.verdict[4] = 256;
            self.verdict[5..11].copy_from_slice(&self.mixer.sums()[..6]);
            let base = 2 + 2 * CONTEXTS;
            self.verdict[11] = self.inputs[base];
            self.verdict[12] = self.inputs[base + 2];
            self.verdict[13] = self.inputs[base + 4];
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
            sum = self.referee.mix(&self.verdict, contexts.as_flattened(), 0);
        }
        let mixed = super::logistic::squash(sum);
        let logit = (sum >> 4).clamp(-LOGIT_MAX, LOGIT_MAX);
        let a = self.apms[0].refine(logit, refined[0]);
        let b = self.apms[1].refine(logit, refined[1]);
        // The model's opinion is calibrated already: the maps count for less beside it.
        if self.with_opinion {
            (mixed * 6 + a + b) / 8
        } else {
            (mixed * 2 + a + b) / 4
        }
    }

    /// Every expert learns the bit, and the eighth completes a byte.
    fn learn(&mut self, bit: bool) {
        let partial = self.partial;
        self.order0[partial as usize].update(bit, 255);
        self.histories.learn(partial, bit);
        self.pixels.update(bit);
        for model in &mut self.matches {
            model.update(partial, bit);
        }
        self.partial = partial << 1 | u32::from(bit);
        if self.partial >= 256 {
            self.next_byte(self.partial as u8);
        } else if self.partial.ilog2() == 4 {
            self.histories.next_nibble(self.partial);
        }
    }

    /// A byte is complete.
    fn next_byte(&mut self, byte: u8) {
        self.partial = 1;
        self.history.push(byte);
        let slots = self
            .matches
            .each_ref()
            .map(|model| model.seek(&self.history));
        self.tokens.token.hash = combine(self.tokens.token.hash, u32::from(byte) + 1);
        self.record.next_byte(&self.history);
        self.pixels.next_byte(&self.history, self.record.length());
        let hashes = self.contexts.next_byte(&self.history, &self.record);
        self.histories.next_byte(hashes);
        for (model, slot) in self.matches.iter_mut().zip(slots) {
            model.next_byte(&self.history, slot);
        }
    }
}
