//! The language model as the codec sees it: tokens in, the next token's distribution out.
//!
//! What the model has seen, defined once for both directions: at the start of a stream the
//! beginning-of-text row (row 0 where a model has none), then every token coded, never an escaped
//! byte. The last token stays pending until a prediction that needs it, so that a block's last token
//! costs no forward pass. Any other block in between resets it.

use std::sync::Arc;

use crate::engine::{Cache, Engine, Logits, Segment};
use crate::kernels;
use crate::kernels::float_environment::FloatEnvironment;
use crate::predict::OutputBias;

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

    /// Forgets the last `rows` rows that were run.
    pub fn take_back(&mut self, rows: usize) {
        self.cache.truncate(self.cache.position() - rows as u64);
    }

    /// Turns one row of logits into the prefix sums of the next token's distribution (V + 1 entries).
    pub fn distribution(
        engine: &Engine,
        logits: &[i32],
        bias: Option<&OutputBias>,
        cumulative: &mut [u64],
    ) {
        let _environment = FloatEnvironment::enter();
        let bias = bias.map(OutputBias::values);
        kernels::distribution(engine.kernels(), logits, bias, cumulative);
    }

    /// Settles that `row` is the token predicted last.
    pub fn accept(&mut self, row: u32) {
        self.pending = row;
    }

    /// For an encoder that knows the tokens to come: computes the predictions of all of `rows`, in
    /// order, some at a time. Afterwards the last of them is pending.
    pub fn foresee<'a>(&'a mut self, rows: &[u32]) -> Foresight<'a> {
        let mut inputs = Vec::with_capacity(rows.len() + 1);
        inputs.push(self.pending);
        inputs.extend_from_slice(rows);
        if let Some(last) = inputs.pop() {
            self.pending = last;
        }
        Foresight {
            chunk: self.chunk_rows(),
            model: self,
            inputs,
            done: 0,
        }
    }

    /// Predictions computed at once when encoding.
    fn chunk_rows(&self) -> usize {
        let vocabulary = self.engine.model().config().vocab;
        (LOGITS_AT_ONCE / vocabulary.max(1)).clamp(32, 256)
    }
}

/// The predictions of tokens that are known already, a chunk at a time.
pub struct Foresight<'a> {
    model: &'a mut LanguageModel,
    inputs: Vec<u32>,
    done: usize,
    chunk: usize,
}

impl Foresight<'_> {
    /// Computes the next chunk's predictions into `logits`; false when there are none left.
    pub fn next_chunk(&mut self, logits: &mut Logits) -> bool {
        let end = (self.done + self.chunk).min(self.inputs.len());
        let tokens = &self.inputs[self.done..end];
        if tokens.is_empty() {
            return false;
        }
        self.model.run(tokens, logits);
        self.done = end;
        true
    }
}

/// What each of `rows` costs `engine` by itself in bits, when it has seen nothing before the first.
pub fn costs(engine: &Arc<Engine>, rows: &[u32]) -> Vec<f64> {
    let mut model = LanguageModel::new(Arc::clone(engine));
    let mut foresight = model.foresee(rows);
    let mut logits = Logits::default();
    let mut cumulative = vec![0; engine.model().tokens().len() + 1];
    let mut costs = Vec::with_capacity(rows.len());
    while foresight.next_chunk(&mut logits) {
        for row_logits in 0..logits.rows() {
            LanguageModel::distribution(engine, logits.row(row_logits), None, &mut cumulative);
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
