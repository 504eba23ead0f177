//! Blocks to coded bytes. The mirror image of [`super::decode`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::byte_path::{Odds, Question, Walk};
use super::coder::Encoder;
use super::language_model::{Foresight, LanguageModel, Predictions};
use super::ledger::{Ledger, Opinion};
use super::outlook::Outlook;
use super::streams::{Places, Turns, split_head};
use super::times::Times;
use crate::codec::Symbol;
use crate::engine::Engine;
use crate::predict::{Event, PROBABILITY_BITS, Predictor, Settings, TokenFacts};

/// What an encoder carries from block to block of a frame.
#[derive(Clone)]
pub struct BlockEncoder {
    predictor: Predictor,
    model: Option<ModelEncoder>,
    /// Where costs are noted, if they are wanted.
    ledger: Option<Ledger>,
    times: Times,
}

/// A language model and what goes with it.
#[derive(Clone)]
struct ModelEncoder {
    language_model: LanguageModel,
    outlook: Outlook,
    escapes: bool,
}

/// Turns between two reports of progress.
const PROGRESS_TURNS: usize = 64;

/// Bytes of the block coded so far, and the coded bytes they took.
pub type OnProgress<'a> = &'a mut dyn FnMut(usize, usize);

impl BlockEncoder {
    /// An encoder for a frame without a language model.
    pub fn experts_only(settings: Settings) -> BlockEncoder {
        BlockEncoder {
            predictor: Predictor::new(settings),
            model: None,
            ledger: None,
            times: Times::default(),
        }
    }

    /// An encoder for a frame with one.
    pub fn with_model(settings: Settings, engine: Arc<Engine>) -> BlockEncoder {
        let tokens = engine.model().tokens();
        let escapes = !tokens.has_every_byte();
        let outlook = Outlook::new(&engine, settings.experts);
        BlockEncoder {
            predictor: Predictor::new(settings),
            model: Some(ModelEncoder {
                language_model: LanguageModel::new(engine),
                outlook,
                escapes,
            }),
            ledger: None,
            times: Times::default(),
        }
    }

    /// From now on notes what everything costs.
    pub fn keep(&mut self, ledger: Ledger) {
        self.ledger = Some(ledger);
    }

    /// What was noted since this was last asked; `None` if nothing is.
    pub fn take_ledger(&mut self) -> Option<Ledger> {
        self.ledger.as_mut().map(Ledger::take)
    }

    /// How long coding has taken since this was last asked.
    pub fn take_times(&mut self) -> Times {
        self.times.take()
    }

    /// Notes a block that is stored as it is.
    pub fn pass_raw(&mut self, bytes: &[u8]) {
        self.predictor.skip_bytes(bytes);
        self.reset_model();
    }

    /// Codes a block with the experts alone.
    pub fn experts(&mut self, bytes: &[u8], progress: OnProgress<'_>) -> Vec<u8> {
        let start = Instant::now();
        self.reset_model();
        let mut coder = Encoder::new();
        let mut decisions = Decisions {
            predictor: &mut self.predictor,
            coder: &mut coder,
            ledger: self.ledger.as_mut(),
        };
        for (i, &byte) in bytes.iter().enumerate() {
            decisions.byte(byte);
            decisions.enter(1, || None);
            if i % 4096 == 4095 {
                progress(i + 1, decisions.coder.len());
            }
        }
        self.times.add(start, Duration::ZERO);
        coder.finish()
    }

    /// Codes a block with the language model and the experts; gives each stream's coded bytes, or `None` if the frame has
    /// no model. The `streams`, at least one, make up the block.
    pub fn model(&mut self, streams: &[Stream], progress: OnProgress<'_>) -> Option<Vec<Vec<u8>>> {
        let start = Instant::now();
        let model = self.model.as_mut()?;
        let engine = Arc::clone(model.language_model.engine());
        let lens = || streams.iter().map(|stream| stream.len);
        let position = self.predictor.position();
        (model.outlook).begin_block(streams.len(), model.language_model.pending());
        let mut block = BlockCoding {
            places: Places::new(position, lens()),
            predictor: &mut self.predictor,
            outputs: lens()
                .map(|len| Output::new(len, self.ledger.as_ref()))
                .collect(),
            outlook: &mut model.outlook,
            escapes: model.escapes,
            engine: &engine,
            waited: Duration::ZERO,
            progress,
        };
        let first = &mut model.language_model;
        let mut pieces: Vec<&[Symbol]> = streams.iter().map(|stream| &*stream.pieces).collect();
        let mut others = Vec::new();
        if streams.len() > 1 {
            let (head, rest) = split_head(pieces[0], first.seen());
            block.code(vec![first], &[head])?;
            pieces[0] = rest;
            others = vec![first.clone(); streams.len() - 1];
        }
        let models = std::iter::once(&mut *first).chain(&mut others).collect();
        block.code(models, &pieces)?;
        let (outputs, waited) = block.finish();
        if let Some(last) = others.pop() {
            *first = last;
        }
        let finish = |output: Output| {
            if let (Some(ledger), Some(part)) = (&mut self.ledger, output.ledger) {
                ledger.append(part);
            }
            output.coder.finish()
        };
        self.times.add(start, waited);
        Some(outputs.into_iter().map(finish).collect())
    }

    fn reset_model(&mut self) {
        if let Some(model) = &mut self.model {
            model.language_model.reset();
        }
    }
}

/// A stream of a block on its way in.
pub struct Stream {
    /// Its tokens and escaped bytes.
    pub pieces: Vec<Symbol>,
    /// Their bytes.
    pub len: usize,
}

/// A stream of a block on its way out.
struct Output {
    coder: Encoder,
    ledger: Option<Ledger>,
    /// Bytes of the stream, and those of them yet to be coded.
    len: usize,
    left: usize,
}

impl Output {
    /// Nothing of `len` bytes.
    fn new(len: usize, ledger: Option<&Ledger>) -> Output {
        Output {
            coder: Encoder::new(),
            ledger: ledger.map(Ledger::emptied),
            len,
            left: len,
        }
    }
}

/// A block while it is coded with a language model.
struct BlockCoding<'a> {
    engine: &'a Engine,
    predictor: &'a mut Predictor,
    places: Places,
    /// Of each stream.
    outputs: Vec<Output>,
    outlook: &'a mut Outlook,
    escapes: bool,
    /// For how long the engine has been waited for.
    waited: Duration,
    progress: OnProgress<'a>,
}

impl BlockCoding<'_> {
    /// Codes what each stream has left, or the first streams have. `None` if the engine's thread ended early, which only a
    /// panic there does: the scope passes it on.
    fn code(&mut self, models: Vec<&mut LanguageModel>, streams: &[&[Symbol]]) -> Option<()> {
        let turns = Turns::new(streams);
        let tokens = turns
            .clone()
            .filter_map(|(stream, turn)| match turn.last() {
                Some(Symbol::Token(row)) => Some((stream, *row)),
                _ => None,
            });
        let foresight = Foresight::new(self.engine, models, tokens);
        std::thread::scope(|scope| {
            let mut predictions = foresight.ahead(scope);
            for (number, (stream, turn)) in turns.enumerate() {
                self.places.exchange(stream, self.predictor);
                self.turn(stream, turn, &mut predictions)?;
                self.places.exchange(stream, self.predictor);
                if number % PROGRESS_TURNS == PROGRESS_TURNS - 1 {
                    self.tell();
                }
            }
            self.waited += predictions.waited();
            Some(())
        })
    }

    fn tell(&mut self) {
        let done = self.outputs.iter().map(|output| output.len - output.left);
        let coded = self.outputs.iter().map(|output| output.coder.len());
        (self.progress)(done.sum(), coded.sum());
    }

    /// Ends the block; gives for how long the engine has been waited for, too.
    fn finish(self) -> (Vec<Output>, Duration) {
        self.places.finish(self.predictor);
        (self.outputs, self.waited)
    }

    /// Codes one turn of a stream.
    fn turn(
        &mut self,
        stream: usize,
        turn: &[Symbol],
        predictions: &mut Predictions<'_>,
    ) -> Option<()> {
        let tokens = self.engine.model().tokens();
        let output = &mut self.outputs[stream];
        let mut decisions = Decisions {
            predictor: self.predictor,
            coder: &mut output.coder,
            ledger: output.ledger.as_mut(),
        };
        for &piece in turn {
            if self.escapes {
                decisions.settle(Event::Escape, None, matches!(piece, Symbol::Byte(_)));
            }
            match piece {
                Symbol::Byte(byte) => {
                    decisions.byte(byte);
                    decisions.enter(1, || None);
                    output.left -= 1;
                }
                Symbol::Token(row) => {
                    let prediction = predictions.next()?;
                    self.outlook.look(self.engine, stream, prediction);
                    let bytes = tokens.bytes(row);
                    let walk = Walk::new(tokens, self.outlook.distribution(), output.left);
                    decisions.token(walk, self.outlook.facts(), bytes);
                    let of_model = self.outlook.of_model();
                    decisions.enter(bytes.len(), || Some(Opinion::new(of_model, row)));
                    self.outlook.learn(stream, row);
                    output.left -= bytes.len();
                }
            }
        }
        Some(())
    }
}

/// Bits that a perfect coder needs for `bit`, to which the probability `p` of being 1 was given.
fn code_length(p: u32, bit: bool) -> f64 {
    let chance = if bit { p } else { (1 << PROBABILITY_BITS) - p };
    f64::from(PROBABILITY_BITS) - f64::from(chance).log2()
}

/// The one place where a decision meets predictor and coder.
struct Decisions<'a> {
    predictor: &'a mut Predictor,
    coder: &'a mut Encoder,
    ledger: Option<&'a mut Ledger>,
}

impl Decisions<'_> {
    fn settle(&mut self, event: Event, opinion: Option<u32>, bit: bool) {
        let p = self.predictor.predict(event, opinion);
        if let Some(ledger) = &mut self.ledger {
            ledger.add(code_length(p, bit));
        }
        self.coder.encode(p, bit);
        self.predictor.update(bit);
    }

    /// The decisions since the last entry were about a piece of `len` bytes.
    fn enter(&mut self, len: usize, opinion: impl FnOnce() -> Option<Opinion>) {
        if let Some(ledger) = &mut self.ledger {
            let opinion = ledger.is_detailed().then(opinion).flatten();
            ledger.enter(len, opinion);
        }
    }

    fn byte(&mut self, byte: u8) {
        for shift in (0..8).rev() {
            self.settle(Event::Bit, None, byte >> shift & 1 == 1);
        }
    }

    fn token(&mut self, mut walk: Walk<'_>, facts: TokenFacts, bytes: &[u8]) {
        self.predictor.begin_token(facts);
        let mut shift = 8;
        loop {
            let bit = match walk.question() {
                Question::Token(_) => return,
                Question::TokenEnd(odds) => {
                    let bit = walk.depth() == bytes.len();
                    if let Odds::Chance(p) = odds {
                        self.settle(Event::TokenEnd, Some(p), bit);
                    }
                    bit
                }
                Question::Bit(odds) => {
                    shift = if shift == 0 { 7 } else { shift - 1 };
                    let bit = bytes[walk.depth()] >> shift & 1 == 1;
                    match odds {
                        Odds::Chance(p) => self.settle(Event::Bit, Some(p), bit),
                        Odds::Certain(_) => self.predictor.learn_certain(bit),
                    }
                    bit
                }
            };
            // An encoder's token always fits what is left of the block.
            let fits = walk.answer(bit);
            debug_assert!(fits.is_ok());
        }
    }
}
