//! Encodes blocks. `block` holds what both directions do for each decision; this file holds what
//! only an encoder does. An encoder knows all symbols, so the model computes ahead of the coder.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::block::{
    BlockCoding, Carried, CodedToken, Decision, Direction, ModelCoding, StreamCoding, code_bytes,
};
use super::branches;
use super::coder::Encoder;
use super::cost::{CostRecorder, ModelPrediction};
use super::language_model::LanguageModel;
use super::look_ahead::LookAhead;
use super::streams::{Places, Rounds, Turns, learn_by_rounds, split_head};
use super::times::Times;
use super::{CodecError, CorruptStream, Prime, Symbol};
use crate::container::BranchFilter;
use crate::engine::Runtime;
use crate::machine::memory;
use crate::packed::TokenTable;
use crate::predict::{PROBABILITY_BITS, Settings};

/// Turns between two reports of progress.
const PROGRESS_TURNS: usize = 64;

/// Called with the number of bytes of the block coded so far and the number of coded bytes that
/// they took; `Break` ends coding.
pub type OnProgress<'a> = &'a mut dyn FnMut(usize, usize) -> ControlFlow<()>;

/// What an encoder carries from block to block of a frame.
pub struct BlockEncoder {
    carried: Carried<LanguageModel>,
    /// `None` if costs are not recorded.
    costs: Option<CostRecorder>,
}

impl std::fmt::Debug for BlockEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockEncoder").finish_non_exhaustive()
    }
}

/// A stream of a block.
#[derive(Debug)]
pub struct Stream {
    /// Its tokens and escaped bytes.
    pub symbols: Vec<Symbol>,
    /// Their bytes.
    pub len: usize,
}

impl BlockEncoder {
    /// An encoder for a frame that begins after `prime`, if that is given, with the language model
    /// that `runtime` runs if there is one.
    ///
    /// # Errors
    /// If there is no memory to learn the prime.
    pub fn new(
        settings: Settings,
        runtime: Option<&Arc<dyn Runtime>>,
        prime: Option<&Arc<Prime>>,
    ) -> Result<BlockEncoder, CodecError> {
        Ok(BlockEncoder {
            carried: Carried::new(settings, runtime, prime)?,
            costs: None,
        })
    }

    /// A copy, to code the next block in another way.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn fork(&self) -> Result<BlockEncoder, CodecError> {
        let Carried {
            predictor,
            runtime,
            context,
            model,
            position,
            times,
        } = &self.carried;
        let model = model.as_ref().map(|model| {
            Ok::<_, CodecError>(ModelCoding {
                language_model: model.language_model.fork()?,
                token_predictor: model.token_predictor.try_clone()?,
                escapes: model.escapes,
            })
        });
        Ok(BlockEncoder {
            carried: Carried {
                predictor: predictor.try_clone()?,
                runtime: runtime.clone(),
                context: context.clone(),
                model: model.transpose()?,
                position: *position,
                times: *times,
            },
            costs: self.costs.clone(),
        })
    }

    /// Records what coding costs from now on.
    pub fn record_costs(&mut self, costs: CostRecorder) {
        self.costs = Some(costs);
    }

    /// What coding has cost since the last call; `None` if costs are not recorded.
    pub fn take_costs(&mut self) -> Option<CostRecorder> {
        self.costs.as_mut().map(CostRecorder::take)
    }

    /// The time that coding has taken since the last call.
    pub fn take_times(&mut self) -> Times {
        self.carried.times.take()
    }

    /// Notes a block that is stored as it is.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn pass_raw(&mut self, bytes: &[u8]) -> Result<(), CodecError> {
        self.carried.pass_raw(bytes)
    }

    /// Codes a block with the experts alone, rewritten by `filter` if that is given.
    ///
    /// # Errors
    /// If there is no memory, or `progress` asks for the end.
    pub fn experts(
        &mut self,
        bytes: &[u8],
        filter: Option<BranchFilter>,
        progress: OnProgress<'_>,
    ) -> Result<Vec<u8>, CodecError> {
        let start = Instant::now();
        let (predictor, position) = self.carried.with_experts(bytes.len())?;
        let rewritten = match filter {
            None => None,
            Some(filter) => {
                let mut copy = memory::copied("a block of machine code", bytes, 0)?;
                branches::apply(filter, &mut copy, position);
                Some(copy)
            }
        };
        let bytes = rewritten.as_deref().unwrap_or(bytes);
        let symbols = bytes.iter().map(|byte| Spelling {
            bytes: std::slice::from_ref(byte),
            escaped: true,
        });
        let mut writer = SymbolWriter::new(symbols, self.costs.take());
        code_bytes(predictor, &mut writer, bytes.len(), &mut |writer, done| {
            progress(done, writer.coder.len())
        })?;
        self.carried.times.add(start, Duration::ZERO);
        self.costs = writer.costs;
        Ok(writer.coder.finish())
    }

    /// Codes a block with the language model and the experts, and returns the coded bytes of each
    /// stream. The block consists of `streams`, of which there is at least one.
    ///
    /// # Errors
    /// If the frame has no model, the model cannot be run, or `progress` asks for the end.
    pub fn model(
        &mut self,
        streams: &[Stream],
        progress: OnProgress<'_>,
    ) -> Result<Vec<Vec<u8>>, CodecError> {
        let start = Instant::now();
        let lens = streams.iter().map(|stream| stream.len);
        let (predictor, model) =
            (self.carried).with_model(lens.clone().sum(), LanguageModel::new)?;
        let first = &mut model.language_model;
        let runtime = Arc::clone(first.runtime());
        let tokens = runtime.model().tokens();
        let places = Places::new(predictor.position(), lens)?;
        let by_rounds = learn_by_rounds(streams.len());
        let learning = if by_rounds { 1 } else { streams.len() };
        (model.token_predictor).begin_block(learning, first.pending());
        let mut block = EncodedBlock {
            runtime: &*runtime,
            len: streams.iter().map(|stream| stream.len).sum(),
            coding: BlockCoding {
                tokens,
                escapes: model.escapes,
                predictor,
                token_predictor: &mut model.token_predictor,
                places,
                streams: (streams.iter())
                    .map(|stream| StreamCoding {
                        direction: SymbolWriter::new(
                            spellings(tokens, &stream.symbols),
                            self.costs.as_ref().map(CostRecorder::emptied),
                        ),
                        left: stream.len,
                    })
                    .collect(),
            },
            waited: Duration::ZERO,
            progress,
        };
        let mut symbols: Vec<&[Symbol]> = streams.iter().map(|stream| &*stream.symbols).collect();
        let mut others = Vec::new();
        if streams.len() > 1 {
            let (head, rest) = split_head(symbols[0], first.seen());
            block.code(vec![first], &[head])?;
            symbols[0] = rest;
            for _ in 1..streams.len() {
                others.push(first.fork()?);
            }
        }
        let models = std::iter::once(&mut *first).chain(&mut others).collect();
        match by_rounds {
            true => block.code_by_rounds(models, &symbols)?,
            false => block.code(models, &symbols)?,
        }
        let (writers, waited) = block.finish();
        if let Some(last) = others.pop() {
            *first = last;
        }
        let mut coded = Vec::new();
        for writer in writers {
            if let (Some(costs), Some(part)) = (&mut self.costs, writer.costs) {
                costs.append(part);
            }
            coded.push(writer.coder.finish());
        }
        self.carried.times.add(start, waited);
        Ok(coded)
    }
}

/// A block that is being encoded with a language model.
struct EncodedBlock<'a, S> {
    runtime: &'a dyn Runtime,
    coding: BlockCoding<'a, SymbolWriter<'a, S>>,
    /// Bytes of the block.
    len: usize,
    /// For how long the coder has waited for predictions.
    waited: Duration,
    progress: OnProgress<'a>,
}

impl<'a, S: Iterator<Item = Spelling<'a>>> EncodedBlock<'a, S> {
    /// Codes `streams`: the beginning of the first stream, or the rest of every stream.
    fn code(
        &mut self,
        models: Vec<&mut LanguageModel>,
        streams: &[&[Symbol]],
    ) -> Result<(), CodecError> {
        let turns = Turns::new(streams);
        let ahead = LookAhead::new(self.runtime, models, turns.clone().filter_map(token));
        std::thread::scope(|scope| {
            let mut predictions = ahead.start(scope);
            for (number, (stream, _)) in turns.enumerate() {
                self.coding.turn(stream, || predictions.next())?;
                if number % PROGRESS_TURNS == PROGRESS_TURNS - 1 {
                    self.report()?;
                }
            }
            self.waited += predictions.waited();
            Ok(())
        })
    }

    /// Codes the rest of every stream, where streams learn by rounds.
    fn code_by_rounds(
        &mut self,
        models: Vec<&mut LanguageModel>,
        streams: &[&[Symbol]],
    ) -> Result<(), CodecError> {
        let pool = self.runtime.pool();
        self.coding.token_predictor.split(streams.len())?;
        let tokens = Turns::new(streams).filter_map(token);
        let ahead = LookAhead::new(self.runtime, models, tokens);
        std::thread::scope(|scope| {
            let mut predictions = ahead.start(scope);
            for round in Rounds::new(streams) {
                let tokens: Vec<_> = round.iter().copied().filter_map(token).collect();
                let next = predictions.next_round(tokens.len())?;
                let next = tokens.iter().map(|token| token.0).zip(next);
                self.coding.predict_together(next, pool);
                for (stream, _) in round {
                    self.coding.predicted_turn(stream)?;
                }
                self.coding.token_predictor.end_round(pool);
                self.report()?;
            }
            self.waited += predictions.waited();
            Ok(())
        })
    }

    /// Ends the block: the streams, and for how long the coder has waited.
    fn finish(self) -> (Vec<SymbolWriter<'a, S>>, Duration) {
        (self.coding.finish(), self.waited)
    }

    fn report(&mut self) -> Result<(), CodecError> {
        let streams = &self.coding.streams;
        let left: usize = streams.iter().map(|stream| stream.left).sum();
        let coded = streams.iter().map(|stream| stream.direction.coder.len());
        let done = self.len - left;
        match (self.progress)(done, coded.sum()) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(CodecError::Cancelled),
        }
    }
}

/// The stream and the row of a turn's token, if it has one.
fn token((stream, turn): (usize, &[Symbol])) -> Option<(usize, u32)> {
    Some((stream, turn.last()?.token()?))
}

/// The bytes of a symbol.
#[derive(Clone, Copy)]
struct Spelling<'a> {
    bytes: &'a [u8],
    /// Whether it is a byte outside the vocabulary.
    escaped: bool,
}

fn spellings<'a>(
    tokens: TokenTable<'a>,
    symbols: &'a [Symbol],
) -> impl Iterator<Item = Spelling<'a>> {
    symbols.iter().map(move |symbol| match symbol {
        Symbol::Token(row) => Spelling {
            bytes: tokens.bytes(*row),
            escaped: false,
        },
        Symbol::Byte(byte) => Spelling {
            bytes: std::slice::from_ref(byte),
            escaped: true,
        },
    })
}

/// An encoder's end of a stream: outcomes come from the symbols, and the range coder writes them.
struct SymbolWriter<'a, S> {
    symbols: S,
    current: Spelling<'a>,
    coder: Encoder,
    costs: Option<CostRecorder>,
}

impl<'a, S: Iterator<Item = Spelling<'a>>> SymbolWriter<'a, S> {
    fn new(symbols: S, costs: Option<CostRecorder>) -> Self {
        SymbolWriter {
            symbols,
            current: Spelling {
                bytes: &[],
                escaped: false,
            },
            coder: Encoder::new(),
            costs,
        }
    }
}

impl<'a, S: Iterator<Item = Spelling<'a>>> Direction for SymbolWriter<'a, S> {
    fn begin_symbol(&mut self) {
        if let Some(next) = self.symbols.next() {
            self.current = next;
        }
    }

    fn decide(&mut self, decision: Decision, p: u32) -> Result<bool, CorruptStream> {
        let Spelling { bytes, escaped } = self.current;
        let bit = match decision {
            Decision::Escape => escaped,
            Decision::TokenEnd { depth } => depth == bytes.len(),
            Decision::Bit { depth, shift } => bytes[depth] >> shift & 1 == 1,
        };
        if let Some(costs) = &mut self.costs {
            costs.add(code_length(p, bit));
        }
        self.coder.encode(p, bit);
        Ok(bit)
    }

    fn end_symbol(&mut self, bytes: &[u8], token: Option<CodedToken<'_>>) {
        if let Some(costs) = &mut self.costs {
            let token = token.filter(|_| costs.is_detailed());
            let prediction = token.map(|token| ModelPrediction::new(token.weights, token.row));
            costs.end_symbol(bytes.len(), prediction);
        }
    }
}

/// The ideal code length in bits of `bit`, if `p` is its probability of being 1, in units of 2^-24.
fn code_length(p: u32, bit: bool) -> f64 {
    let chance = if bit { p } else { (1 << PROBABILITY_BITS) - p };
    f64::from(PROBABILITY_BITS) - f64::from(chance).log2()
}
