//! A model to be checked, and the code length of a text under each implementation of the model.

#[cfg(feature = "reference")]
use super::candle::CandleModel;
use super::dequantised::Dequantised;
use super::{CheckError, FloatModel};
use crate::arch::rope::RotarySteps;
use crate::engine::{Engine, EngineOptions, Predictions, Runtime, Segment};
use crate::import::Source;
use crate::machine::MachineError;
use crate::machine::instructions::InstructionSet;
use crate::packed::{PackInput, PackedModel, TensorSource};
use crate::tokenizer::{Symbol, Tokenizer};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tokens of one pass: the logits of a large vocabulary are large.
const PASS: usize = 128;

/// A model to be checked: packed, and the weights that the f32 passes use.
pub struct Subject {
    packed: Arc<PackedModel>,
    steps: RotarySteps,
    tokens: Vec<Vec<u8>>,
    /// The source's token id of each input row.
    rows: Vec<u32>,
    tensors: Box<dyn TensorSource>,
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject")
            .field("config", self.packed.config())
            .finish_non_exhaustive()
    }
}

/// A text as a model sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Output rows.
    pub tokens: Vec<u32>,
    /// Bytes that the vocabulary lacks; no model sees them.
    pub escapes: usize,
}

/// How a runtime compares with the CPU engine.
#[derive(Debug, Clone, Copy)]
pub struct Agreement {
    /// With many tokens at a time.
    pub many: Comparison,
    /// With one token at a time.
    pub single: Comparison,
}

/// What two runtimes did with the same tokens.
#[derive(Debug, Clone, Copy)]
pub struct Comparison {
    /// Tokens that were fed.
    pub tokens: usize,
    /// The first of them after which the predictions differ in a bit.
    pub first_difference: Option<usize>,
    /// Time that the CPU engine took.
    pub cpu: Duration,
    /// Time that the other took.
    pub other: Duration,
}

impl Subject {
    /// Packs a source in memory; the f32 passes use its own weights.
    ///
    /// # Errors
    /// When packing fails.
    pub fn from_source(mut source: Source) -> Result<Subject, CheckError> {
        let packed = PackedModel::from_bytes(&source.pack()?)?;
        packed.verify()?;
        Ok(Subject {
            packed: Arc::new(packed),
            steps: source.steps,
            tokens: source.vocabulary.tokens,
            rows: source.vocabulary.rows,
            tensors: source.tensors,
        })
    }

    /// Takes a packed model; the f32 passes use its int8 weights, dequantised.
    pub fn from_packed(packed: Arc<PackedModel>) -> Subject {
        let table = packed.tokens();
        let rows = 0..table.len() as u32;
        Subject {
            tokens: rows.map(|row| table.bytes(row).to_vec()).collect(),
            rows: (0..packed.config().inputs as u32).collect(),
            steps: packed.steps().clone(),
            tensors: Box::new(Dequantised(Arc::clone(&packed))),
            packed,
        }
    }

    /// The packed model.
    pub fn packed(&self) -> &Arc<PackedModel> {
        &self.packed
    }

    /// Cuts a text into tokens.
    ///
    /// # Errors
    /// When the model's pre-tokenizer is unknown.
    pub fn cut(&self, text: &[u8]) -> Result<Text, CheckError> {
        let pieces = Tokenizer::new(&self.packed)?.encode(text);
        let tokens: Vec<u32> = pieces.iter().filter_map(Symbol::token).collect();
        Ok(Text {
            escapes: pieces.len() - tokens.len(),
            tokens,
        })
    }

    /// The inputs after which each of `tokens` is predicted, and the bits of those that nothing
    /// predicts: without a beginning-of-sequence token the first costs the logarithm of the
    /// vocabulary.
    fn inputs(&self, tokens: &[u32]) -> (Vec<u32>, Vec<f64>) {
        let bos = self.packed.config().bos;
        let inputs = bos.into_iter().chain(tokens.iter().copied());
        let count = tokens.len() + usize::from(bos.is_some());
        let first = match (bos, tokens) {
            (None, [_, ..]) => vec![(self.tokens.len() as f64).log2()],
            _ => Vec::new(),
        };
        (inputs.take(count.saturating_sub(1)).collect(), first)
    }

    /// Bits that each token costs under the exact engine.
    ///
    /// # Errors
    /// When the engine cannot run the model.
    pub fn exact(&self, tokens: &[u32]) -> Result<Vec<f64>, CheckError> {
        let engine = Engine::new(Arc::clone(&self.packed), EngineOptions::default())?;
        let (mut state, mut predictions) = (engine.new_state()?, Predictions::new());
        let (inputs, mut bits) = self.inputs(tokens);
        for pass in inputs.chunks(PASS) {
            let segment = Segment {
                state: &mut *state,
                tokens: pass,
            };
            engine.forward(&mut [segment], &mut predictions)?;
            for row in 0..pass.len() {
                let row = predictions
                    .row(row)
                    .logits
                    .iter()
                    .map(|&l| f64::from(l) / 65536.0);
                bits.push(cost(row, tokens[bits.len()]));
            }
        }
        Ok(bits)
    }

    /// Compares the predictions of a runtime of this model with those of the CPU engine: after as
    /// many tokens at a time as compression feeds, and after one, as in decompression.
    ///
    /// # Errors
    /// When either of them fails.
    pub fn compare(&self, other: &dyn Runtime, tokens: &[u32]) -> Result<Agreement, CheckError> {
        let engine = Engine::new(Arc::clone(&self.packed), EngineOptions::default())?;
        let (inputs, _) = self.inputs(tokens);
        let few = &inputs[..inputs.len().min(PASS)];
        Ok(Agreement {
            many: compare(&engine, other, &inputs, PASS)?,
            single: compare(&engine, other, few, 1)?,
        })
    }

    /// Bits that each token costs in f32 with the same window and sinks.
    ///
    /// # Errors
    /// When a tensor cannot be read.
    pub fn float(&mut self, tokens: &[u32]) -> Result<Vec<f64>, CheckError> {
        let (inputs, mut bits) = self.inputs(tokens);
        let input = PackInput {
            config: self.packed.config(),
            steps: &self.steps,
            tokens: &self.tokens,
            rows: &self.rows,
            merges: &[],
            scores: &[],
        };
        let instructions = InstructionSet::choose().map_err(MachineError::from)?;
        let model = FloatModel::new(&input, &mut *self.tensors, instructions, 0)?;
        let mut stream = model.stream();
        for pass in inputs.chunks(PASS) {
            let logits = model.forward(&mut stream, pass);
            for row in logits.chunks_exact(self.tokens.len()) {
                let row = row.iter().map(|&l| f64::from(l) * std::f64::consts::LOG2_E);
                bits.push(cost(row, tokens[bits.len()]));
            }
        }
        Ok(bits)
    }

    /// Bits that each of the first tokens, up to the window, costs under candle's model in f32.
    ///
    /// # Errors
    /// When candle has no such model, or fails.
    #[cfg(feature = "reference")]
    pub fn candle(&mut self, tokens: &[u32]) -> Result<Vec<f64>, CheckError> {
        let tokens = &tokens[..tokens.len().min(self.packed.config().window)];
        let (inputs, mut bits) = self.inputs(tokens);
        let candle = |error: candle_core::Error| CheckError::Candle(error.to_string());
        let mut model = CandleModel::new(
            self.packed.config(),
            &self.steps.all,
            &self.rows,
            &mut *self.tensors,
        )?;
        for (position, &input) in inputs.iter().enumerate() {
            let logits = model.step(input, position).map_err(candle)?;
            let row = logits[..self.tokens.len()].iter();
            let row = row.map(|&l| f64::from(l) * std::f64::consts::LOG2_E);
            bits.push(cost(row, tokens[bits.len()]));
        }
        Ok(bits)
    }
}

/// Feeds `tokens` to two runtimes, `most` at a time.
fn compare(
    cpu: &dyn Runtime,
    other: &dyn Runtime,
    tokens: &[u32],
    most: usize,
) -> Result<Comparison, CheckError> {
    let mut states = [cpu.new_state()?, other.new_state()?];
    let mut predictions = [Predictions::new(), Predictions::new()];
    let mut comparison = Comparison {
        tokens: tokens.len(),
        first_difference: None,
        cpu: Duration::ZERO,
        other: Duration::ZERO,
    };
    for (pass, tokens) in tokens.chunks(most).enumerate() {
        for (index, runtime) in [cpu, other].into_iter().enumerate() {
            let state = &mut *states[index];
            let start = Instant::now();
            runtime.forward(&mut [Segment { state, tokens }], &mut predictions[index])?;
            let time = match index {
                0 => &mut comparison.cpu,
                _ => &mut comparison.other,
            };
            *time += start.elapsed();
        }
        let [left, right] = &predictions;
        let differs = |row: &usize| {
            let (left, right) = (left.row(*row), right.row(*row));
            (left.logits, left.state) != (right.logits, right.state)
        };
        let first = || (0..tokens.len()).find(differs);
        let place = |row| pass * most + row;
        comparison.first_difference = (comparison.first_difference).or_else(|| first().map(place));
    }
    Ok(comparison)
}

/// Bits of `token` under logits in bits.
fn cost(logits: impl Iterator<Item = f64> + Clone, token: u32) -> f64 {
    let own = logits.clone().nth(token as usize).unwrap_or(f64::MIN);
    log_of_sum(logits) - own
}

/// The base-2 logarithm of the sum of what these are the logarithms of.
pub(super) fn log_of_sum(logits: impl Iterator<Item = f64> + Clone) -> f64 {
    let best = logits.clone().fold(f64::MIN, f64::max);
    let total: f64 = logits.map(|l| (l - best).exp2()).sum();
    total.log2() + best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::FIXTURE;
    use std::path::Path;

    fn text() -> String {
        include_str!("../import/vocabulary/mod.rs")
            .chars()
            .take(4000)
            .collect()
    }

    fn fixture() -> Source {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fixture-hf");
        crate::import::open(&folder).unwrap()
    }

    fn sum(bits: &[f64]) -> f64 {
        bits.iter().sum()
    }

    /// The promise of quality, on the fixture: past the window, the exact engine costs within
    /// 1 % of f32 over the original weights.
    #[test]
    fn the_exact_engine_is_close_to_float() {
        let mut subject = Subject::from_source(fixture()).unwrap();
        let text = subject.cut(text().as_bytes()).unwrap();
        assert!(text.tokens.len() > 1200, "{}", text.tokens.len());
        let exact = subject.exact(&text.tokens).unwrap();
        let float = subject.float(&text.tokens).unwrap();
        assert_eq!(
            (exact.len(), float.len()),
            (text.tokens.len(), text.tokens.len())
        );
        let ratio = sum(&exact) / sum(&float);
        assert!((0.99..1.01).contains(&ratio), "{ratio}");
    }

    #[test]
    fn dequantised_weights_give_nearly_the_same_cost() {
        let packed = Arc::new(PackedModel::from_bytes(FIXTURE).unwrap());
        let mut packed = Subject::from_packed(packed);
        let mut source = Subject::from_source(fixture()).unwrap();
        let text = packed.cut(&text().as_bytes()[..1000]).unwrap();
        let of_packed = sum(&packed.float(&text.tokens).unwrap());
        let of_source = sum(&source.float(&text.tokens).unwrap());
        assert!((of_packed / of_source - 1.0).abs() < 5e-3);
        assert_ne!(of_packed, of_source);
    }

    /// Two independent implementations in f32: only rounding may differ.
    #[cfg(feature = "reference")]
    #[test]
    fn the_float_model_agrees_with_candle() {
        let mut subject = Subject::from_source(fixture()).unwrap();
        let text = subject.cut(&text().as_bytes()[..600]).unwrap();
        let candle = subject.candle(&text.tokens).unwrap();
        let float = subject.float(&text.tokens).unwrap();
        assert_eq!(candle.len(), text.tokens.len());
        for (token, (candle, float)) in candle.iter().zip(&float).enumerate() {
            assert!((candle - float).abs() < 2e-3, "{token}: {candle} {float}");
        }
    }
}
