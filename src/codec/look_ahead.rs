//! Computes predictions of tokens that an encoder already knows, a chunk at a time, while the
//! encoder codes earlier tokens.

use std::iter::Peekable;
use std::thread::Scope;
use std::time::Duration;

use super::CodecError;
use super::answers::Answers;
use super::language_model::{LanguageModel, run_together};
use super::streams::{is_same_round, learn_by_rounds};
use super::times::timed;
use crate::arch::config::TILE;
use crate::engine::{EngineError, Prediction, Predictions, Runtime};

/// A chunk of this many logits, 1 MiB, is coded before it has left the processor's caches.
const LOGITS_IN_CACHE: usize = 1 << 18;
/// Where that is too few rows for the runtime, the logits leave the caches anyway, and larger
/// passes are faster. Then a chunk holds at most this many, 25 MiB, unless that is too few as well.
const LOGITS_AT_ONCE: usize = 6_500_000;
/// Most rows of a chunk, unless that is too few for the runtime.
const MOST: usize = 256;

/// Predictions of a chunk, at least `enough`: a power of two, so that no pass is left with a few
/// rows.
fn rows_of_a_chunk(vocabulary: usize, enough: usize) -> usize {
    let rows_of = |logits: usize| logits / vocabulary.max(1);
    let rows = match rows_of(LOGITS_IN_CACHE) {
        few if few < enough => rows_of(LOGITS_AT_ONCE),
        rows => rows,
    };
    1 << rows.clamp(enough, MOST.max(enough)).ilog2()
}

/// Most bytes of logits that an encoder holds: those of the chunk whose tokens it codes, and of the
/// next one, which is computed meanwhile. A block has up to `streams` streams. A decoder holds
/// less.
pub fn bytes_of_logits(runtime: &dyn Runtime, streams: usize) -> usize {
    let vocabulary = runtime.model().config().vocab;
    bytes_of_chunks(vocabulary, runtime.enough_rows(), streams)
}

fn bytes_of_chunks(vocabulary: usize, enough: usize, streams: usize) -> usize {
    let rest_of_a_round = if learn_by_rounds(streams) { streams } else { 0 };
    let rows = rows_of_a_chunk(vocabulary, enough) + rest_of_a_round;
    2 * rows * vocabulary.next_multiple_of(TILE) * size_of::<i32>()
}

/// Computes predictions of known tokens.
pub(super) struct LookAhead<'a, T: Iterator> {
    runtime: &'a dyn Runtime,
    /// A model for each stream.
    models: Vec<&'a mut LanguageModel>,
    /// The tokens to be predicted, as pairs of a stream and a row.
    tokens: Peekable<T>,
    /// Predictions in a chunk.
    chunk: usize,
    /// Whether a chunk ends where a round ends, if that is later.
    whole_rounds: bool,
}

/// Predictions of consecutive tokens in the order of coding.
#[derive(Default)]
pub(super) struct Chunk {
    predictions: Predictions,
    /// For each token, its row in `predictions`.
    rows: Vec<usize>,
}

impl Chunk {
    /// The number of predictions.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The prediction of the chunk's token number `index`.
    pub(super) fn prediction(&self, index: usize) -> Prediction<'_> {
        self.predictions.row(self.rows[index])
    }
}

impl<'a, T: Iterator<Item = (usize, u32)>> LookAhead<'a, T> {
    /// Looks ahead over `tokens`, which are pairs of a stream and a row, with one model of
    /// `runtime` for each stream. Afterwards the last token of each stream is pending.
    pub(super) fn new(
        runtime: &'a dyn Runtime,
        models: Vec<&'a mut LanguageModel>,
        tokens: T,
    ) -> LookAhead<'a, T> {
        let whole_rounds = learn_by_rounds(models.len());
        let vocabulary = runtime.model().config().vocab;
        LookAhead {
            runtime,
            models,
            tokens: tokens.peekable(),
            chunk: rows_of_a_chunk(vocabulary, runtime.enough_rows()),
            whole_rounds,
        }
    }

    /// Computes the next chunk; false, and an empty chunk, when no token is left.
    pub(super) fn next_chunk(&mut self, chunk: &mut Chunk) -> Result<bool, EngineError> {
        let mut fed = vec![Vec::new(); self.models.len()];
        let mut order: Vec<(usize, usize)> = Vec::with_capacity(self.chunk);
        while let Some((stream, row)) = self.tokens.next_if(|&(next, _)| {
            let goes_on = |&(last, _): &(usize, usize)| is_same_round(last, next);
            order.len() < self.chunk || self.whole_rounds && order.last().is_some_and(goes_on)
        }) {
            order.push((stream, fed[stream].len()));
            fed[stream].push(self.models[stream].accept(row));
        }
        chunk.rows.clear();
        if order.is_empty() {
            return Ok(false);
        }
        run_together(self.runtime, &mut self.models, &fed, &mut chunk.predictions)?;
        let starts: Vec<usize> = (fed.iter())
            .scan(0, |start, tokens| {
                Some(std::mem::replace(start, *start + tokens.len()))
            })
            .collect();
        (chunk.rows).extend(order.iter().map(|&(stream, index)| starts[stream] + index));
        Ok(true)
    }

    /// Computes chunks while the caller uses the predictions of earlier ones.
    pub(super) fn start<'scope>(
        mut self,
        scope: &'scope Scope<'scope, '_>,
    ) -> PredictedTokens<'scope>
    where
        'a: 'scope,
        T: Send + 'scope,
    {
        let chunks = Answers::start(scope, self.runtime, move |mut chunk: Chunk| {
            self.next_chunk(&mut chunk)?;
            Ok(chunk)
        });
        // Of the two buffers, one is filled while the other is used.
        chunks.ask(Chunk::default());
        PredictedTokens {
            chunks,
            chunk: Chunk::default(),
            used: 0,
            waited: Duration::ZERO,
        }
    }
}

/// The receiving end of [`LookAhead::start`].
pub(super) struct PredictedTokens<'a> {
    chunks: Answers<'a, Chunk, Result<Chunk, EngineError>>,
    chunk: Chunk,
    used: usize,
    waited: Duration,
}

impl PredictedTokens<'_> {
    /// The time for which [`PredictedTokens::next`] has waited.
    pub(super) fn waited(&self) -> Duration {
        self.waited
    }

    /// The next token's prediction.
    ///
    /// # Panics
    /// If there is none left.
    pub(super) fn next(&mut self) -> Result<Prediction<'_>, CodecError> {
        let at = self.take(1)?;
        Ok(self.chunk.prediction(at))
    }

    /// The predictions of the next `count` tokens, which are all those of a round.
    ///
    /// # Panics
    /// If there are fewer left.
    pub(super) fn next_round(
        &mut self,
        count: usize,
    ) -> Result<impl Iterator<Item = Prediction<'_>>, CodecError> {
        let at = match count {
            0 => 0,
            _ => self.take(count)?,
        };
        Ok((at..at + count).map(|at| self.chunk.prediction(at)))
    }

    /// Takes the next `count` tokens, at least one, of a chunk; gives the number of the first.
    fn take(&mut self, count: usize) -> Result<usize, CodecError> {
        if self.used == self.chunk.len() {
            let next = timed(&mut self.waited, || self.chunks.next());
            let next = next.expect("a prediction for each token")?;
            self.chunks.ask(std::mem::replace(&mut self.chunk, next));
            self.used = 0;
        }
        self.used += count;
        Ok(self.used - count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_full_passes_whose_logits_are_bounded() {
        let wanted = [
            (1, 256),
            (2000, 128),
            (4096, 64),
            (4097, 256),
            (49_135, 128),
            (151_643, 64),
        ];
        for (vocabulary, rows) in wanted {
            assert_eq!(rows_of_a_chunk(vocabulary, 64), rows, "{vocabulary}");
            assert_eq!(rows_of_a_chunk(vocabulary, 512), 512, "{vocabulary}");
        }
        assert_eq!(bytes_of_chunks(49_135, 64, 16), 2 * 128 * 49_136 * 4);
        let of_rounds = 2 * (128 + 256) * 49_136 * 4;
        assert_eq!(bytes_of_chunks(49_135, 64, 256), of_rounds);
    }
}
