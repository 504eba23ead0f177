//! Coded bytes to blocks. The mirror image of [`super::encode`].

use std::sync::Arc;

use super::CorruptStream;
use super::byte_path::{Odds, Question, Walk};
use super::coder::Decoder;
use super::draft::Drafts;
use super::language_model::LanguageModel;
use super::speculation::Speculation;
use crate::engine::Engine;
use crate::predict::{Event, OutputBias, Predictor, Settings, TokenFacts};

/// What a decoder carries from block to block of a frame.
pub struct BlockDecoder {
    predictor: Predictor,
    model: Option<ModelDecoder>,
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
        }
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
        self.reset_model();
        let mut decisions = Decisions {
            predictor: &mut self.predictor,
            coder: Decoder::new(coded)?,
        };
        let mut bytes = Vec::new();
        while bytes.len() < len {
            bytes.push(decisions.byte()?);
            if bytes.len().is_multiple_of(4096) {
                progress(bytes.len());
            }
        }
        decisions.coder.finish()?;
        Ok(bytes)
    }

    /// Decodes a block of `len` bytes that the language model and the experts coded.
    pub fn model(
        &mut self,
        coded: &[u8],
        len: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<u8>, CorruptStream> {
        let ModelDecoder {
            language_model,
            bias,
            escapes,
            cumulative,
        } = self.model.as_mut().ok_or(CorruptStream::NoModel)?;
        let engine = Arc::clone(language_model.engine());
        let tokens = engine.model().tokens();
        let mut decisions = Decisions {
            predictor: &mut self.predictor,
            coder: Decoder::new(coded)?,
        };
        let mut bytes = Vec::new();
        while bytes.len() < len {
            if *escapes && decisions.settle(Event::Escape, None)? {
                bytes.push(decisions.byte()?);
                continue;
            }
            let logits = language_model.predict();
            LanguageModel::distribution(&engine, logits, bias.as_ref(), cumulative);
            let walk = Walk::new(tokens, cumulative, len - bytes.len());
            let row = decisions.token(walk, cumulative)?;
            if let Some(bias) = bias {
                bias.update(cumulative, row);
            }
            language_model.accept(row);
            bytes.extend_from_slice(tokens.bytes(row));
            progress(bytes.len());
        }
        language_model.withdraw();
        decisions.coder.finish()?;
        Ok(bytes)
    }

    fn reset_model(&mut self) {
        if let Some(model) = &mut self.model {
            model.language_model.reset();
        }
    }
}

/// The one place where a decision meets predictor and coder.
struct Decisions<'a> {
    predictor: &'a mut Predictor,
    coder: Decoder<'a>,
}

impl Decisions<'_> {
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
