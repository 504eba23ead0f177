//! The types of the table that describes a family of models.

use super::config::Config;

/// A number that follows from the configuration: rows, columns or heads.
pub type Size = fn(&Config) -> usize;

/// A property of a configuration, such as having a certain tensor.
pub type Condition = fn(&Config) -> bool;

/// A family: models that one forward pass computes and that differ in sizes and options.
#[derive(Debug)]
pub struct Family {
    /// `arch` in the configuration of a packed model.
    pub name: &'static str,
    /// The architectures of the family that have their own names in published models.
    pub members: &'static [Member],
    /// The options that decide which tensors a model has.
    pub choices: &'static [Choice],
    /// Keys of `config.json`.
    pub hugging_face_keys: Keys,
    /// Keys of GGUF metadata, without the name of the member and the dot before them.
    pub gguf_keys: Keys,
    /// The prefix of the layer number in Hugging Face's names of tensors.
    pub hugging_face_layers: &'static str,
    /// A row for each token that can be fed.
    pub embedding: TensorSpec,
    /// The layers' common description.
    pub layer: Layer,
    /// Weight of the norm after the last layer.
    pub final_norm: TensorSpec,
    /// A row for each token that can be predicted; absent if the rows of the embedding are used
    /// instead.
    pub head: TensorSpec,
}

/// An architecture of a family, as publishers name it.
#[derive(Debug)]
pub struct Member {
    /// The class in `architectures` of `config.json`.
    pub hugging_face: &'static str,
    /// `general.architecture` in GGUF metadata; several members may share one.
    pub gguf: &'static str,
    /// Whether GGUF files hold the two halves of each rotated head interleaved: row `2i + s` of a
    /// head is row `i` of half `s`.
    pub gguf_interleaves: bool,
    /// Sets the options that every model of this architecture has.
    pub implies: fn(&mut Config),
}

/// An option of a family that decides whether a source has a certain tensor.
#[derive(Debug)]
pub struct Choice {
    /// The stored tensor (see [`super::Tensor::stored`]) that models with this option have and
    /// others lack.
    pub tensor: &'static str,
    /// Sets the option in a configuration.
    pub set: fn(&mut Config, bool),
}

/// The keys of a source's configuration.
#[derive(Debug)]
pub struct Keys {
    /// Width of the residual stream.
    pub hidden: &'static str,
    /// Number of layers.
    pub layers: &'static str,
    /// Query heads.
    pub heads: &'static str,
    /// Key/value heads; as many as query heads if the key is missing.
    pub kv_heads: &'static str,
    /// Width of a head; if the key is missing, the width of the residual stream divided by the
    /// number of query heads.
    pub head_dim: &'static str,
    /// Width of the feed-forward block.
    pub intermediate: &'static str,
    /// Added to the mean square in every norm.
    pub norm_eps: &'static str,
    /// Positions that the model was trained for, if the source says so.
    pub context: &'static str,
    /// Base of the rotary wavelengths; 10,000 if the key is missing.
    pub rope_theta: &'static str,
    /// Number of values of each head that are rotated. It must be all of them, which is also the
    /// default.
    pub rotary_dim: Option<&'static str>,
    /// Whether the head is the embedding, even if the file holds both.
    pub tied: Option<&'static str>,
    /// Settings that may have one value only.
    pub fixed: &'static [Fixed],
}

/// A setting that, if a source has it, must have the one value that the family computes.
#[derive(Debug)]
pub struct Fixed {
    /// Its key.
    pub key: &'static str,
    /// The value.
    pub value: Setting<'static>,
    /// What another value would mean, in words for the error message.
    pub otherwise: &'static str,
}

/// The value of a setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Setting<'a> {
    /// A number, whole or not.
    Number(f64),
    /// A word.
    Text(&'a str),
    /// Yes or no.
    Flag(bool),
    /// Anything else, such as a list.
    Other,
}

impl std::fmt::Display for Setting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Setting::Number(number) => number.fmt(f),
            Setting::Text(text) => text.fmt(f),
            Setting::Flag(flag) => flag.fmt(f),
            Setting::Other => "a list or an object".fmt(f),
        }
    }
}

/// What every layer is made of. The blocks follow one another; each takes a norm of the residual
/// stream, and its result is added to the stream.
#[derive(Debug)]
pub struct Layer {
    /// The block that looks at the positions so far.
    pub attention: Attention,
    /// The block that looks at one position.
    pub feed_forward: GatedFeedForward,
}

/// `out * attention(qkv * norm(x))`, with rotary positions.
#[derive(Debug)]
pub struct Attention {
    /// Weight of the root-mean-square norm before the block.
    pub norm: TensorSpec,
    /// The rows of all queries, then of all keys, then of all values.
    pub qkv: TensorSpec,
    /// Weight of the norm of each query head.
    pub q_norm: TensorSpec,
    /// Weight of the norm of each key head; present if the norm of the query heads is.
    pub k_norm: TensorSpec,
    /// Projection back to the residual stream.
    pub out: TensorSpec,
}

/// `down * (silu(gate * norm(x)) . (up * norm(x)))`.
#[derive(Debug)]
pub struct GatedFeedForward {
    /// Weight of the root-mean-square norm before the block.
    pub norm: TensorSpec,
    /// The rows of the gate projection, then those of the up projection.
    pub gate_up: TensorSpec,
    /// Projection back to the residual stream.
    pub down: TensorSpec,
}

/// A tensor of the packed model, whatever the configuration.
#[derive(Debug)]
pub struct TensorSpec {
    /// Name in the packed model, without the layer prefix and without the suffix.
    pub name: &'static str,
    /// What it holds.
    pub kind: TensorKind,
    /// Whether a model of this configuration has the tensor.
    pub present: Condition,
    /// The tensors of a source whose rows are stacked into it, in order.
    pub sources: &'static [SourceSpec],
}

/// What a tensor of the packed model holds.
#[derive(Debug)]
pub enum TensorKind {
    /// Floats: as many as its one source has rows.
    Vector,
    /// A quantised matrix.
    Matrix {
        /// Inner dimension.
        columns: Size,
        /// Whether each row has a bias.
        bias: Condition,
    },
    /// A quantised matrix with a row for each token. Sources order those rows by token id, packed
    /// models by the tokens' bytes.
    TokenMatrix {
        /// Inner dimension.
        columns: Size,
    },
}

/// A tensor as sources hold it.
#[derive(Debug)]
pub struct SourceSpec {
    /// Hugging Face's name, without the layer prefix and without the suffix.
    pub hugging_face: &'static str,
    /// GGUF's name, likewise.
    pub gguf: &'static str,
    /// Rows that the packed tensor takes.
    pub rows: Size,
    /// The heads that its rows belong to, if those heads are rotated.
    pub rotary_heads: Option<Size>,
}

impl Layer {
    /// Every tensor of a layer.
    pub fn tensors(&self) -> [&TensorSpec; 8] {
        let Attention {
            norm: attn_norm,
            qkv,
            q_norm,
            k_norm,
            out,
        } = &self.attention;
        let GatedFeedForward {
            norm: ffn_norm,
            gate_up,
            down,
        } = &self.feed_forward;
        [attn_norm, qkv, q_norm, k_norm, out, ffn_norm, gate_up, down]
    }
}

impl TensorSpec {
    /// Name in a packed model; `layer` is the number of the layer that it belongs to, if any.
    pub fn name(&self, layer: Option<usize>) -> String {
        match layer {
            Some(layer) => format!("layer.{layer}.{}", self.name),
            None => self.name.into(),
        }
    }
}
