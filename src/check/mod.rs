//! How well the exact engine predicts a text, beside plain f32 arithmetic and
//! beside candle's own model: what `llmzip model check` reports.
//!
//! All three see the same tokens and start with the same beginning-of-sequence
//! token. The exact engine and [`FloatModel`] slide over the whole text with
//! the same window and sinks; candle's models have neither and give one row of
//! logits a call, so they take the first window, one token at a time. Nothing
//! here codes anything: ordinary floats and libm are fine.

#[cfg(feature = "reference")]
mod candle;
pub mod float;

use crate::arch::rope::{Rope, RopeScaling};
use crate::check::float::FloatModel;
use crate::engine::{Engine, EngineError, EngineOptions, Predictions, Runtime, Segment};
use crate::import::{Source, SourceError};
use crate::machine::MachineError;
use crate::machine::instructions::InstructionSet;
use crate::packed::quantize::tiled_offset;
use crate::packed::{PackInput, PackedError, PackedModel, TensorSource};
use crate::tokenizer::{Symbol, Tokenizer, TokenizerError};
use std::sync::Arc;

/// Tokens of one pass: the logits of a large vocabulary are large.
const PASS: usize = 128;

/// Why a check could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The source of the weights.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The packed model.
    #[error(transparent)]
    Packed(#[from] PackedError),
    /// The tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The exact engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The machine lacks memory or instructions.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// candle's model.
    #[error("candle: {0}")]
    Candle(String),
    /// A packed file does not say how its rotary frequencies were scaled.
    #[error(
        "the packed file does not tell the base of its rotary embedding; check the source instead of the name"
    )]
    Rope,
}

/// A model to be checked: packed, and the weights that the f32 passes use.
pub struct Subject {
    packed: Arc<PackedModel>,
    rope: Rope,
    tokens: Vec<Vec<u8>>,
    /// Source row of each input row.
    rows: Vec<u32>,
    tensors: Box<dyn TensorSource>,
}

/// A text as a model sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Output rows.
    pub tokens: Vec<u32>,
    /// Bytes that the vocabulary lacks; no model sees them.
    pub escapes: usize,
}

impl Subject {
    /// Packs a source in memory; the f32 passes use its own weights.
    ///
    /// # Errors
    /// When packing fails.
    pub fn from_source(mut source: Source) -> Result<Subject, CheckError> {
        let plan = source.vocabulary.plan()?;
        let packed = PackedModel::from_bytes(&source.pack()?)?;
        packed.verify()?;
        Ok(Subject {
            packed: Arc::new(packed),
            rope: source.architecture.rope,
            tokens: plan.tokens,
            rows: plan.rows,
            tensors: source.tensors,
        })
    }

    /// Takes a packed model; the f32 passes use its int8 weights, dequantised.
    ///
    /// # Errors
    /// [`CheckError::Rope`] if the rotary steps are no plain progression.
    pub fn from_packed(packed: Arc<PackedModel>) -> Result<Subject, CheckError> {
        let rope = rope_of(&packed.rope_steps()).ok_or(CheckError::Rope)?;
        let table = packed.tokens();
        let rows = 0..table.len() as u32;
        Ok(Subject {
            tokens: rows.map(|row| table.bytes(row).to_vec()).collect(),
            rows: (0..packed.config().inputs as u32).collect(),
            rope,
            tensors: Box::new(Dequantised(Arc::clone(&packed))),
            packed,
        })
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
        let tokens: Vec<u32> = pieces
            .iter()
            .filter_map(|piece| match piece {
                Symbol::Token(row) => Some(*row),
                Symbol::Byte(_) => None,
            })
            .collect();
        Ok(Text {
            escapes: pieces.len() - tokens.len(),
            tokens,
        })
    }

    /// What the model is fed, one step behind `tokens`; the first token of a
    /// model without a beginning-of-sequence token has no prediction and costs
    /// the logarithm of the vocabulary.
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

    /// Bits that each token costs in f32 with the same window and sinks.
    ///
    /// # Errors
    /// When a tensor cannot be read.
    pub fn float(&mut self, tokens: &[u32]) -> Result<Vec<f64>, CheckError> {
        let (inputs, mut bits) = self.inputs(tokens);
        let input = PackInput {
            config: self.packed.config(),
            rope: self.rope,
            tokens: &self.tokens,
            rows: &self.rows,
            merges: &[],
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
        let mut model = crate::check::candle::CandleModel::new(
            self.packed.config(),
            self.rope,
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

/// Bits of `token` under logits in bits.
fn cost(logits: impl Iterator<Item = f64> + Clone, token: u32) -> f64 {
    let best = logits.clone().fold(f64::MIN, f64::max);
    let total: f64 = logits.clone().map(|l| (l - best).exp2()).sum();
    let own = logits.clone().nth(token as usize).unwrap_or(f64::MIN);
    total.log2() + best - own
}

/// The base of a plain geometric progression of steps, `None` if they are none.
fn rope_of(steps: &[u64]) -> Option<Rope> {
    let last = steps.len().checked_sub(1)?;
    let ratio = *steps.first()? as f64 / *steps.last()? as f64;
    // theta^(2 last / (2 (last + 1))) = first / last step.
    let theta = match last {
        0 => 10_000.0,
        _ => ratio.powf((last + 1) as f64 / last as f64),
    };
    // The bases in use are whole numbers.
    let rope = Rope {
        theta: theta.round(),
        scaling: RopeScaling::None,
    };
    let again = rope.steps(2 * steps.len());
    let close = |(&a, &b): (&u64, &u64)| (a as f64 / b as f64 - 1.0).abs() < 1e-9;
    again.iter().zip(steps).all(close).then_some(rope)
}

/// The weights of a packed model under Hugging Face names; token ids are rows.
struct Dequantised(Arc<PackedModel>);

impl Dequantised {
    /// Matrix, first row and number of rows of a tensor, without its ending.
    fn place(&self, stem: &str) -> Option<(String, usize, usize)> {
        let c = self.0.config();
        let (q, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        match stem {
            "model.embed_tokens" => return Some(("embed".into(), 0, c.inputs)),
            "lm_head" if !c.tied => return Some(("head".into(), 0, c.vocab)),
            _ => {}
        }
        let (layer, part) = stem.strip_prefix("model.layers.")?.split_once('.')?;
        let (matrix, start, rows) = match part {
            "self_attn.q_proj" => ("qkv", 0, q),
            "self_attn.k_proj" => ("qkv", q, kv),
            "self_attn.v_proj" => ("qkv", q + kv, kv),
            "self_attn.o_proj" => ("out", 0, c.hidden),
            "mlp.gate_proj" => ("gate_up", 0, c.intermediate),
            "mlp.up_proj" => ("gate_up", c.intermediate, c.intermediate),
            "mlp.down_proj" => ("down", 0, c.hidden),
            _ => return None,
        };
        Some((format!("layer.{layer}.{matrix}"), start, rows))
    }

    fn vector(&self, stem: &str) -> Option<String> {
        if stem == "model.norm" {
            return Some("final_norm.weight".into());
        }
        let (layer, part) = stem.strip_prefix("model.layers.")?.split_once('.')?;
        let part = match part {
            "input_layernorm" => "attn_norm",
            "post_attention_layernorm" => "ffn_norm",
            "self_attn.q_norm" => "q_norm",
            "self_attn.k_norm" => "k_norm",
            _ => return None,
        };
        Some(format!("layer.{layer}.{part}.weight"))
    }
}

impl TensorSource for Dequantised {
    fn tensor(&mut self, name: &str) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        let missing = || PackedError::Source {
            name: name.to_owned(),
            reason: "missing".to_owned(),
        };
        let (stem, ending) = name.rsplit_once('.').ok_or_else(missing)?;
        if let Some(vector) = self.vector(stem) {
            let values = self.0.floats(&vector)?.to_vec();
            return Ok((vec![values.len()], values));
        }
        let (matrix, start, rows) = self.place(stem).ok_or_else(missing)?;
        let matrix = self.0.matrix(&matrix)?;
        if ending == "bias" {
            let bias = matrix.bias.ok_or_else(missing)?;
            return Ok((vec![rows], bias[start..start + rows].to_vec()));
        }
        let mut values = Vec::with_capacity(rows * matrix.columns);
        for row in start..start + rows {
            for column in 0..matrix.columns {
                let byte = matrix.tiles[tiled_offset(row, column, matrix.columns)];
                values.push((i32::from(byte) - 128) as f32 * matrix.scales[row]);
            }
        }
        Ok((vec![rows, matrix.columns], values))
    }

    fn has(&self, name: &str) -> bool {
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        self.vector(stem).is_some() || self.place(stem).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::FIXTURE;
    use std::path::Path;

    fn text() -> String {
        include_str!("../import/vocabulary.rs")
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

    /// The promise of quality, on the fixture: the exact engine costs within
    /// 1 % of f32 over the original weights, past the window.
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
        let mut packed = Subject::from_packed(packed).unwrap();
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

    #[test]
    fn the_base_of_rotary_steps_is_found_again() {
        for theta in [10_000.0, 100_000.0, 500_000.0, 1_000_000.0] {
            let rope = Rope {
                theta,
                scaling: RopeScaling::None,
            };
            assert_eq!(rope_of(&rope.steps(64)), Some(rope));
        }
        let scaled = Rope {
            theta: 500_000.0,
            scaling: RopeScaling::Llama3 {
                factor: 8.0,
                low: 1.0,
                high: 4.0,
                original_positions: 8192.0,
            },
        };
        assert_eq!(rope_of(&scaled.steps(64)), None);
    }
}
