//! The Llama family: Llama, `SmolLM2` and Mistral, Qwen2 with biases, Qwen3 with norms of heads,
//! Seed-OSS, and Arcee without a gate.

use super::block::Activation;
use super::config::Config;
use super::family::{Choice, Draft, Family, Fixed, Format, Keys, Member, Sources, source};
use super::options::{activation, none, sliding_window};
use super::parts::{
    ATTN_NORM, ATTN_POST_NORM, DOWN, EMBEDDING, FFN_NORM, FFN_POST_NORM, FINAL_NORM, GATE_UP, HEAD,
    K_NORM, OUT, Q_NORM, QKV, heads, hidden, intermediate, kv_heads, kv_rows, q_rows,
};
use super::settings::{Setting, SettingError, Settings};

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
            implies: |draft| draft.config.attention_bias = true,
        },
        Member {
            hugging_face: "Qwen3ForCausalLM",
            gguf: "qwen3",
            gguf_interleaves: false,
            implies: |draft| draft.config.qk_norm = true,
        },
        Member {
            hugging_face: "SeedOssForCausalLM",
            gguf: "seed_oss",
            gguf_interleaves: false,
            implies: |_| {},
        },
        Member {
            hugging_face: "ArceeForCausalLM",
            gguf: "arcee",
            gguf_interleaves: true,
            implies: |draft| {
                draft.config.block.ungated = true;
                draft.config.block.activation = Activation::ReluSquared;
            },
        },
    ],
    choices: &[
        Choice {
            tensor: "layer.0.q_norm.weight",
            set: |config, made| config.qk_norm = made,
        },
        QKV_BIAS,
        OUT_BIAS,
        FEED_FORWARD_BIAS,
        UNTIED,
    ],
    hugging_face: Format {
        // These models rotate whole heads, whatever `partial_rotary_factor` says.
        keys: Keys {
            rotary_fraction: None,
            ..HUGGING_FACE_KEYS
        },
        older: &[],
        fixed: &[],
        options: hugging_face_options,
    },
    gguf: Format {
        keys: GGUF_KEYS,
        older: &[],
        fixed: &[NO_EXPERTS],
        options: none,
    },
    hugging_face_layers: "model.layers",
    hugging_face_variants: VARIANTS,
    sources: &[SOURCES],
};

/// Reads the options that Llama and Qwen share.
pub(super) fn hugging_face_options(
    settings: &Settings<'_>,
    draft: &mut Draft,
) -> Result<(), SettingError> {
    activation(settings, "hidden_act", draft)?;
    // Qwen has this key, and slides in its upper layers only.
    let first = settings.size("max_window_layers")?.unwrap_or(0);
    sliding_window(settings, draft, |layer| layer >= first)
}

/// Folders may leave out the first part of a name, and those of models that also see pictures add
/// one.
pub(super) const VARIANTS: &[(&str, &str)] = &[("model.", ""), ("model.", "language_model.model.")];

/// Keys of `config.json` that most families share.
pub(super) const HUGGING_FACE_KEYS: Keys = Keys {
    hidden: "hidden_size",
    layers: "num_hidden_layers",
    heads: "num_attention_heads",
    kv_heads: Some("num_key_value_heads"),
    head_dim: "head_dim",
    intermediate: "intermediate_size",
    norm_eps: "rms_norm_eps",
    context: "max_position_embeddings",
    rope_theta: "rope_theta",
    rotary_dim: None,
    rotary_fraction: Some("partial_rotary_factor"),
    tied: Some("tie_word_embeddings"),
};

/// Keys of GGUF metadata that most families share.
pub(super) const GGUF_KEYS: Keys = Keys {
    hidden: "embedding_length",
    layers: "block_count",
    heads: "attention.head_count",
    kv_heads: Some("attention.head_count_kv"),
    head_dim: "attention.key_length",
    intermediate: "feed_forward_length",
    norm_eps: "attention.layer_norm_rms_epsilon",
    context: "context_length",
    rope_theta: "rope.freq_base",
    rotary_dim: Some("rope.dimension_count"),
    rotary_fraction: None,
    tied: None,
};

/// Those of a family with layer norms.
pub(super) const GGUF_LAYER_NORM_KEYS: Keys = Keys {
    norm_eps: "attention.layer_norm_epsilon",
    ..GGUF_KEYS
};

/// A GGUF file without experts.
pub(super) const NO_EXPERTS: Fixed = Fixed {
    key: "expert_count",
    value: Setting::Number(0.0),
    otherwise: "mixtures of experts",
};

/// Queries, keys and values may have biases.
pub(super) const QKV_BIAS: Choice = Choice {
    tensor: "layer.0.qkv.bias",
    set: |config, made| config.attention_bias = made,
};

/// The projection of the attention's output may have a bias.
pub(super) const OUT_BIAS: Choice = Choice {
    tensor: "layer.0.out.bias",
    set: |config, made| config.block.out_bias = made,
};

/// The projections of the feed-forward block may have biases.
pub(super) const FEED_FORWARD_BIAS: Choice = Choice {
    tensor: "layer.0.down.bias",
    set: |config, made| config.block.feed_forward_bias = made,
};

/// The head may have weights of its own.
pub(super) const UNTIED: Choice = Choice {
    tensor: "head.weight",
    set: |config, made| config.tied = !made,
};

/// The names that most families share. A family lists before them those that it has otherwise.
pub(super) const SOURCES: &[Sources] = &[
    (
        &EMBEDDING,
        &[source("model.embed_tokens", "token_embd", |c| c.inputs)],
    ),
    (&HEAD, &[source("lm_head", "output", |c| c.vocab)]),
    (&FINAL_NORM, &[source("model.norm", "output_norm", hidden)]),
    (
        &ATTN_NORM,
        &[source("input_layernorm", "attn_norm", hidden)],
    ),
    (
        &QKV,
        &[
            source("self_attn.q_proj", "attn_q", q_rows).rotated(heads),
            source("self_attn.k_proj", "attn_k", kv_rows).rotated(kv_heads),
            source("self_attn.v_proj", "attn_v", kv_rows),
        ],
    ),
    (
        &Q_NORM,
        &[source("self_attn.q_norm", "attn_q_norm", Q_NORM.rows)],
    ),
    (
        &K_NORM,
        &[source("self_attn.k_norm", "attn_k_norm", K_NORM.rows)],
    ),
    (&OUT, &[source("self_attn.o_proj", "attn_output", hidden)]),
    (
        &ATTN_POST_NORM,
        &[source(
            "post_attention_layernorm",
            "post_attention_norm",
            hidden,
        )],
    ),
    (
        &FFN_NORM,
        &[source("post_attention_layernorm", "ffn_norm", hidden)],
    ),
    (
        &GATE_UP,
        &[
            source("mlp.gate_proj", "ffn_gate", gate_rows),
            source("mlp.up_proj", "ffn_up", intermediate),
        ],
    ),
    (&DOWN, &[source("mlp.down_proj", "ffn_down", hidden)]),
    (
        &FFN_POST_NORM,
        &[source(
            "post_feedforward_layernorm",
            "post_ffw_norm",
            hidden,
        )],
    ),
];

/// Rows of the gate projection.
pub(super) fn gate_rows(config: &Config) -> usize {
    config.gate_up_rows() - config.intermediate
}
