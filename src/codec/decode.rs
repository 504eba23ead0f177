//! Coded bytes to blocks. The mirror image of [`super::encode`].

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::CorruptStream;
use super::byte_path::{Odds, Question, Walk};
use super::coder::Decoder;
use super::draft::Drafts;
use super::language_model::{Round, rounds};
use super::outlook::Outlook;
use super::speculation::Speculation;
use super::streams::{HEAD, Places};
use super::times::{Times, timed};
use crate::engine::{Engine, Logits, Prediction, fits_caches};
use crate::predict::{Event, Predictor, Settings, TokenFacts};

/// What a decoder carries from block to block of a frame.
pub struct BlockDecoder {
    predictor: Predictor,
    model: Option<ModelDecoder>,
    times: Times,
}

struct ModelDecoder {
    language_model: Speculation,
    outlook: Outlook,
    escapes: bool,
}

impl BlockDecoder {
    /// A decoder for a frame without a language model.
    pub fn experts_only(settings: Settings) -> BlockDecoder {
        BlockDecoder {
            predictor: Predictor::new(settings),
            model: None,
            times: Times::default(),
        }
    }

    /// A decoder for a frame with one, which guesses ahead as `drafts` says.
    pub fn with_model(settings: Settings, engine: Arc<Engine>, drafts: Drafts) -> BlockDecoder {
        let tokens = engine.model().tokens();
        let escapes = !tokens.has_every_byte();
        let outlook = Outlook::new(&engine, settings.experts);
        BlockDecoder {
            predictor: Predictor::new(settings),
            model: Some(ModelDecoder {
                language_model: Speculation::new(engine, drafts),
                outlook,
                escapes,
            }),
            times: Times::default(),
        }
    }

    /// How long decoding has taken since this was last asked.
    pub fn take_times(&mut self) -> Times {
        self.times.take()
    }

    /// Notes a block that was stored as it is.
    pub fn pass_raw(&mut self, bytes: &[u8]) {
        self.predictor.skip_bytes(bytes);
        self.reset_model();
    }

    /// Decodes a block of `len` bytes that the experts coded alone. `progress` is told the bytes
    /// decoded so far.
    pub fn experts(
        &mut self,
        coded: &[u8],
        len: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<u8>, CorruptStream> {
        let start = Instant::now();
        self.reset_model();
        let mut coder = Decoder::new(coded)?;
        let mut decisions = Decisions {
            predictor: &mut self.predictor,
            coder: &mut coder,
        };
        let mut bytes = Vec::new();
        while bytes.len() < len {
            bytes.push(decisions.byte()?);
            if bytes.len().is_multiple_of(4096) {
                progress(bytes.len());
            }
        }
        coder.finish()?;
        self.times.add(start, Duration::ZERO);
        Ok(bytes)
    }

    /// Decodes a block that the language model and the experts coded, from each stream's length and coded bytes: at least
    /// one stream. `progress` is told the bytes decoded so far.
    pub fn model(
        &mut self,
        streams: &[(usize, &[u8])],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<u8>, CorruptStream> {
        let start = Instant::now();
        let model = self.model.as_mut().ok_or(CorruptStream::NoModel)?;
        let engine = Arc::clone(model.language_model.engine());
        let mut inputs = Vec::new();
        for &(len, coded) in streams {
            inputs.push(Input {
                coder: Decoder::new(coded)?,
                bytes: Vec::new(),
                len,
            });
        }
        let position = self.predictor.position();
        let pending = model.language_model.model().pending();
        model.outlook.begin_block(streams.len(), pending);
        let mut block = BlockCoding {
            engine: &engine,
            places: Places::new(position, streams.iter().map(|(len, _)| *len)),
            predictor: &mut self.predictor,
            inputs,
            outlook: &mut model.outlook,
            escapes: model.escapes,
            waited: Duration::ZERO,
            progress,
        };
        let first = &mut model.language_model;
        if streams.len() == 1 {
            block.first_alone(first, usize::MAX)?;
        } else {
            let head = HEAD.saturating_sub(first.model().seen());
            block.first_alone(first, head as usize)?;
            block.together(first)?;
        }
        let (inputs, waited) = block.finish();
        let mut bytes = Vec::new();
        for input in inputs {
            input.coder.finish()?;
            bytes.extend(input.bytes);
        }
        self.times.add(start, waited);
        Ok(bytes)
    }

    fn reset_model(&mut self) {
        if let Some(model) = &mut self.model {
            model.language_model.reset();
        }
    }
}

/// A stream of a block while it is decoded.
struct Input<'a> {
    coder: Decoder<'a>,
    bytes: Vec<u8>,
    /// Bytes it will have.
    len: usize,
}

impl Input<'_> {
    fn is_complete(&self) -> bool {
        self.bytes.len() == self.len
    }
}

/// A block while it is decoded with a language model.
struct BlockCoding<'a, 'b> {
    engine: &'a Engine,
    predictor: &'a mut Predictor,
    places: Places,
    /// Of each stream.
    inputs: Vec<Input<'b>>,
    outlook: &'a mut Outlook,
    escapes: bool,
    /// For how long the engine has been waited for.
    waited: Duration,
    progress: &'a mut dyn FnMut(usize),
}

impl<'b> BlockCoding<'_, 'b> {
    /// Decodes the first stream alone until it is complete or has `most` tokens more: its model guesses ahead.
    fn first_alone(&mut self, model: &mut Speculation, most: usize) -> Result<(), CorruptStream> {
        let mut tokens = 0;
        while tokens < most && !self.inputs[0].is_complete() {
            if let Some(row) = self.turn(0, || model.predict())? {
                model.accept(row);
                tokens += 1;
            }
            self.tell();
        }
        model.withdraw();
        Ok(())
    }

    /// Decodes what the streams, at least two, have left; `first` is the model of the first one. The models are asked about
    /// many streams at once; while they compute the predictions of one of the [`groups`], the tokens of another are decoded.
    fn together(&mut self, first: &mut Speculation) -> Result<(), CorruptStream> {
        let pending = first.model().pending();
        let mut others = vec![first.model().clone(); self.inputs.len() - 1];
        let models = std::iter::once(first.model()).chain(&mut others).collect();
        let last = self.inputs.len() - 1;
        // What the last stream's model is left with: its last token, and rows run of which no prediction was used.
        let (mut last_token, mut unused) = (pending, 0);
        std::thread::scope(|scope| {
            let (asks, mut answers) = rounds(scope, self.engine, models);
            let groups = groups(self.inputs.len(), self.engine.model().size());
            let mut asked = groups.len();
            for streams in groups {
                let streams = streams.filter(|&stream| !self.inputs[stream].is_complete());
                // Fails, as below, only if the thread panicked, which the scope passes on.
                let _ = asks.send(Round {
                    rows: streams.map(|stream| (stream, pending)).collect(),
                    logits: Logits::new(),
                });
            }
            while asked > 0 {
                let Some(mut round) = timed(&mut self.waited, || answers.next()) else {
                    break;
                };
                let rows = std::mem::take(&mut round.rows);
                for (index, (stream, pending)) in rows.into_iter().enumerate() {
                    let row = self.turn(stream, || round.logits.prediction(index))?;
                    let token = row.unwrap_or(pending);
                    if !self.inputs[stream].is_complete() {
                        round.rows.push((stream, token));
                    } else if stream == last {
                        (last_token, unused) = (token, usize::from(row.is_none()));
                    }
                }
                self.tell();
                if round.rows.is_empty() {
                    asked -= 1;
                } else {
                    let _ = asks.send(round);
                }
            }
            Ok(())
        })?;
        let mut model = others.pop().expect("at least two streams");
        model.take_back(unused);
        model.accept(last_token);
        first.replace(model);
        Ok(())
    }

    fn tell(&mut self) {
        let done = self.inputs.iter().map(|input| input.bytes.len());
        (self.progress)(done.sum());
    }

    /// Ends the block; gives for how long the engine has been waited for, too.
    fn finish(self) -> (Vec<Input<'b>>, Duration) {
        self.places.finish(self.predictor);
        (self.inputs, self.waited)
    }

    /// Decodes one turn of a stream: its next token, which is given, and the escaped bytes before it; or the escaped bytes
    /// at its end. `prediction` is asked for if there is a token.
    fn turn<'l>(
        &mut self,
        stream: usize,
        prediction: impl FnOnce() -> Prediction<'l>,
    ) -> Result<Option<u32>, CorruptStream> {
        self.places.exchange(stream, self.predictor);
        let row = self.pieces(stream, prediction)?;
        self.places.exchange(stream, self.predictor);
        Ok(row)
    }

    fn pieces<'l>(
        &mut self,
        stream: usize,
        prediction: impl FnOnce() -> Prediction<'l>,
    ) -> Result<Option<u32>, CorruptStream> {
        let tokens = self.engine.model().tokens();
        let input = &mut self.inputs[stream];
        let mut decisions = Decisions {
            predictor: self.predictor,
            coder: &mut input.coder,
        };
        while self.escapes && decisions.settle(Event::Escape, None)? {
            input.bytes.push(decisions.byte()?);
            if input.bytes.len() == input.len {
                return Ok(None);
            }
        }
        let prediction = timed(&mut self.waited, prediction);
        self.outlook.look(self.engine, stream, prediction);
        let left = input.len - input.bytes.len();
        let walk = Walk::new(tokens, self.outlook.distribution(), left);
        let row = decisions.token(walk, self.outlook.facts())?;
        self.outlook.learn(stream, row);
        input.bytes.extend_from_slice(tokens.bytes(row));
        Ok(Some(row))
    }
}

/// Which streams the model is asked about together.
fn groups(streams: usize, model_bytes: usize) -> Vec<Range<usize>> {
    // A pass that reads the weights from memory is worth most for all streams at once; one that has them in the caches
    // takes twice as long for twice the streams, and then it may run while others are decoded.
    let first = match fits_caches(model_bytes) {
        true => streams / 2,
        false => streams,
    };
    let groups = [0..first, first..streams].into_iter();
    groups.filter(|group| !group.is_empty()).collect()
}

/// The one place where a decision meets predictor and coder.
struct Decisions<'a, 'b> {
    predictor: &'a mut Predictor,
    coder: &'a mut Decoder<'b>,
}

impl Decisions<'_, '_> {
    fn settle(&mut self, event: Event, opinion: Option<u32>) -> Result<bool, CorruptStream> {
        let p = self.predictor.predict(event, opinion);
        let bit = self.coder.decode(p)?;
        self.predictor.update(bit);
        Ok(bit)
    }

    fn byte(&mut self) -> Result<u8, CorruptStream> {
        let mut byte = 0;
        for _ in 0..8 {
            byte = byte << 1 | u8::from(self.settle(Event::Bit, None)?);
        }
        Ok(byte)
    }

    fn token(&mut self, mut walk: Walk<'_>, facts: TokenFacts) -> Result<u32, CorruptStream> {
        self.predictor.begin_token(facts);
        loop {
            let bit = match walk.question() {
                Question::Token(row) => return Ok(row),
                Question::TokenEnd(Odds::Certain(bit)) => bit,
                Question::TokenEnd(Odds::Chance(p)) => self.settle(Event::TokenEnd, Some(p))?,
                Question::Bit(Odds::Chance(p)) => self.settle(Event::Bit, Some(p))?,
                Question::Bit(Odds::Certain(bit)) => {
                    self.predictor.learn_certain(bit);
                    bit
                }
            };
            walk.answer(bit)?;
        }
    }
}
