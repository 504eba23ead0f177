//! The shape of a transformer: everything about a packed model that is not a weight.
//!
//! A [`Config`] is written into the packed file as one line of JSON with the fields in the order
//! below, so it is part of the model's identity. [`Config::validate`] bounds every field, so that
//! no product of sizes of a validated configuration overflows.

use serde::{Deserialize, Serialize};

use super::block::Block;
use super::error::{ConfigError, expect};
use super::segmentation::Segmentation;

/// Activations and stored weights are cut into groups of this many values along the inner
/// dimension.
pub const GROUP: usize = 64;
/// Output rows of a weight matrix that lie together in one tile.
pub const TILE: usize = 16;

/// Architecture, sizes and options of a packed model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the family, one of [`families`](super::families).
    pub arch: String,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Number of layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of one head; even.
    pub head_dim: usize,
    /// Width of the feed-forward block, or of each expert.
    pub intermediate: usize,
    /// Output rows: tokens that can be predicted, sorted by their bytes.
    pub vocab: usize,
    /// Input rows: tokens that can be fed. The first `vocab` are the output rows; the others are
    /// fed only, such as a beginning-of-sequence token.
    pub inputs: usize,
    /// Input row fed before the first token of a stream, if the model was trained with one.
    pub bos: Option<u32>,
    /// Added to the mean square inside every root-mean-square norm.
    pub norm_eps: f32,
    /// Quantisation group along the inner dimension; always [`GROUP`].
    pub group: usize,
    /// Queries and keys are normalised per head before rotation (Qwen3).
    pub qk_norm: bool,
    /// The query, key and value projections have biases (Qwen2).
    pub attention_bias: bool,
    /// The output head is the first `vocab` rows of the embedding.
    pub tied: bool,
    /// Positions that a query sees: its own and the `window - 1` before it, and the sinks.
    pub window: usize,
    /// First positions of a stream; they stay visible after they have left the window.
    pub sinks: usize,
    /// Parameters of the source model, for reports.
    pub parameters: u64,
    /// The `pre_tokenizer` fragment of `tokenizer.json`, or null.
    pub pre_tokenizer: serde_json::Value,
    /// How an encoder cuts text into tokens.
    #[serde(default, skip_serializing_if = "Segmentation::is_default")]
    pub segmentation: Segmentation,
    /// What the layers compute.
    #[serde(default, skip_serializing_if = "Block::is_plain")]
    pub block: Block,
}

impl Config {
    /// Checks every field but `arch` against the bounds that the engine relies on.
    pub(super) fn validate_numbers(&self) -> Result<(), ConfigError> {
        let within = |field, value: usize, low: usize, high: usize| {
            expect(
                (low..=high).contains(&value),
                field,
                value,
                format!("{low} to {high}"),
            )
        };
        within("hidden", self.hidden, 1, 1 << 16)?;
        within("layers", self.layers, 1, 1 << 10)?;
        within("heads", self.heads, 1, 1 << 10)?;
        within("kv_heads", self.kv_heads, 1, self.heads)?;
        expect(
            self.heads.is_multiple_of(self.kv_heads),
            "kv_heads",
            self.kv_heads,
            format!("a divisor of {}", self.heads),
        )?;
        within("head_dim", self.head_dim, 2, 256)?;
        expect(
            self.head_dim.is_multiple_of(2),
            "head_dim",
            self.head_dim,
            "an even number",
        )?;
        within("intermediate", self.intermediate, 1, 1 << 18)?;
        if self.block.mixture.is_some() {
            // The rows of each expert are whole tiles.
            for (field, size) in [("hidden", self.hidden), ("intermediate", self.intermediate)] {
                let want = format!("a multiple of {TILE} with experts");
                expect(size.is_multiple_of(TILE), field, size, want)?;
            }
        }
        within("vocab", self.vocab, 1, 1 << 20)?;
        within("inputs", self.inputs, self.vocab, self.vocab + 1024)?;
        if let Some(bos) = self.bos {
            expect(
                (bos as usize) < self.inputs,
                "bos",
                bos,
                format!("below {}", self.inputs),
            )?;
        }
        // With 0, the norm of a row of zeros would be no number.
        expect(
            (1e-20..=1.0).contains(&self.norm_eps),
            "norm_eps",
            self.norm_eps,
            "1e-20 to 1",
        )?;
        expect(self.group == GROUP, "group", self.group, GROUP)?;
        let absent = |row: &&u32| **row as usize >= self.vocab;
        if let Some(row) = self.segmentation.added.iter().find(absent) {
            return expect(false, "added", row, format!("below {}", self.vocab));
        }
        within("window", self.window, 16, 1 << 14)?;
        within("sinks", self.sinks, 0, TILE.min(self.window))?;
        self.block.validate(self.layers, self.window)
    }

    /// Query heads that share one key/value head, in a validated configuration.
    pub fn heads_per_kv(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Rows of the fused projection to queries, keys and values, and to the gates of what attention
    /// gives, if there are any.
    pub fn qkv_rows(&self) -> usize {
        self.first_gate() + usize::from(self.block.attention_gate) * self.heads * self.head_dim
    }

    /// Its first row that makes a gate.
    pub fn first_gate(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Rows of the fused gate and up projection, or of the up projection alone; with experts, those
    /// of one expert.
    pub fn gate_up_rows(&self) -> usize {
        match self.block.ungated {
            true => self.intermediate,
            false => 2 * self.intermediate,
        }
    }

    /// Largest integer softmax weight: `2^b - 1` with b at most 14, such that no sum of weighted
    /// values overflows.
    pub fn largest_weight(&self) -> f32 {
        let keys = (self.window + self.sinks) as i64;
        let fits = |bits: &i32| keys * 127 * ((1 << bits) - 1) < 1 << 31;
        let bits = (1..=14).rev().find(fits).unwrap_or(1);
        ((1 << bits) - 1) as f32
    }

    /// Positions that a query of this layer sees: its own and those before it.
    pub fn window_of(&self, layer: usize) -> usize {
        match &self.block.local {
            Some(local) if self.block.is_local(layer) => local.window,
            _ => self.window,
        }
    }

    /// First positions that stay visible in this layer after they have left the window.
    pub fn sinks_of(&self, layer: usize) -> usize {
        match self.block.is_local(layer) {
            true => 0,
            false => self.sinks,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::arch::block::Mixture;

    pub(crate) fn tiny() -> Config {
        Config {
            arch: "llama".into(),
            hidden: 72,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            head_dim: 20,
            intermediate: 100,
            vocab: 37,
            inputs: 38,
            bos: Some(37),
            norm_eps: 1e-5,
            group: GROUP,
            qk_norm: false,
            attention_bias: false,
            tied: true,
            window: 32,
            sinks: 4,
            parameters: 0,
            pre_tokenizer: serde_json::Value::Null,
            block: Block::default(),
            segmentation: Segmentation::default(),
        }
    }

    #[test]
    fn a_sound_configuration_passes_and_each_bad_field_is_named() {
        tiny().validate().unwrap();
        type Change = fn(&mut Config);
        let cases: [(&str, Change); 12] = [
            ("arch", |c| c.arch = "martian".into()),
            ("hidden", |c| c.hidden = 0),
            ("layers", |c| c.layers = 5000),
            ("kv_heads", |c| c.kv_heads = 3),
            ("head_dim", |c| c.head_dim = 21),
            ("inputs", |c| c.inputs = 36),
            ("bos", |c| c.bos = Some(38)),
            ("norm_eps", |c| c.norm_eps = f32::NAN),
            ("norm_eps", |c| c.norm_eps = 0.0),
            ("window", |c| c.window = 1 << 20),
            ("hidden", |c| {
                c.block.mixture = Some(Mixture {
                    count: 2,
                    used: 1,
                    normalised: false,
                    shared: 0,
                });
            }),
            ("added", |c| c.segmentation.added = vec![36, 37]),
        ];
        for (want, change) in cases {
            let mut config = tiny();
            change(&mut config);
            let ConfigError::Field { field, .. } = config.validate().unwrap_err();
            assert_eq!(field, want);
        }
    }

    #[test]
    fn json_keeps_the_field_order() {
        let json = serde_json::to_string(&tiny()).unwrap();
        assert!(json.starts_with(
            r#"{"arch":"llama","hidden":72,"layers":2,"heads":4,"kv_heads":2,"head_dim":20,"#
        ));
        assert!(json.ends_with(r#""window":32,"sinks":4,"parameters":0,"pre_tokenizer":null}"#));
        assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), tiny());
    }
}
