//! Decodes blocks. `block` holds what both directions do for each decision; this file holds what
//! only a decoder does. A decoder learns a token only by decoding it, so it asks the model about
//! drafts of the next tokens, or about several streams at once.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::block::{
    BlockCoding, Carried, CodedToken, Decision, Direction, StreamCoding, code_bytes,
};
use super::branches;
use super::coder::Decoder;
use super::draft::Drafts;
use super::rounds::{self, Round};
use super::speculation::Speculation;
use super::streams::{HEAD, Places, learn_by_rounds};
use super::times::{Times, timed};
use super::{CodecError, CorruptStream, Prime};
use crate::container::BranchFilter;
use crate::engine::{Prediction, Runtime};
use crate::predict::Settings;

/// If one more row adds more than this to the time of a pass, the streams are split into two
/// groups, whose tokens are predicted in turn.
const MOST_SHARED: f32 = 0.5;

/// Called with the number of bytes of the block decoded so far; `Break` ends decoding.
pub type OnProgress<'a> = &'a mut dyn FnMut(usize) -> ControlFlow<()>;

/// What a decoder carries from block to block of a frame.
pub struct BlockDecoder {
    carried: Carried<Speculation>,
    drafts: Drafts,
}

impl std::fmt::Debug for BlockDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockDecoder").finish_non_exhaustive()
    }
}

impl BlockDecoder {
    /// A decoder for a frame that begins after `prime`, if that is given. It has no language model.
    ///
    /// # Errors
    /// If there is no memory to learn the prime.
    pub fn new(settings: Settings, prime: Option<&Arc<Prime>>) -> Result<BlockDecoder, CodecError> {
        Ok(BlockDecoder {
            carried: Carried::new(settings, None, prime)?,
            drafts: Drafts::default(),
        })
    }

    /// Gives it the language model that `runtime` runs. It drafts as `drafts` says.
    pub fn set_model(&mut self, runtime: &Arc<dyn Runtime>, drafts: Drafts) {
        self.carried.runtime = Some(Arc::clone(runtime));
        self.drafts = drafts;
    }

    /// The time that decoding has taken since the last call.
    pub fn take_times(&mut self) -> Times {
        self.carried.times.take()
    }

    /// Notes a block that was stored as it is.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn pass_raw(&mut self, bytes: &[u8]) -> Result<(), CodecError> {
        self.carried.pass_raw(bytes)
    }

    /// Decodes a block of `len` bytes that the experts coded alone, after `filter` had rewritten
    /// them if that is given.
    ///
    /// # Errors
    /// If the coded bytes are corrupt, or `progress` asks for the end.
    pub fn experts(
        &mut self,
        coded: &[u8],
        len: usize,
        filter: Option<BranchFilter>,
        progress: OnProgress<'_>,
    ) -> Result<Vec<u8>, CodecError> {
        let start = Instant::now();
        let (predictor, position) = self.carried.with_experts(len)?;
        let mut reader = SymbolReader::new(coded)?;
        code_bytes(predictor, &mut reader, len, &mut |_, done| progress(done))?;
        self.carried.times.add(start, Duration::ZERO);
        let mut bytes = reader.finish()?;
        if let Some(filter) = filter {
            branches::restore(filter, &mut bytes, position);
        }
        Ok(bytes)
    }

    /// Decodes a block that the language model and the experts coded. `streams`, of which there is
    /// at least one, holds the length of each stream, at least 1, and its coded bytes.
    ///
    /// # Errors
    /// If the frame has no model, the model cannot be run, the coded bytes are corrupt, or
    /// `progress` asks for the end.
    pub fn model(
        &mut self,
        streams: &[(usize, &[u8])],
        progress: OnProgress<'_>,
    ) -> Result<Vec<u8>, CodecError> {
        let start = Instant::now();
        let lens = streams.iter().map(|(len, _)| *len);
        let drafts = self.drafts;
        let (predictor, model) = self.carried.with_model(lens.clone().sum(), |runtime| {
            Speculation::new(runtime, drafts)
        })?;
        let first = &mut model.language_model;
        let runtime = Arc::clone(first.runtime());
        let mut readers = Vec::new();
        for &(left, coded) in streams {
            let direction = SymbolReader::new(coded)?;
            readers.push(StreamCoding { direction, left });
        }
        let places = Places::new(predictor.position(), lens)?;
        let by_rounds = learn_by_rounds(streams.len());
        let learning = if by_rounds { 1 } else { streams.len() };
        (model.token_predictor).begin_block(learning, first.model().pending());
        let mut block = DecodedBlock {
            runtime: &*runtime,
            coding: BlockCoding {
                tokens: runtime.model().tokens(),
                escapes: model.escapes,
                predictor,
                token_predictor: &mut model.token_predictor,
                places,
                streams: readers,
            },
            waited: Duration::ZERO,
            progress,
        };
        if streams.len() == 1 {
            block.first_alone(first, usize::MAX)?;
        } else {
            let head = HEAD.saturating_sub(first.model().seen());
            block.first_alone(first, head as usize)?;
            block.together(first)?;
        }
        let waited = block.waited;
        let mut bytes = Vec::new();
        for reader in block.coding.finish() {
            bytes.extend(reader.finish()?);
        }
        self.carried.times.add(start, waited);
        Ok(bytes)
    }
}

/// A block that is being decoded with a language model.
struct DecodedBlock<'a, 'b> {
    runtime: &'a dyn Runtime,
    coding: BlockCoding<'a, SymbolReader<'b>>,
    /// For how long the coder has waited for predictions.
    waited: Duration,
    progress: OnProgress<'a>,
}

impl DecodedBlock<'_, '_> {
    /// Decodes the first stream alone, with drafts, until it is complete or `most` more tokens are
    /// decoded.
    fn first_alone(&mut self, model: &mut Speculation, most: usize) -> Result<(), CodecError> {
        let mut tokens = 0;
        while tokens < most && !self.is_complete(0) {
            if let Some(row) = self.turn(0, || Ok(model.predict()?))? {
                model.accept(row);
                tokens += 1;
            }
            self.report()?;
        }
        model.withdraw();
        Ok(())
    }

    /// Decodes the rest of the streams, of which there are at least two; `first` is the model of
    /// the first one. Predictions for a group of streams are computed in one pass; meanwhile tokens
    /// of the other of the [`groups`] are decoded.
    fn together(&mut self, first: &mut Speculation) -> Result<(), CodecError> {
        let pending = first.model().pending();
        let pool = self.runtime.pool();
        let by_rounds = learn_by_rounds(self.coding.streams.len());
        if by_rounds {
            self.coding
                .token_predictor
                .split(self.coding.streams.len())?;
        }
        let mut others = Vec::new();
        for _ in 1..self.coding.streams.len() {
            others.push(first.model().fork()?);
        }
        let models = std::iter::once(first.model()).chain(&mut others).collect();
        let last = self.coding.streams.len() - 1;
        // What the last stream's model is left with: its last token, and rows run of which no
        // prediction was used.
        let (mut last_token, mut unused) = (pending, 0);
        std::thread::scope(|scope| {
            let rounds = rounds::start(scope, self.runtime, models);
            let groups = groups(self.coding.streams.len(), self.runtime);
            let mut asked = groups.len();
            // Groups that have not had their turns in this round.
            let mut waiting = asked;
            for streams in groups {
                let streams = streams.filter(|&stream| !self.is_complete(stream));
                let rows = streams.map(|stream| (stream, pending)).collect();
                rounds.ask(Round::new(rows));
            }
            while asked > 0 {
                let Some(round) = timed(&mut self.waited, || rounds.next()) else {
                    break;
                };
                let mut round = round?;
                let rows = std::mem::take(&mut round.rows);
                if by_rounds {
                    let numbered = rows.iter().enumerate();
                    let next = numbered.map(|(at, row)| (row.0, round.predictions.row(at)));
                    self.coding.predict_together(next, pool);
                }
                for (index, (stream, pending)) in rows.into_iter().enumerate() {
                    let row = match by_rounds {
                        true => self.coding.predicted_turn(stream)?,
                        false => self.turn(stream, || Ok(round.predictions.row(index)))?,
                    };
                    let token = row.unwrap_or(pending);
                    if !self.is_complete(stream) {
                        round.rows.push((stream, token));
                    } else if stream == last {
                        (last_token, unused) = (token, usize::from(row.is_none()));
                    }
                }
                self.report()?;
                if round.rows.is_empty() {
                    asked -= 1;
                } else {
                    rounds.ask(round);
                }
                waiting -= 1;
                if waiting == 0 {
                    self.coding.token_predictor.end_round(pool);
                    waiting = asked;
                }
            }
            Ok::<_, CodecError>(())
        })?;
        if let Some(mut model) = others.pop() {
            model.take_back(unused);
            model.accept(last_token);
            first.replace(model);
        }
        Ok(())
    }

    /// One turn of a stream; the time that its prediction takes counts as waiting.
    fn turn<'p>(
        &mut self,
        stream: usize,
        prediction: impl FnOnce() -> Result<Prediction<'p>, CodecError>,
    ) -> Result<Option<u32>, CodecError> {
        let waited = &mut self.waited;
        self.coding.turn(stream, || timed(waited, prediction))
    }

    fn is_complete(&self, stream: usize) -> bool {
        self.coding.streams[stream].left == 0
    }

    fn report(&mut self) -> Result<(), CodecError> {
        let streams = self.coding.streams.iter();
        let done = streams.map(|stream| stream.direction.bytes.len());
        match (self.progress)(done.sum()) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(CodecError::Cancelled),
        }
    }
}

/// The groups of streams that are predicted together.
fn groups(streams: usize, runtime: &dyn Runtime) -> Vec<Range<usize>> {
    // Where rows share much of a pass, all streams at once is fastest. Where a pass of twice the
    // streams takes about twice as long, or takes nothing from the coder, one half may be computed
    // while the other is decoded.
    let first = match runtime.row_cost() > MOST_SHARED || runtime.computes_elsewhere() {
        true => streams / 2,
        false => streams,
    };
    let groups = [0..first, first..streams].into_iter();
    groups.filter(|group| !group.is_empty()).collect()
}

/// A decoder's end of a stream: outcomes come from the range coder, and decoded bytes are kept.
struct SymbolReader<'a> {
    coder: Decoder<'a>,
    bytes: Vec<u8>,
}

impl<'a> SymbolReader<'a> {
    fn new(coded: &'a [u8]) -> Result<SymbolReader<'a>, CorruptStream> {
        Ok(SymbolReader {
            coder: Decoder::new(coded)?,
            bytes: Vec::new(),
        })
    }

    /// The bytes, if nothing coded is left over.
    fn finish(self) -> Result<Vec<u8>, CorruptStream> {
        self.coder.finish()?;
        Ok(self.bytes)
    }
}

impl Direction for SymbolReader<'_> {
    fn begin_symbol(&mut self) {}

    fn decide(&mut self, _: Decision, p: u32) -> Result<bool, CorruptStream> {
        self.coder.decode(p)
    }

    fn end_symbol(&mut self, bytes: &[u8], _: Option<CodedToken<'_>>) {
        self.bytes.extend_from_slice(bytes);
    }
}
