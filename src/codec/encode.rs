//! Blocks to coded bytes. The mirror image of [`super::decode`].

use std::sync::Arc;
use std::sync::mpsc;

use super::byte_path::{Odds, Question, Walk};
use super::coder::Encoder;
use super::language_model::LanguageModel;
use super::ledger::{Ledger, Opinion};
use crate::engine::{Engine, Logits};
use crate::model::Piece;
use crate::predict::{Event, OutputBias, PROBABILITY_BITS, Predictor, Settings, TokenFacts};

/// What an encoder carries from block to block of a frame.
#[derive(Clone)]
pub struct BlockEncoder {
    predictor: Predictor,
    model: Option<ModelEncoder>,
    /// Where costs are noted, if they are wanted.
    ledger: Option<Ledger>,
}

/// A language model and what goes with it.
#[derive(Clone)]
struct ModelEncoder {
    language_model: LanguageModel,
    /// Learned only where experts are.
    bias: Option<OutputBias>,
    escapes: bool,
}

/// Bytes of the block coded so far, and the coded bytes they took.
pub type OnProgress<'a> = &'a mut dyn FnMut(usize, usize);

impl BlockEncoder {
    /// An encoder for a frame without a language model.
    pub fn experts_only(settings: Settings) -> BlockEncoder {
        BlockEncoder {
            predictor: Predictor::new(settings),
            model: None,
            ledger: None,
        }
    }

    /// An encoder for a frame with one.
    pub fn with_model(settings: Settings, engine: Arc<Engine>) -> BlockEncoder {
        let tokens = engine.model().tokens();
        let escapes = !tokens.has_every_byte();
        let bias = settings.experts.then(|| OutputBias::new(tokens.len()));
        BlockEncoder {
            predictor: Predictor::new(settings),
            model: Some(ModelEncoder {
                language_model: LanguageModel::new(engine),
                bias,
                escapes,
            }),
            ledger: None,
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

    /// Notes a block that is stored as it is.
    pub fn pass_raw(&mut self, bytes: &[u8]) {
        self.predictor.skip_bytes(bytes);
        self.reset_model();
    }

    /// Codes a block with the experts alone.
    pub fn experts(&mut self, bytes: &[u8], progress: OnProgress<'_>) -> Vec<u8> {
        self.reset_model();
        let mut decisions = Decisions {
            predictor: &mut self.predictor,
            coder: Encoder::new(),
            ledger: self.ledger.as_mut(),
        };
        for (i, &byte) in bytes.iter().enumerate() {
            decisions.byte(byte);
            decisions.enter(1, || None);
            if i % 4096 == 4095 {
                progress(i + 1, decisions.coder.len());
            }
        }
        decisions.coder.finish()
    }

    /// Codes a block with the language model and the experts; `None` if the frame has no model.
    /// The bytes of `pieces` make up the block of `len` bytes.
    pub fn model(
        &mut self,
        pieces: &[Piece],
        len: usize,
        progress: OnProgress<'_>,
    ) -> Option<Vec<u8>> {
        let ModelEncoder {
            language_model,
            bias,
            escapes,
        } = self.model.as_mut()?;
        let rows: Vec<u32> = pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Token(row) => Some(*row),
                Piece::Byte(_) => None,
            })
            .collect();
        let engine = Arc::clone(language_model.engine());
        let mut foresight = language_model.foresee(&rows);
        let mut decisions = Decisions {
            predictor: &mut self.predictor,
            coder: Encoder::new(),
            ledger: self.ledger.as_mut(),
        };
        // The engine computes a chunk of predictions while the coder uses the one before; two
        // buffers travel between them.
        let (full_in, full_out) = mpsc::sync_channel::<Logits>(1);
        let (empty_in, empty_out) = mpsc::channel::<Logits>();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                // Cannot fail: the receiver lives until the engine's thread has it.
                let _ = empty_in.send(Logits::default());
            }
            scope.spawn(move || {
                while let Ok(mut logits) = empty_out.recv() {
                    if !foresight.next_chunk(&mut logits) || full_in.send(logits).is_err() {
                        break;
                    }
                }
            });
            let tokens = engine.model().tokens();
            let mut cumulative = vec![0; tokens.len() + 1];
            let mut logits = Logits::default();
            let mut row_in_chunk = 0;
            let mut done = 0;
            for &piece in pieces {
                if *escapes {
                    decisions.settle(Event::Escape, None, matches!(piece, Piece::Byte(_)));
                }
                match piece {
                    Piece::Byte(byte) => {
                        decisions.byte(byte);
                        decisions.enter(1, || None);
                        done += 1;
                    }
                    Piece::Token(row) => {
                        if row_in_chunk == logits.rows() {
                            progress(done, decisions.coder.len());
                            let Ok(next) = full_out.recv() else {
                                // The engine's thread ended early, which only a panic there does;
                                // the scope passes it on.
                                return;
                            };
                            let _ = empty_in.send(std::mem::replace(&mut logits, next));
                            row_in_chunk = 0;
                        }
                        let row_logits = logits.row(row_in_chunk);
                        LanguageModel::distribution(
                            &engine,
                            row_logits,
                            bias.as_ref(),
                            &mut cumulative,
                        );
                        row_in_chunk += 1;
                        let walk = Walk::new(tokens, &cumulative, len - done);
                        decisions.token(walk, &cumulative, tokens.bytes(row));
                        decisions.enter(tokens.bytes(row).len(), || {
                            Some(Opinion::new(&cumulative, row))
                        });
                        if let Some(bias) = bias {
                            bias.update(&cumulative, row);
                        }
                        done += tokens.bytes(row).len();
                    }
                }
            }
        });
        Some(decisions.coder.finish())
    }

    fn reset_model(&mut self) {
        if let Some(model) = &mut self.model {
            model.language_model.reset();
        }
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
    coder: Encoder,
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

    fn token(&mut self, mut walk: Walk<'_>, cumulative: &[u64], bytes: &[u8]) {
        self.predictor.begin_token(TokenFacts::new(cumulative));
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
