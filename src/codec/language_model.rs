//! The language model as the codec sees it: tokens in, the next token's distribution out.
//!
//! What the model has seen, defined once for both directions: at the start of a stream the
//! beginning-of-text row (row 0 where a model has none), then every token coded, never an escaped
//! byte. The last token stays pending until a prediction that needs it, so that a block's last token
//! costs no forward pass. Any other block in between resets it.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread::Scope;
use std::time::Duration;

use super::outlook::Outlook;
use super::times::timed;
use crate::engine::{Cache, Engine, Logits, Prediction, Segment};
use crate::machine::pool::Helper;

/// Rows of logits computed at once when encoding are bounded by this many entries, 16 MiB.
const LOGITS_AT_ONCE: usize = 4 << 20;

/// One stream's language model.
#[derive(Clone)]
pub struct LanguageModel {
    engine: Arc<Engine>,
    cache: Cache,
    /// The input row that the next prediction is conditioned on and the cache has not seen.
    pending: u32,
}

impl LanguageModel {
    /// A model that has seen nothing.
    pub fn new(engine: Arc<Engine>) -> LanguageModel {
        let cache = engine.new_cache();
        let pending = start_row(&engine);
        LanguageModel {
            engine,
            cache,
            pending,
        }
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.cache.reset();
        self.pending = start_row(&self.engine);
    }

    /// The engine behind.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The row that the next prediction follows and the cache has not seen.
    pub fn pending(&self) -> u32 {
        self.pending
    }

    /// Computes the predictions that follow each of `rows`, of which the first is the pending one.
    pub fn run(&mut self, rows: &[u32], logits: &mut Logits) {
        self.engine.forward(
            &mut [Segment {
                cache: &mut self.cache,
                tokens: rows,
            }],
            logits,
        );
    }

    /// Tokens seen, the pending one among them.
    pub fn seen(&self) -> u64 {
        self.cache.position() + 1
    }

    /// Forgets the last `rows` rows that were run.
    pub fn take_back(&mut self, rows: usize) {
        self.cache.truncate(self.cache.position() - rows as u64);
    }

    /// Settles that `row` is the token predicted last.
    pub fn accept(&mut self, row: u32) {
        self.pending = row;
    }

    /// Predictions computed at once when encoding.
    fn chunk_rows(&self) -> usize {
        let vocabulary = self.engine.model().config().vocab;
        (LOGITS_AT_ONCE / vocabulary.max(1)).clamp(32, 256)
    }
}

/// The predictions of tokens that are known already, a chunk at a time.
pub struct Foresight<'a, T> {
    engine: &'a Engine,
    /// A model for each stream.
    models: Vec<&'a mut LanguageModel>,
    /// The tokens to be predicted, each behind its stream's number.
    tokens: T,
    chunk: usize,
}

/// Predictions of tokens that follow one another in the order of coding.
#[derive(Default)]
pub struct Chunk {
    logits: Logits,
    /// The row of `logits` of each.
    rows: Vec<usize>,
}

impl Chunk {
    /// How many.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The `index`th.
    pub fn prediction(&self, index: usize) -> Prediction<'_> {
        self.logits.prediction(self.rows[index])
    }
}

impl<'a, T: Iterator<Item = (usize, u32)>> Foresight<'a, T> {
    /// The predictions of `tokens`, each (stream, row), by at least one model of `engine`: one for each stream. Afterwards
    /// each stream's last token is pending.
    pub fn new(
        engine: &'a Engine,
        models: Vec<&'a mut LanguageModel>,
        tokens: T,
    ) -> Foresight<'a, T> {
        Foresight {
            engine,
            chunk: models[0].chunk_rows(),
            models,
            tokens,
        }
    }

    /// The predictions one by one, computed by a thread of `scope` while others are used.
    pub fn ahead<'scope>(mut self, scope: &'scope Scope<'scope, '_>) -> Predictions<'a>
    where
        'a: 'scope,
        T: Send + 'scope,
    {
        let (full_in, full_out) = mpsc::sync_channel::<Chunk>(1);
        let (empty_in, empty_out) = mpsc::channel::<Chunk>();
        let full = Answers::new(self.engine, full_out);
        scope.spawn(move || {
            while let Ok(mut chunk) = empty_out.recv() {
                if !self.next_chunk(&mut chunk) || full_in.send(chunk).is_err() {
                    break;
                }
            }
        });
        // Cannot fail: the thread ends when it has seen the last token, or this end is gone. Of the two buffers, one is
        // filled while the other is used.
        let _ = empty_in.send(Chunk::default());
        Predictions {
            full,
            empty: empty_in,
            chunk: Chunk::default(),
            used: 0,
            waited: Duration::ZERO,
        }
    }

    /// Computes the next chunk's predictions; false when there are none left.
    pub fn next_chunk(&mut self, chunk: &mut Chunk) -> bool {
        let mut fed = vec![Vec::new(); self.models.len()];
        let mut order = Vec::with_capacity(self.chunk);
        for (stream, row) in self.tokens.by_ref().take(self.chunk) {
            order.push((stream, fed[stream].len()));
            fed[stream].push(std::mem::replace(&mut self.models[stream].pending, row));
        }
        if order.is_empty() {
            return false;
        }
        run_together(self.engine, &mut self.models, &fed, &mut chunk.logits);
        let starts: Vec<usize> = (fed.iter())
            .scan(0, |start, tokens| {
                Some(std::mem::replace(start, *start + tokens.len()))
            })
            .collect();
        chunk.rows.clear();
        (chunk.rows).extend(order.iter().map(|&(stream, index)| starts[stream] + index));
        true
    }
}

/// Runs each model's `tokens` in one pass; the rows of `logits` are those of the first model, then those of the next.
fn run_together(
    engine: &Engine,
    models: &mut [&mut LanguageModel],
    tokens: &[Vec<u32>],
    logits: &mut Logits,
) {
    let mut segments: Vec<Segment<'_>> = (models.iter_mut().zip(tokens))
        .map(|(model, tokens)| Segment {
            cache: &mut model.cache,
            tokens,
        })
        .collect();
    engine.forward(&mut segments, logits);
}

/// A question about the next token of several streams, and its answer.
pub struct Round {
    /// Each stream and its pending token.
    pub rows: Vec<(usize, u32)>,
    /// The answer: what comes next in each of them, a row for each.
    pub logits: Logits,
}

/// Starts a thread of `scope` that answers rounds in the order in which they are asked; `models`, of `engine`: one for each
/// stream.
pub fn rounds<'scope>(
    scope: &'scope Scope<'scope, '_>,
    engine: &'scope Engine,
    mut models: Vec<&'scope mut LanguageModel>,
) -> (Sender<Round>, Answers<'scope, Round>) {
    let (asks, asked) = mpsc::channel::<Round>();
    let (answers, answered) = mpsc::channel();
    scope.spawn(move || {
        while let Ok(mut round) = asked.recv() {
            round.answer(engine, &mut models);
            if answers.send(round).is_err() {
                break;
            }
        }
    });
    (asks, Answers::new(engine, answered))
}

impl Round {
    fn answer(&mut self, engine: &Engine, models: &mut [&mut LanguageModel]) {
        let mut tokens = vec![Vec::new(); models.len()];
        for &(stream, row) in &self.rows {
            tokens[stream].push(row);
        }
        // Streams are in order: so are the rows of the answer.
        run_together(engine, models, &tokens, &mut self.logits);
    }
}

/// What the thread that runs the engine sends. Who waits for it helps the engine meanwhile.
pub struct Answers<'a, T> {
    sent: Receiver<T>,
    helper: Option<Helper<'a>>,
}

impl<'a, T> Answers<'a, T> {
    fn new(engine: &'a Engine, sent: Receiver<T>) -> Answers<'a, T> {
        Answers {
            sent,
            helper: engine.helper(),
        }
    }

    /// The next one; `None` if the thread has ended.
    pub fn next(&mut self) -> Option<T> {
        match &mut self.helper {
            Some(helper) => helper.work_until(|| match self.sent.try_recv() {
                Ok(answer) => Some(Some(answer)),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => Some(None),
            }),
            None => self.sent.recv().ok(),
        }
    }
}

/// The receiving end of [`Foresight::ahead`].
pub struct Predictions<'a> {
    full: Answers<'a, Chunk>,
    empty: Sender<Chunk>,
    chunk: Chunk,
    used: usize,
    waited: Duration,
}

impl Predictions<'_> {
    /// For how long [`Predictions::next`] has waited.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// The next token's; `None` when there are none left.
    pub fn next(&mut self) -> Option<Prediction<'_>> {
        if self.used == self.chunk.len() {
            let next = timed(&mut self.waited, || self.full.next())?;
            // Fails if there are none left to compute.
            let _ = self.empty.send(std::mem::replace(&mut self.chunk, next));
            self.used = 0;
        }
        self.used += 1;
        Some(self.chunk.prediction(self.used - 1))
    }
}

/// What each of `rows` costs `engine` by itself in bits, when it has seen nothing before the first.
pub fn costs(engine: &Arc<Engine>, rows: &[u32]) -> Vec<f64> {
    let mut model = LanguageModel::new(Arc::clone(engine));
    let mut foresight = Foresight::new(engine, vec![&mut model], rows.iter().map(|&row| (0, row)));
    let mut chunk = Chunk::default();
    let mut outlook = Outlook::new(engine, false);
    let mut costs = Vec::with_capacity(rows.len());
    while foresight.next_chunk(&mut chunk) {
        for index in 0..chunk.len() {
            outlook.look(engine, 0, chunk.prediction(index));
            let cumulative = outlook.distribution();
            let row = rows[costs.len()] as usize;
            let weight = cumulative[row + 1] - cumulative[row];
            let total = cumulative.last().copied().unwrap_or(1);
            costs.push((total as f64 / weight as f64).log2());
        }
    }
    costs
}

fn start_row(engine: &Engine) -> u32 {
    engine.model().config().bos.unwrap_or(0)
}
