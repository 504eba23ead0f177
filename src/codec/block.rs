//! One block, decision by decision, in either direction.
//!
//! Whatever an encoder does between two decisions, a decoder must do too, so both run this code. It
//! asks for the outcome of every decision, and a [`Direction`] answers: an encoder from the symbols
//! it was given, a decoder from the coded bytes.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::byte_path::{Odds, Question, Walk};
use super::frame_predictor::FramePredictor;
use super::language_model::Context;
use super::streams::Places;
use super::times::Times;
use super::{CodecError, CorruptStream, Prime};
use crate::engine::{EngineError, Prediction, Runtime};
use crate::machine::MachineError;
use crate::machine::pool::Pool;
use crate::packed::{PackedModel, TokenTable};
use crate::predict::{
    Event, ModelSizes, NextToken, Predictor, Settings, TokenFacts, TokenPredictor, Weights,
};

/// Bytes of a block without a model between two reports of progress.
const PROGRESS_BYTES: usize = 4096;

/// What a decision is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Whether the next symbol is a byte outside the vocabulary.
    Escape,
    /// Whether the symbol ends after `depth` bytes.
    TokenEnd { depth: usize },
    /// The bit of value `2^shift` of the byte that follows the first `depth` bytes of the symbol.
    Bit { depth: usize, shift: u8 },
}

impl Decision {
    fn event(self) -> Event {
        match self {
            Decision::Escape => Event::Escape,
            Decision::TokenEnd { .. } => Event::TokenEnd,
            Decision::Bit { .. } => Event::Bit,
        }
    }
}

/// A coded token, and the model's own distribution from which it came.
#[derive(Clone, Copy)]
pub(super) struct CodedToken<'a> {
    /// Its output row.
    pub row: u32,
    /// The model's weights.
    pub weights: &'a Weights,
}

/// One stream's end of the coder: it supplies the outcomes of decisions, and takes note of them.
pub(super) trait Direction {
    /// Called before a symbol is coded.
    fn begin_symbol(&mut self);

    /// Returns the outcome of a decision. `p` is the predictor's probability that it is 1, in units
    /// of 2^-24.
    fn decide(&mut self, decision: Decision, p: u32) -> Result<bool, CorruptStream>;

    /// Called after a symbol has been coded: its bytes, and the token if it is one.
    fn end_symbol(&mut self, bytes: &[u8], token: Option<CodedToken<'_>>);
}

/// The predictor and one stream's end of the coder.
struct Decisions<'a, D> {
    predictor: &'a mut Predictor,
    direction: &'a mut D,
}

impl<D: Direction> Decisions<'_, D> {
    /// Predicts a decision, settles it and learns from it. `opinion` is the model's P(1), if it has
    /// one.
    fn settle(&mut self, decision: Decision, opinion: Option<u32>) -> Result<bool, CorruptStream> {
        let p = self.predictor.predict(decision.event(), opinion);
        let bit = self.direction.decide(decision, p)?;
        self.predictor.update(bit);
        Ok(bit)
    }

    /// Codes a byte without an opinion of the model.
    fn byte(&mut self) -> Result<u8, CorruptStream> {
        let mut byte = 0;
        for shift in (0..8).rev() {
            let bit = self.settle(Decision::Bit { depth: 0, shift }, None)?;
            byte = byte << 1 | u8::from(bit);
        }
        Ok(byte)
    }

    /// Codes a token along `walk` and returns its row.
    fn token(&mut self, mut walk: Walk<'_>, facts: TokenFacts) -> Result<u32, CorruptStream> {
        self.predictor.begin_token(facts);
        loop {
            let depth = walk.depth();
            let bit = match walk.question() {
                Question::Token(row) => return Ok(row),
                Question::TokenEnd(Odds::Certain(bit)) => bit,
                Question::TokenEnd(Odds::Chance(p)) => {
                    self.settle(Decision::TokenEnd { depth }, Some(p))?
                }
                Question::Bit(shift, Odds::Chance(p)) => {
                    self.settle(Decision::Bit { depth, shift }, Some(p))?
                }
                Question::Bit(_, Odds::Certain(bit)) => {
                    self.predictor.learn_certain(bit);
                    bit
                }
            };
            walk.answer(bit)?;
        }
    }
}

/// Codes `len` bytes with the experts alone. `progress` is called with the number of bytes coded so
/// far.
pub(super) fn code_bytes<D: Direction>(
    predictor: &mut Predictor,
    direction: &mut D,
    len: usize,
    progress: &mut dyn FnMut(&D, usize) -> ControlFlow<()>,
) -> Result<(), CodecError> {
    let mut decisions = Decisions {
        predictor,
        direction,
    };
    for done in 1..=len {
        decisions.direction.begin_symbol();
        let byte = decisions.byte()?;
        decisions.direction.end_symbol(&[byte], None);
        if done % PROGRESS_BYTES == 0 && progress(decisions.direction, done).is_break() {
            return Err(CodecError::Cancelled);
        }
    }
    Ok(())
}

/// Lets the experts learn `bytes` as if they had been coded.
fn learn(predictor: &mut FramePredictor, bytes: &[u8]) -> Result<(), CodecError> {
    let predictor = predictor.for_block(bytes.len())?;
    let mut known = Known { bytes, next: 0 };
    code_bytes(predictor, &mut known, bytes.len(), &mut |_, _| {
        ControlFlow::Continue(())
    })
}

/// Bytes that both sides know, so that nothing is coded.
struct Known<'a> {
    bytes: &'a [u8],
    /// Index of the byte that follows the current one.
    next: usize,
}

impl Direction for Known<'_> {
    fn begin_symbol(&mut self) {
        self.next += 1;
    }

    fn decide(&mut self, decision: Decision, _: u32) -> Result<bool, CorruptStream> {
        let byte = self.bytes[self.next - 1];
        Ok(matches!(decision, Decision::Bit { shift, .. } if byte >> shift & 1 == 1))
    }

    fn end_symbol(&mut self, _: &[u8], _: Option<CodedToken<'_>>) {}
}

/// One stream of a block.
pub(super) struct StreamCoding<D> {
    /// Its end of the coder.
    pub direction: D,
    /// Bytes yet to be coded.
    pub left: usize,
}

/// A block while it is coded with a language model.
pub(super) struct BlockCoding<'a, D> {
    /// The model's vocabulary.
    pub tokens: TokenTable<'a>,
    /// Whether some byte is no token by itself, so that symbols may be escaped bytes.
    pub escapes: bool,
    /// Predicts decisions.
    pub predictor: &'a mut Predictor,
    /// Predicts tokens.
    pub token_predictor: &'a mut TokenPredictor,
    /// Where in the original each stream is.
    pub places: Places,
    /// The streams, in order.
    pub streams: Vec<StreamCoding<D>>,
}

impl<D: Direction> BlockCoding<'_, D> {
    /// Codes one turn of a stream: the escaped bytes before its next token, then the token, whose
    /// row is returned. At the end of a stream, the turn has escaped bytes only. `prediction` is
    /// called if there is a token.
    pub(super) fn turn<'p>(
        &mut self,
        stream: usize,
        prediction: impl FnOnce() -> Result<Prediction<'p>, CodecError>,
    ) -> Result<Option<u32>, CodecError> {
        self.symbols(stream, |predictor| {
            let Prediction { logits, state } = prediction()?;
            predictor.predict(NextToken {
                stream,
                logits,
                state,
            });
            Ok(())
        })
    }

    /// Predicts the next tokens of several streams that learn by rounds, in ascending order.
    pub(super) fn predict_together<'p>(
        &mut self,
        predictions: impl Iterator<Item = (usize, Prediction<'p>)>,
        pool: Option<&Pool>,
    ) {
        let next = predictions.map(|(stream, Prediction { logits, state })| NextToken {
            stream,
            logits,
            state,
        });
        let next: Vec<NextToken<'_>> = next.collect();
        self.token_predictor.predict_together(&next, pool);
    }

    /// Codes one turn of a stream, whose token, if it has one, has been predicted with others.
    pub(super) fn predicted_turn(&mut self, stream: usize) -> Result<Option<u32>, CodecError> {
        self.symbols(stream, |_| Ok(()))
    }

    /// Codes one turn of a stream. `predict` is called before its token, if it has one.
    fn symbols(
        &mut self,
        stream: usize,
        predict: impl FnOnce(&mut TokenPredictor) -> Result<(), CodecError>,
    ) -> Result<Option<u32>, CodecError> {
        self.places.exchange(stream, self.predictor);
        let row = self.symbols_in_place(stream, predict)?;
        self.places.exchange(stream, self.predictor);
        Ok(row)
    }

    fn symbols_in_place(
        &mut self,
        stream: usize,
        predict: impl FnOnce(&mut TokenPredictor) -> Result<(), CodecError>,
    ) -> Result<Option<u32>, CodecError> {
        let StreamCoding { direction, left } = &mut self.streams[stream];
        let mut decisions = Decisions {
            predictor: &mut *self.predictor,
            direction,
        };
        loop {
            decisions.direction.begin_symbol();
            if !self.escapes || !decisions.settle(Decision::Escape, None)? {
                break;
            }
            let byte = decisions.byte()?;
            decisions.direction.end_symbol(&[byte], None);
            *left -= 1;
            if *left == 0 {
                return Ok(None);
            }
        }
        predict(self.token_predictor)?;
        let distribution = self.token_predictor.distribution(stream);
        let walk = Walk::new(self.tokens, distribution, *left);
        let row = decisions.token(walk, self.token_predictor.facts(stream))?;
        let bytes = self.tokens.bytes(row);
        let weights = distribution.model();
        decisions
            .direction
            .end_symbol(bytes, Some(CodedToken { row, weights }));
        self.token_predictor.learn(stream, row);
        *left -= bytes.len();
        Ok(Some(row))
    }

    /// Ends the block. The predictors continue from where the last stream ended.
    pub(super) fn finish(self) -> Vec<D> {
        self.token_predictor.end_block();
        self.places.finish(self.predictor);
        let streams = self.streams.into_iter();
        streams.map(|stream| stream.direction).collect()
    }
}

/// What coding carries from block to block of a frame; `M` is the language model as one direction
/// runs it.
pub(super) struct Carried<M> {
    /// Predicts decisions.
    pub predictor: FramePredictor,
    /// Runs the frame's language model; `None` if the frame has none.
    pub runtime: Option<Arc<dyn Runtime>>,
    /// What the language model's context begins with, unless a block has been coded without it.
    pub context: Option<Arc<Prime>>,
    /// The language model, made when a block first needs it.
    pub model: Option<ModelCoding<M>>,
    /// Bytes of the blocks so far, modulo 2^32: the address at which branch filters begin.
    pub position: u32,
    /// The time that coding has taken since these times were last taken.
    pub times: Times,
}

impl<M: Context> Carried<M> {
    /// What a frame begins with that comes after `prime`, if there is one.
    pub(super) fn new(
        settings: Settings,
        runtime: Option<&Arc<dyn Runtime>>,
        prime: Option<&Arc<Prime>>,
    ) -> Result<Carried<M>, CodecError> {
        Ok(Carried {
            predictor: match prime {
                Some(prime) => prime.predictor(settings, learn)?,
                None => FramePredictor::new(settings),
            },
            runtime: runtime.cloned(),
            context: prime.cloned(),
            model: None,
            position: 0,
            times: Times::default(),
        })
    }

    /// What a block of `len` bytes needs that the language model codes. `new` makes the model.
    pub(super) fn with_model(
        &mut self,
        len: usize,
        new: impl FnOnce(Arc<dyn Runtime>) -> Result<M, EngineError>,
    ) -> Result<(&mut Predictor, &mut ModelCoding<M>), CodecError> {
        self.advance(len);
        let model = match &mut self.model {
            Some(model) => model,
            none => {
                let runtime = self.runtime.as_ref().ok_or(CodecError::NoModel)?;
                let mut model = new(Arc::clone(runtime))?;
                if let Some(prime) = self.context.take() {
                    model.begin_with(&prime.context(runtime.model().tokens()))?;
                }
                let experts = self.predictor.has_experts();
                none.insert(ModelCoding::new(runtime.model(), model, experts)?)
            }
        };
        Ok((self.predictor.for_block(len)?, model))
    }

    /// Passes over a block that is stored as it is.
    pub(super) fn pass_raw(&mut self, bytes: &[u8]) -> Result<(), CodecError> {
        self.predictor.pass_raw(bytes)?;
        self.advance(bytes.len());
        self.reset_model();
        Ok(())
    }

    /// What a block of `len` bytes needs that the experts code alone, and its position.
    pub(super) fn with_experts(&mut self, len: usize) -> Result<(&mut Predictor, u32), CodecError> {
        self.reset_model();
        let position = self.advance(len);
        Ok((self.predictor.for_block(len)?, position))
    }

    /// Counts a block of `len` bytes, and gives its position.
    fn advance(&mut self, len: usize) -> u32 {
        let position = self.position;
        self.position = position.wrapping_add(len as u32);
        position
    }

    /// The model sees nothing of a block that it does not code, and begins anew behind it.
    pub(super) fn reset_model(&mut self) {
        self.context = None;
        if let Some(model) = &mut self.model {
            model.language_model.reset();
        }
    }
}

/// A language model and what goes with it.
pub(super) struct ModelCoding<M> {
    /// The model.
    pub language_model: M,
    /// Predicts tokens.
    pub token_predictor: TokenPredictor,
    /// Whether some byte is no token by itself.
    pub escapes: bool,
}

impl<M> ModelCoding<M> {
    /// A model that has seen nothing.
    pub(super) fn new(
        packed: &PackedModel,
        language_model: M,
        experts: bool,
    ) -> Result<ModelCoding<M>, CodecError> {
        Ok(ModelCoding {
            language_model,
            token_predictor: token_predictor(packed, experts)?,
            escapes: !packed.tokens().has_every_byte(),
        })
    }
}

/// A predictor of a model's tokens; with `experts`, it adapts to the file.
pub(super) fn token_predictor(
    packed: &PackedModel,
    experts: bool,
) -> Result<TokenPredictor, MachineError> {
    let config = packed.config();
    let sizes = ModelSizes {
        vocabulary: config.vocab,
        inputs: config.inputs,
        hidden: config.hidden,
    };
    TokenPredictor::new(sizes, experts)
}
