//! The options of a model's blocks: everything in which an architecture may differ from the plain
//! one, which is Llama's.

use serde::{Deserialize, Serialize};

use super::error::{ConfigError, expect};

/// What the layers compute. The default is the block of Llama: root-mean-square norms before the
/// blocks, one block after the other, rotary positions, and a gated feed-forward block with `silu`.
///
/// A packed file holds only the fields that differ from the default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Block {
    /// The kind of all norms of the residual stream.
    #[serde(skip_serializing_if = "is_default")]
    pub norm: Norm,
    /// Where the norms of the residual stream are.
    #[serde(skip_serializing_if = "is_default")]
    pub norms: Norms,
    /// Both blocks of a layer take the residual stream as it was before the layer.
    #[serde(skip_serializing_if = "is_default")]
    pub parallel: bool,
    /// The norms of queries and keys go over all heads together, not over each head.
    #[serde(skip_serializing_if = "is_default")]
    pub joint_qk_norm: bool,
    /// The projection of the attention's output has a bias.
    #[serde(skip_serializing_if = "is_default")]
    pub out_bias: bool,
    /// The projections of the feed-forward block have biases.
    #[serde(skip_serializing_if = "is_default")]
    pub feed_forward_bias: bool,
    /// The output head has a bias.
    #[serde(skip_serializing_if = "is_default")]
    pub head_bias: bool,
    /// The function in the feed-forward block.
    #[serde(skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// The feed-forward block has no gate: the function is applied to the only projection.
    #[serde(skip_serializing_if = "is_default")]
    pub ungated: bool,
    /// Scores s of attention become `cap * tanh(s / cap)`; 0 leaves them as they are.
    #[serde(skip_serializing_if = "is_default")]
    pub score_cap: f32,
    /// The same for logits.
    #[serde(skip_serializing_if = "is_default")]
    pub logit_cap: f32,
    /// Positions that the model has learned, each with a vector that is added to the embedding. A
    /// stream is cut into contexts of at most so many tokens. 0 if positions are rotary.
    #[serde(skip_serializing_if = "is_default")]
    pub positions: usize,
    /// Layers whose attention sees fewer positions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<Local>,
    /// The feed-forward block is a mixture of experts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixture: Option<Mixture>,
    /// Each value that attention gives is multiplied by the sigmoid of a value that the projection
    /// to queries, keys and values gives beside them.
    #[serde(skip_serializing_if = "is_default")]
    pub attention_gate: bool,
    /// Layers that have a recurrence in place of attention.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recurrent: Option<Recurrent>,
    /// Numbers of the layers whose queries and keys are not rotated, ascending.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unrotated: Vec<usize>,
    /// Which activations are quantised to two levels.
    #[serde(skip_serializing_if = "is_default")]
    pub wide: Wide,
}

/// Which activations are quantised to two levels of 8 bits, the second one of what the first has
/// left over. Products with them take up to twice as long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wide {
    /// Those that the projection to queries, keys and values takes.
    #[serde(skip_serializing_if = "is_default")]
    pub qkv: bool,
    /// Queries.
    #[serde(skip_serializing_if = "is_default")]
    pub queries: bool,
    /// The output of attention.
    #[serde(skip_serializing_if = "is_default")]
    pub out: bool,
    /// Those that the gate and up projections take.
    #[serde(skip_serializing_if = "is_default")]
    pub gate_up: bool,
    /// Those that the down projection takes.
    #[serde(skip_serializing_if = "is_default")]
    pub down: bool,
    /// Those that the head takes.
    #[serde(skip_serializing_if = "is_default")]
    pub head: bool,
}

/// A kind of norm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Divides by the root of the mean square.
    #[default]
    RootMeanSquare,
    /// Subtracts the mean first, and adds a bias in the end.
    Layer,
}

/// Where the norms of the residual stream are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norms {
    /// Each block takes a norm of the stream.
    #[default]
    Before,
    /// A norm of each block's result is added to the stream.
    After,
    /// Both.
    Around,
}

/// The function in a feed-forward block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x * sigmoid(x)`
    #[default]
    Silu,
    /// `x * Phi(x)`, with the distribution function Phi of the normal distribution.
    Gelu,
    /// The approximation of `gelu` with tanh.
    GeluTanh,
    /// `max(x, 0)`
    Relu,
    /// `max(x, 0)^2`
    ReluSquared,
}

/// Layers whose attention sees a window of its own, and no sinks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// Positions that a query sees there: its own and those before it.
    pub window: usize,
    /// Numbers of these layers, ascending.
    pub layers: Vec<usize>,
    /// They turn queries and keys by steps of their own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub own_steps: bool,
}

/// A mixture of experts: feed-forward blocks of which each row of activations takes a few. A router
/// gives each expert a score, and the results of those with the largest scores are added up, each
/// times its share of a softmax.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mixture {
    /// Mixture in each layer.
    pub count: usize,
    /// Mixture that a row takes.
    pub used: usize,
    /// The softmax goes over the experts that the row takes, so that their shares add up to 1, and
    /// not over all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub normalised: bool,
    /// Experts beyond `count` that every row takes. All of them have one share, the sigmoid of a
    /// score of their own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shared: usize,
}

impl Mixture {
    /// All experts, those that are shared included.
    pub fn experts(&self) -> usize {
        self.count + self.shared
    }

    /// Rows of the router: one for each expert that is chosen, and one for those that are shared.
    pub fn scores(&self) -> usize {
        self.count + usize::from(self.shared > 0)
    }
}

/// Layers that have a recurrence in place of attention: the gated delta rule (Yang, Kautz and
/// Hatamizadeh, 2024, <https://arxiv.org/abs/2412.06464>) behind a short convolution over the last
/// positions. Each value head has a matrix as its state, `[key_dim, value_dim]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recurrent {
    /// Numbers of these layers, ascending.
    pub layers: Vec<usize>,
    /// Heads of queries and keys; divides `value_heads`.
    pub key_heads: usize,
    /// Heads of values.
    pub value_heads: usize,
    /// Width of a query or key.
    pub key_dim: usize,
    /// Width of a value.
    pub value_dim: usize,
    /// Positions that the convolution sees: its own and those before it.
    pub taps: usize,
}

/// Most positions that a convolution sees.
pub const MOST_TAPS: usize = 8;

impl Recurrent {
    /// Queries, keys and values, which pass through the convolution.
    pub fn channels(&self) -> usize {
        2 * self.key_heads * self.key_dim + self.values()
    }

    /// The values of all heads.
    pub fn values(&self) -> usize {
        self.value_heads * self.value_dim
    }

    /// What a later position needs of the projection's rows: the channels, and two numbers for each
    /// value head.
    pub fn kept_rows(&self) -> usize {
        self.channels() + 2 * self.value_heads
    }

    /// Rows of the projection: those kept, and the gates of all values.
    pub fn rows(&self) -> usize {
        self.kept_rows() + self.values()
    }

    fn validate(&self, layers: usize) -> Result<(), ConfigError> {
        expect_layers("recurrent.layers", &self.layers, layers)?;
        for (field, got, most) in [
            ("recurrent.key_heads", self.key_heads, 1 << 10),
            ("recurrent.value_heads", self.value_heads, 1 << 10),
            ("recurrent.key_dim", self.key_dim, 256),
            ("recurrent.value_dim", self.value_dim, 256),
            ("recurrent.taps", self.taps, MOST_TAPS),
        ] {
            expect(
                (1..=most).contains(&got),
                field,
                got,
                format!("1 to {most}"),
            )?;
        }
        let (got, heads) = (self.value_heads, self.key_heads);
        expect(
            got.is_multiple_of(heads),
            "recurrent.value_heads",
            got,
            format!("a multiple of {heads}"),
        )
    }
}

impl Wide {
    /// All of them.
    pub const ALL: Wide = Wide {
        qkv: true,
        queries: true,
        out: true,
        gate_up: true,
        down: true,
        head: true,
    };
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Norms {
    /// Whether each block takes a norm of the stream.
    pub fn before(self) -> bool {
        self != Norms::After
    }

    /// Whether each block's result is normed.
    pub fn after(self) -> bool {
        self != Norms::Before
    }
}

impl Block {
    /// Whether this is the block of Llama.
    pub fn is_plain(&self) -> bool {
        *self == Block::default()
    }

    /// Whether attention in this layer has the window of [`Local`].
    pub fn is_local(&self, layer: usize) -> bool {
        (self.local.as_ref()).is_some_and(|local| local.layers.binary_search(&layer).is_ok())
    }

    /// Whether queries and keys of this layer are rotated.
    pub fn is_rotated(&self, layer: usize) -> bool {
        self.unrotated.binary_search(&layer).is_err()
    }

    /// The recurrence of this layer, if it has one in place of attention.
    pub fn recurrence(&self, layer: usize) -> Option<&Recurrent> {
        let recurrent = self.recurrent.as_ref();
        recurrent.filter(|it| it.layers.binary_search(&layer).is_ok())
    }

    /// Feed-forward blocks in a layer: the experts, or the only one.
    pub fn feed_forward_blocks(&self) -> usize {
        self.mixture.as_ref().map_or(1, Mixture::experts)
    }

    /// Whether local layers have rotary steps of their own.
    pub fn has_own_steps(&self) -> bool {
        self.local.as_ref().is_some_and(|local| local.own_steps)
    }

    /// Checks every field for a model of `layers` layers, whose queries see `window` positions.
    pub(super) fn validate(&self, layers: usize, window: usize) -> Result<(), ConfigError> {
        for (field, cap) in [("score_cap", self.score_cap), ("logit_cap", self.logit_cap)] {
            expect(
                cap == 0.0 || (1.0..=1e6).contains(&cap),
                field,
                cap,
                "0, or 1 to 1000000",
            )?;
        }
        let positions = self.positions;
        let usable =
            positions == 0 || (32..=1 << 16).contains(&positions) && positions.is_multiple_of(2);
        let want = "0, or an even number from 32 to 65536";
        expect(usable, "positions", positions, want)?;
        expect_layers("unrotated", &self.unrotated, layers)?;
        self.validate_mixture()?;
        if let Some(recurrent) = &self.recurrent {
            recurrent.validate(layers)?;
            // A recurrence cannot begin anew where a context does without computing it again.
            expect(
                positions == 0,
                "positions",
                positions,
                "0 with recurrent layers",
            )?;
            let (field, got) = ("norms", format!("{:?}", self.norms));
            expect(self.norms.before(), field, got, "norms before a recurrence")?;
        }
        let Some(local) = &self.local else {
            return Ok(());
        };
        let (got, field) = (local.window, "local.window");
        expect(
            (1..=window).contains(&got),
            field,
            got,
            format!("1 to {window}"),
        )?;
        expect_layers("local.layers", &local.layers, layers)
    }
}

impl Block {
    /// Checks the mixture of experts, if there is one.
    fn validate_mixture(&self) -> Result<(), ConfigError> {
        let Some(Mixture {
            count,
            used,
            shared,
            ..
        }) = self.mixture
        else {
            return Ok(());
        };
        expect(
            (1..=1024).contains(&count),
            "mixture.count",
            count,
            "1 to 1024",
        )?;
        let most = format!("1 to {count}");
        expect((1..=count).contains(&used), "mixture.used", used, most)?;
        let most = 1024 - count;
        let want = format!("0 to {most}");
        expect(shared <= most, "mixture.shared", shared, want)?;
        // Scores are finite because the router takes a norm.
        let (field, got) = ("norms", format!("{:?}", self.norms));
        expect(self.norms.before(), field, got, "norms before the experts")?;
        let (field, got) = ("feed_forward_bias", self.feed_forward_bias);
        expect(!got, field, got, "false with experts")
    }
}

fn expect_layers(field: &'static str, numbers: &[usize], layers: usize) -> Result<(), ConfigError> {
    let ascending = numbers.windows(2).all(|pair| pair[0] < pair[1]);
    let below = numbers.last().is_none_or(|last| *last < layers);
    let want = || format!("ascending numbers below {layers}");
    expect(ascending && below, field, Numbers(numbers), want())
}

struct Numbers<'a>(&'a [usize]);

impl std::fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(usize::to_string).collect();
        f.write_str(&numbers.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_holds_only_what_differs() {
        let plain = serde_json::to_string(&Block::default()).unwrap();
        assert_eq!(plain, "{}");
        let block = Block {
            norm: Norm::Layer,
            activation: Activation::GeluTanh,
            local: Some(Local {
                window: 64,
                layers: vec![0, 2],
                own_steps: false,
            }),
            ..Block::default()
        };
        let json = serde_json::to_string(&block).unwrap();
        assert_eq!(
            json,
            r#"{"norm":"layer","activation":"gelu_tanh","local":{"window":64,"layers":[0,2]}}"#
        );
        assert_eq!(serde_json::from_str::<Block>(&json).unwrap(), block);
    }

    #[test]
    fn each_bad_field_is_named() {
        Block::default().validate(4, 64).unwrap();
        let local = |window, layers: &[usize]| Block {
            local: Some(Local {
                window,
                layers: layers.to_vec(),
                own_steps: false,
            }),
            ..Block::default()
        };
        let block = |score_cap, logit_cap, unrotated: &[usize]| Block {
            score_cap,
            logit_cap,
            unrotated: unrotated.to_vec(),
            ..Block::default()
        };
        let mixture = |count, used| Block {
            mixture: Some(Mixture {
                count,
                used,
                normalised: false,
                shared: 0,
            }),
            ..Block::default()
        };
        mixture(4, 4).validate(4, 64).unwrap();
        let shared = |shared| {
            let mut block = mixture(1000, 4);
            block.mixture.as_mut().unwrap().shared = shared;
            block
        };
        shared(24).validate(4, 64).unwrap();
        let recurrent = |layers: &[usize], key_heads, key_dim, taps| Block {
            recurrent: Some(Recurrent {
                layers: layers.to_vec(),
                key_heads,
                value_heads: 4,
                key_dim,
                value_dim: 8,
                taps,
            }),
            ..Block::default()
        };
        recurrent(&[0, 2], 2, 16, 4).validate(4, 64).unwrap();
        for (want, block) in [
            ("score_cap", block(f32::NAN, 0.0, &[])),
            ("logit_cap", block(50.0, -30.0, &[])),
            ("unrotated", block(0.0, 0.0, &[1, 1])),
            ("local.window", local(65, &[0])),
            ("local.layers", local(8, &[4])),
            ("recurrent.layers", recurrent(&[4], 2, 16, 4)),
            ("recurrent.key_heads", recurrent(&[0], 0, 16, 4)),
            ("recurrent.value_heads", recurrent(&[0], 3, 16, 4)),
            ("recurrent.key_dim", recurrent(&[0], 2, 1 << 20, 4)),
            ("recurrent.taps", recurrent(&[0], 2, 16, 9)),
            (
                "positions",
                Block {
                    positions: 32,
                    ..recurrent(&[0], 2, 16, 4)
                },
            ),
            ("mixture.count", mixture(0, 0)),
            ("mixture.used", mixture(4, 5)),
            ("mixture.shared", shared(25)),
            (
                "feed_forward_bias",
                Block {
                    feed_forward_bias: true,
                    ..mixture(4, 2)
                },
            ),
            (
                "norms",
                Block {
                    norms: Norms::After,
                    ..mixture(4, 2)
                },
            ),
        ] {
            let ConfigError::Field { field, .. } = block.validate(4, 64).unwrap_err();
            assert_eq!(field, want);
        }
    }
}
