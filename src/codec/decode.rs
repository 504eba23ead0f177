//! Coded bytes to blocks. The mirror image of [`super::encode`].

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::CACHED_BYTES;
use super::CorruptStream;
use super::byte_path::{Odds, Question, Walk};
use super::coder::Decoder;
use super::draft::Drafts;
use super::language_model::{LanguageModel, Round, rounds};
use super::speculation::Speculation;
use super::streams::{HEAD, Places};
use super::times::{Times, timed};
use crate::engine::{Engine, Logits};
use crate::predict::{Event, OutputBias, Predictor, Settings, TokenFacts};

/// What a decoder carries from block to block of a frame.
pub struct BlockDecoder {
    predictor: Predictor,
    model: Option<ModelDecoder>,
    times: Times,
}

struct ModelDecoder {
    language_model: Speculation,
    /// Learned only where experts are.
    bias: Option<OutputBias>,
    escapes: bool,
    cumulative: Vec<u64>,
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
        let bias = settings.experts.then(|| OutputBias::new(tokens.len()));
        let cumulative = vec![0; tokens.len() + 1];
        BlockDecoder {
            predictor: Predictor::new(settings),
            model: Some(ModelDecoder {
                language_model: Speculation::new(engine, drafts),
                bias,
                escapes,
                cumulative,
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
        let mut coding = TokenCoding {
            engine: &engine,
            bias: model.bias.as_mut(),
            escapes: model.escapes,
            cumulative: &mut model.cumulative,
            waited: Duration::ZERO,
        };
        let mut inputs = Vec::new();
        for &(len, coded) in streams {
            inputs.push(Input {
                coder: Decoder::new(coded)?,
                bytes: Vec::new(),
                len,
            });
        }
        let (predictor, ahead) = (&mut self.predictor, &mut model.language_model);
        let mut places = Places::new(predictor.position(), streams.iter().map(|(len, _)| *len));
        let alone = match streams {
            [_] => usize::MAX,
            _ => HEAD.saturating_sub(ahead.model().seen()) as usize,
        };
        alone_first(
            &mut coding,
            ahead,
            predictor,
            &mut inputs[0],
            alone,
            progress,
        )?;
        if streams.len() > 1 {
            several_streams(
                &mut coding,
                ahead,
                predictor,
                &mut places,
                &mut inputs,
                progress,
            )?;
        }
        places.finish(predictor);
        let mut bytes = Vec::new();
        for input in inputs {
            input.coder.finish()?;
            bytes.extend(input.bytes);
        }
        self.times.add(start, coding.waited);
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

/// Decodes the first stream alone until it is complete or has `most` tokens more: its model guesses ahead.
fn alone_first(
    coding: &mut TokenCoding<'_>,
    model: &mut Speculation,
    predictor: &mut Predictor,
    input: &mut Input<'_>,
    most: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<(), CorruptStream> {
    let mut tokens = 0;
    while tokens < most && !input.is_complete() {
        if let Some(row) = coding.turn(predictor, input, || model.predict())? {
            model.accept(row);
            tokens += 1;
        }
        progress(input.bytes.len());
    }
    model.withdraw();
    Ok(())
}

/// Decodes the streams of a block together. The language model is asked about many of them at once; while it computes the
/// predictions of one of the [`groups`], the tokens of another are decoded.
fn several_streams(
    coding: &mut TokenCoding<'_>,
    model: &mut Speculation,
    predictor: &mut Predictor,
    places: &mut Places,
    inputs: &mut [Input<'_>],
    progress: &mut dyn FnMut(usize),
) -> Result<(), CorruptStream> {
    let mut others = vec![model.model().clone(); inputs.len() - 1];
    let models: Vec<_> = std::iter::once(model.model()).chain(&mut others).collect();
    let mut pending: Vec<u32> = models.iter().map(|model| model.pending()).collect();
    let mut done = inputs[0].bytes.len();
    // Whether the last stream ended before its last prediction was used.
    let mut unused = false;
    let last = inputs.len() - 1;
    std::thread::scope(|scope| {
        let (asks, answers) = rounds(scope, models);
        let groups = groups(inputs.len(), coding.engine.model().size());
        let mut asked = groups.len();
        for streams in groups {
            // Fails, as below, only if the thread panicked, which the scope passes on.
            let _ = asks.send(Round {
                rows: streams
                    .filter(|&stream| !inputs[stream].is_complete())
                    .map(|stream| (stream, pending[stream]))
                    .collect(),
                logits: Logits::new(),
            });
        }
        while asked > 0 {
            let Ok(mut round) = timed(&mut coding.waited, || answers.recv()) else {
                break;
            };
            let rows = std::mem::take(&mut round.rows);
            for (index, (stream, _)) in rows.into_iter().enumerate() {
                let input = &mut inputs[stream];
                let before = input.bytes.len();
                places.exchange(stream, predictor);
                let row = coding.turn(predictor, input, || round.logits.row(index))?;
                places.exchange(stream, predictor);
                done += input.bytes.len() - before;
                pending[stream] = row.unwrap_or(pending[stream]);
                unused |= row.is_none() && stream == last;
                if !input.is_complete() {
                    round.rows.push((stream, pending[stream]));
                }
            }
            progress(done);
            if round.rows.is_empty() {
                asked -= 1;
            } else {
                let _ = asks.send(round);
            }
        }
        Ok(())
    })?;
    let mut on = others.pop().expect("at least two streams");
    on.take_back(usize::from(unused));
    on.accept(pending[last]);
    model.replace(on);
    Ok(())
}

/// Which streams the model is asked about together.
fn groups(streams: usize, model_bytes: usize) -> Vec<Range<usize>> {
    // A pass that reads the weights from memory is worth most for all streams at once; one that has them in the caches
    // takes twice as long for twice the streams, and then it may run while others are decoded.
    let first = match model_bytes < CACHED_BYTES {
        true => streams / 2,
        false => streams,
    };
    let groups = [0..first, first..streams].into_iter();
    groups.filter(|group| !group.is_empty()).collect()
}

/// How the tokens of a block with a language model are decoded.
struct TokenCoding<'a> {
    engine: &'a Engine,
    bias: Option<&'a mut OutputBias>,
    escapes: bool,
    /// The distribution of the token being decoded.
    cumulative: &'a mut [u64],
    /// For how long the engine has been waited for.
    waited: Duration,
}

impl TokenCoding<'_> {
    /// Decodes one turn of a stream: its next token, which is given, and the escaped bytes before it; or the escaped bytes
    /// at its end. `logits` are asked for if there is a token.
    fn turn<'a>(
        &mut self,
        predictor: &mut Predictor,
        input: &mut Input<'_>,
        logits: impl FnOnce() -> &'a [i32],
    ) -> Result<Option<u32>, CorruptStream> {
        let tokens = self.engine.model().tokens();
        let mut decisions = Decisions {
            predictor,
            coder: &mut input.coder,
        };
        while self.escapes && decisions.settle(Event::Escape, None)? {
            input.bytes.push(decisions.byte()?);
            if input.bytes.len() == input.len {
                return Ok(None);
            }
        }
        let bias = self.bias.as_deref();
        let logits = timed(&mut self.waited, logits);
        LanguageModel::distribution(self.engine, logits, bias, self.cumulative);
        let walk = Walk::new(tokens, self.cumulative, input.len - input.bytes.len());
        let row = decisions.token(walk, self.cumulative)?;
        if let Some(bias) = &mut self.bias {
            bias.update(self.cumulative, row);
        }
        input.bytes.extend_from_slice(tokens.bytes(row));
        Ok(Some(row))
    }
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

    fn token(&mut self, mut walk: Walk<'_>, cumulative: &[u64]) -> Result<u32, CorruptStream> {
        self.predictor.begin_token(TokenFacts::new(cumulative));
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
