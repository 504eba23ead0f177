//! The tensors that a packed model may have, whatever its family.

use super::block::{Norm, Recurrent};
use super::config::Config;

/// A number that follows from the configuration: rows, columns or heads.
pub type Size = fn(&Config) -> usize;

/// A property of a configuration, such as having a certain tensor.
pub type Condition = fn(&Config) -> bool;

/// A tensor of the packed model, whatever the configuration.
#[derive(Debug)]
pub struct TensorSpec {
    /// Name in the packed model, without the layer prefix and without the suffix.
    pub name: &'static str,
    /// Rows of a matrix, values of a vector.
    pub rows: Size,
    /// What it holds.
    pub kind: TensorKind,
    /// Whether each row, or each value of a vector, has a bias.
    pub bias: Condition,
    /// Whether a model of this configuration has the tensor.
    pub present: Condition,
    /// Which of its layers have it, if it is one of layers.
    pub layers: Layers,
}

/// Layers by what they have to look at other positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layers {
    /// All layers.
    All,
    /// Those with attention.
    Attention,
    /// Those with a recurrence.
    Recurrent,
}

/// What a tensor of the packed model holds.
#[derive(Clone, Copy, Debug)]
pub enum TensorKind {
    /// Floats.
    Vector,
    /// Floats, `columns` in each row, one row after the other.
    Table {
        /// Values of a row.
        columns: Size,
    },
    /// A quantised matrix.
    Matrix {
        /// Inner dimension.
        columns: Size,
    },
    /// A quantised matrix with a row for each token. Sources order those rows by token id, packed
    /// models by the tokens' bytes.
    TokenMatrix {
        /// Inner dimension.
        columns: Size,
    },
}

/// A row for each token that can be fed.
pub static EMBEDDING: TensorSpec = TensorSpec {
    name: "embed",
    rows: |c| c.inputs,
    kind: TensorKind::TokenMatrix { columns: hidden },
    bias: never,
    present: always,
    layers: Layers::All,
};

/// A row for each position that the model has learned.
pub static POSITIONS: TensorSpec = TensorSpec {
    name: "positions",
    rows: |c| c.block.positions,
    kind: TensorKind::Table { columns: hidden },
    bias: never,
    present: |c| c.block.positions > 0,
    layers: Layers::All,
};

/// A row for each token that can be predicted; absent if the rows of the embedding are used
/// instead.
pub static HEAD: TensorSpec = TensorSpec {
    name: "head",
    rows: |c| c.vocab,
    kind: TensorKind::TokenMatrix { columns: hidden },
    bias: |c| c.block.head_bias,
    present: |c| !c.tied,
    layers: Layers::All,
};

/// The norm after the last layer.
pub static FINAL_NORM: TensorSpec = norm("final_norm", always);

/// The norm of what attention takes.
pub static ATTN_NORM: TensorSpec = norm("attn_norm", |c| c.block.norms.before());

/// The rows of all queries, then of all keys, then of all values, then of all gates of what
/// attention gives, if there are any.
pub static QKV: TensorSpec = TensorSpec {
    name: "qkv",
    rows: Config::qkv_rows,
    kind: TensorKind::Matrix { columns: hidden },
    bias: |c| c.attention_bias,
    present: always,
    layers: Layers::Attention,
};

/// The norm of the queries: of each head, or of all heads together.
pub static Q_NORM: TensorSpec = TensorSpec {
    name: "q_norm",
    rows: |c| match c.block.joint_qk_norm {
        true => q_rows(c),
        false => c.head_dim,
    },
    kind: TensorKind::Vector,
    bias: never,
    present: |c| c.qk_norm,
    layers: Layers::Attention,
};

/// The norm of the keys, likewise.
pub static K_NORM: TensorSpec = TensorSpec {
    name: "k_norm",
    rows: |c| match c.block.joint_qk_norm {
        true => kv_rows(c),
        false => c.head_dim,
    },
    kind: TensorKind::Vector,
    bias: never,
    present: |c| c.qk_norm,
    layers: Layers::Attention,
};

/// Of a recurrence, from the residual stream to: channels (the query heads, the key heads, the
/// value heads), a number for the rate of learning of each value head, one for its decay, and the
/// gates of all values.
pub static RECURRENT_IN: TensorSpec = recurrent(
    "recurrent_in",
    |c| of_recurrence(c, Recurrent::rows),
    TensorKind::Matrix { columns: hidden },
);

/// Of a recurrence, the weights of the convolution of each channel: those of the last positions,
/// the present one last.
pub static RECURRENT_CONV: TensorSpec = recurrent(
    "recurrent_conv",
    |c| of_recurrence(c, Recurrent::channels),
    TensorKind::Table { columns: taps },
);

/// Of a recurrence, how fast each value head decays.
pub static RECURRENT_RATE: TensorSpec =
    recurrent("recurrent_rate", value_heads, TensorKind::Vector);

/// Of a recurrence, what is added to the number for the decay of each value head.
pub static RECURRENT_SHIFT: TensorSpec =
    recurrent("recurrent_shift", value_heads, TensorKind::Vector);

/// Of a recurrence, the norm of what each value head gives.
pub static RECURRENT_NORM: TensorSpec = recurrent(
    "recurrent_norm",
    |c| of_recurrence(c, |recurrent| recurrent.value_dim),
    TensorKind::Vector,
);

/// Of a recurrence, from the values of all heads back to the residual stream.
pub static RECURRENT_OUT: TensorSpec = recurrent(
    "recurrent_out",
    hidden,
    TensorKind::Matrix {
        columns: recurrent_values,
    },
);

/// From the attention's output back to the residual stream.
pub static OUT: TensorSpec = TensorSpec {
    name: "out",
    rows: hidden,
    kind: TensorKind::Matrix { columns: q_rows },
    bias: |c| c.block.out_bias,
    present: always,
    layers: Layers::Attention,
};

/// The norm of what attention gives.
pub static ATTN_POST_NORM: TensorSpec = norm("attn_post_norm", |c| c.block.norms.after());

/// The norm of what the feed-forward block takes.
pub static FFN_NORM: TensorSpec = norm("ffn_norm", |c| c.block.norms.before());

/// The router of a mixture of experts: a row for each expert that is chosen, then one for those
/// that are shared, if there are any.
pub static ROUTER: TensorSpec = TensorSpec {
    name: "router",
    rows: |c| chosen_experts(c) + shared_scores(c),
    kind: TensorKind::Table { columns: hidden },
    bias: never,
    present: |c| c.block.mixture.is_some(),
    layers: Layers::All,
};

/// The rows of the gate projection, if there is one, then those of the up projection; of each
/// expert in turn, if there are several.
pub static GATE_UP: TensorSpec = TensorSpec {
    name: "gate_up",
    rows: |c| experts(c) * c.gate_up_rows(),
    kind: TensorKind::Matrix { columns: hidden },
    bias: |c| c.block.feed_forward_bias,
    present: always,
    layers: Layers::All,
};

/// What sources hold of the experts that are shared, where others have [`GATE_UP`].
pub static SHARED_GATE_UP: TensorSpec = TensorSpec {
    name: "shared_gate_up",
    ..GATE_UP
};

/// What sources hold of the experts that are shared, where others have [`DOWN`].
pub static SHARED_DOWN: TensorSpec = TensorSpec {
    name: "shared_down",
    ..DOWN
};

/// From the feed-forward block back to the residual stream; the rows of each expert in turn, if
/// there are several.
pub static DOWN: TensorSpec = TensorSpec {
    name: "down",
    rows: |c| experts(c) * c.hidden,
    kind: TensorKind::Matrix {
        columns: intermediate,
    },
    bias: |c| c.block.feed_forward_bias,
    present: always,
    layers: Layers::All,
};

/// The norm of what the feed-forward block gives.
pub static FFN_POST_NORM: TensorSpec = norm("ffn_post_norm", |c| c.block.norms.after());

/// The tensors that a model has once.
pub static AROUND: [&TensorSpec; 4] = [&EMBEDDING, &POSITIONS, &HEAD, &FINAL_NORM];

/// The tensors that layers have.
pub static LAYER: [&TensorSpec; 17] = [
    &ATTN_NORM,
    &QKV,
    &Q_NORM,
    &K_NORM,
    &OUT,
    &RECURRENT_IN,
    &RECURRENT_CONV,
    &RECURRENT_RATE,
    &RECURRENT_SHIFT,
    &RECURRENT_NORM,
    &RECURRENT_OUT,
    &ATTN_POST_NORM,
    &FFN_NORM,
    &ROUTER,
    &GATE_UP,
    &DOWN,
    &FFN_POST_NORM,
];

impl TensorSpec {
    /// Name in a packed model; `layer` is the number of the layer that it belongs to, if any.
    pub fn name(&self, layer: Option<usize>) -> String {
        match layer {
            Some(layer) => format!("layer.{layer}.{}", self.name),
            None => self.name.into(),
        }
    }

    /// Whether a model of this configuration has the tensor, in this layer if it is one of layers.
    pub fn is_in(&self, config: &Config, layer: Option<usize>) -> bool {
        let is_recurrent = layer.is_some_and(|layer| config.block.recurrence(layer).is_some());
        let here = match self.layers {
            Layers::All => true,
            Layers::Attention => !is_recurrent,
            Layers::Recurrent => is_recurrent,
        };
        here && (self.present)(config)
    }
}

/// A tensor of a recurrence.
const fn recurrent(name: &'static str, rows: Size, kind: TensorKind) -> TensorSpec {
    TensorSpec {
        name,
        rows,
        kind,
        bias: never,
        present: |c| c.block.recurrent.is_some(),
        layers: Layers::Recurrent,
    }
}

/// The weights of a norm of the residual stream.
const fn norm(name: &'static str, present: Condition) -> TensorSpec {
    TensorSpec {
        name,
        rows: hidden,
        kind: TensorKind::Vector,
        bias: |c| c.block.norm == Norm::Layer,
        present,
        layers: Layers::All,
    }
}

pub(super) fn hidden(config: &Config) -> usize {
    config.hidden
}

pub(super) fn intermediate(config: &Config) -> usize {
    config.intermediate
}

fn experts(config: &Config) -> usize {
    config.block.feed_forward_blocks()
}

pub(super) fn chosen_experts(config: &Config) -> usize {
    config.block.mixture.map_or(0, |experts| experts.count)
}

/// 1 if experts are shared, otherwise 0.
pub(super) fn shared_scores(config: &Config) -> usize {
    let experts = config.block.mixture;
    experts.map_or(0, |experts| experts.scores() - experts.count)
}

/// A size of the recurrence; 0 if there is none.
pub(super) fn of_recurrence(config: &Config, size: fn(&Recurrent) -> usize) -> usize {
    config.block.recurrent.as_ref().map_or(0, size)
}

pub(super) fn recurrent_values(config: &Config) -> usize {
    of_recurrence(config, Recurrent::values)
}

pub(super) fn value_heads(config: &Config) -> usize {
    of_recurrence(config, |recurrent| recurrent.value_heads)
}

fn taps(config: &Config) -> usize {
    of_recurrence(config, |recurrent| recurrent.taps)
}

pub(super) fn heads(config: &Config) -> usize {
    config.heads
}

pub(super) fn kv_heads(config: &Config) -> usize {
    config.kv_heads
}

pub(super) fn q_rows(config: &Config) -> usize {
    config.heads * config.head_dim
}

pub(super) fn kv_rows(config: &Config) -> usize {
    config.kv_heads * config.head_dim
}

fn always(_: &Config) -> bool {
    true
}

fn never(_: &Config) -> bool {
    false
}
