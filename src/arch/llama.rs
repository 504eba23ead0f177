//! The Llama family: Llama, `SmolLM2` and Mistral, Qwen2 with biases, Qwen3 with norms of heads.

use super::config::Config;
use super::family::{
    Attention, Choice, Family, Fixed, GatedFeedForward, Keys, Layer, Member, Setting, SourceSpec,
    TensorKind, TensorSpec,
};

/// The table of the family.
pub(super) static FAMILY: Family = Family {
    name: "llama",
    members: &[
        Member {
            hugging_face: "LlamaForCausalLM",
            gguf: "llama",
            gguf_interleaves: true,
            implies: |_| {},
        },
        Member {
            hugging_face: "MistralForCausalLM",
            gguf: "llama",
            gguf_interleaves: true,
            implies: |_| {},
        },
        Member {
            hugging_face: "Qwen2ForCausalLM",
            gguf: "qwen2",
            gguf_interleaves: false,
            implies: |config| config.attention_bias = true,
        },
        Member {
            hugging_face: "Qwen3ForCausalLM",
            gguf: "qwen3",
            gguf_interleaves: false,
            implies: |config| config.qk_norm = true,
        },
    ],
    choices: &[
        Choice {
            tensor: "layer.0.q_norm.weight",
            set: |config, made| config.qk_norm = made,
        },
        Choice {
            tensor: "layer.0.qkv.bias",
            set: |config, made| config.attention_bias = made,
        },
        Choice {
            tensor: "head.weight",
            set: |config, made| config.tied = !made,
        },
    ],
    hugging_face_keys: Keys {
        hidden: "hidden_size",
        layers: "num_hidden_layers",
        heads: "num_attention_heads",
        kv_heads: "num_key_value_heads",
        head_dim: "head_dim",
        intermediate: "intermediate_size",
        norm_eps: "rms_norm_eps",
        context: "max_position_embeddings",
        rope_theta: "rope_theta",
        rotary_dim: None,
        tied: Some("tie_word_embeddings"),
        fixed: &[
            Fixed {
                key: "hidden_act",
                value: Setting::Text("silu"),
                otherwise: "another activation",
            },
            Fixed {
                key: "partial_rotary_factor",
                value: Setting::Number(1.0),
                otherwise: "partial rotary embedding",
            },
            Fixed {
                key: "use_sliding_window",
                value: Setting::Flag(false),
                otherwise: "sliding windows in some layers",
            },
        ],
    },
    gguf_keys: Keys {
        hidden: "embedding_length",
        layers: "block_count",
        heads: "attention.head_count",
        kv_heads: "attention.head_count_kv",
        head_dim: "attention.key_length",
        intermediate: "feed_forward_length",
        norm_eps: "attention.layer_norm_rms_epsilon",
        context: "context_length",
        rope_theta: "rope.freq_base",
        rotary_dim: Some("rope.dimension_count"),
        tied: None,
        fixed: &[Fixed {
            key: "expert_count",
            value: Setting::Number(0.0),
            otherwise: "mixtures of experts",
        }],
    },
    hugging_face_layers: "model.layers",
    embedding: TensorSpec {
        name: "embed",
        kind: TensorKind::TokenMatrix { columns: hidden },
        present: always,
        sources: &[source("model.embed_tokens", "token_embd", |c| c.inputs)],
    },
    layer: Layer {
        attention: ATTENTION,
        feed_forward: FEED_FORWARD,
    },
    final_norm: vector(
        "final_norm",
        always,
        &[source("model.norm", "output_norm", hidden)],
    ),
    head: TensorSpec {
        name: "head",
        kind: TensorKind::TokenMatrix { columns: hidden },
        present: |c| !c.tied,
        sources: &[source("lm_head", "output", |c| c.vocab)],
    },
};

const ATTENTION: Attention = Attention {
    norm: vector(
        "attn_norm",
        always,
        &[source("input_layernorm", "attn_norm", hidden)],
    ),
    qkv: TensorSpec {
        name: "qkv",
        kind: TensorKind::Matrix {
            columns: hidden,
            bias: |c| c.attention_bias,
        },
        present: always,
        sources: &[
            SourceSpec {
                rotary_heads: Some(|c| c.heads),
                ..source("self_attn.q_proj", "attn_q", q_rows)
            },
            SourceSpec {
                rotary_heads: Some(|c| c.kv_heads),
                ..source("self_attn.k_proj", "attn_k", kv_rows)
            },
            source("self_attn.v_proj", "attn_v", kv_rows),
        ],
    },
    q_norm: vector(
        "q_norm",
        head_norms,
        &[source("self_attn.q_norm", "attn_q_norm", head_dim)],
    ),
    k_norm: vector(
        "k_norm",
        head_norms,
        &[source("self_attn.k_norm", "attn_k_norm", head_dim)],
    ),
    out: matrix(
        "out",
        q_rows,
        &[source("self_attn.o_proj", "attn_output", hidden)],
    ),
};

const FEED_FORWARD: GatedFeedForward = GatedFeedForward {
    norm: vector(
        "ffn_norm",
        always,
        &[source("post_attention_layernorm", "ffn_norm", hidden)],
    ),
    gate_up: matrix(
        "gate_up",
        hidden,
        &[
            source("mlp.gate_proj", "ffn_gate", intermediate),
            source("mlp.up_proj", "ffn_up", intermediate),
        ],
    ),
    down: matrix(
        "down",
        intermediate,
        &[source("mlp.down_proj", "ffn_down", hidden)],
    ),
};

fn hidden(config: &Config) -> usize {
    config.hidden
}

fn intermediate(config: &Config) -> usize {
    config.intermediate
}

fn head_dim(config: &Config) -> usize {
    config.head_dim
}

fn q_rows(config: &Config) -> usize {
    config.heads * config.head_dim
}

fn kv_rows(config: &Config) -> usize {
    config.kv_heads * config.head_dim
}

fn always(_: &Config) -> bool {
    true
}

fn never(_: &Config) -> bool {
    false
}

fn head_norms(config: &Config) -> bool {
    config.qk_norm
}

/// A matrix without bias that every model has.
const fn matrix(
    name: &'static str,
    columns: fn(&Config) -> usize,
    sources: &'static [SourceSpec],
) -> TensorSpec {
    let bias = never as fn(&Config) -> bool;
    TensorSpec {
        name,
        kind: TensorKind::Matrix { columns, bias },
        present: always,
        sources,
    }
}

/// Floats from a single tensor of the source.
const fn vector(
    name: &'static str,
    present: fn(&Config) -> bool,
    sources: &'static [SourceSpec],
) -> TensorSpec {
    TensorSpec {
        name,
        kind: TensorKind::Vector,
        present,
        sources,
    }
}

/// A tensor of the source whose rows are no rotated heads.
const fn source(
    hugging_face: &'static str,
    gguf: &'static str,
    rows: fn(&Config) -> usize,
) -> SourceSpec {
    SourceSpec {
        hugging_face,
        gguf,
        rows,
        rotary_heads: None,
    }
}
