//! The Llama family: Llama, `SmolLM2` and Mistral, Qwen2 with biases, Qwen3 with norms of heads,
//! Seed-OSS, and Arcee without a gate.

use super::block::Activation;
use super::config::Config;
use super::family::{Choice, Draft, Family, Fixed, Format, Keys, Member, Sources, source};
use super::options::{
    activation, attention_bias, expect_bias, mlp_bias, none, switched_window, window_in_all_layers,
};
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
            model_type: "llama",
            defaults: &[],
            options: llama_options,
            gguf: "llama",
            gguf_interleaves: true,
            implies: |_| {},
        },
        Member {
            hugging_face: "MistralForCausalLM",
            model_type: "mistral",
            defaults: &[
                ("num_key_value_heads", Setting::Number(8.0)),
                ("sliding_window", Setting::Number(4096.0)),
            ],
            options: mistral_options,
            gguf: "llama",
            gguf_interleaves: true,
            implies: |_| {},
        },
        Member {
            hugging_face: "Qwen2ForCausalLM",
            model_type: "qwen2",
            defaults: &[
                ("num_key_value_heads", Setting::Number(32.0)),
                ("sliding_window", Setting::Number(4096.0)),
                ("max_window_layers", Setting::Number(28.0)),
            ],
            options: qwen_2_options,
            gguf: "qwen2",
            gguf_interleaves: false,
            implies: |draft| draft.config.attention_bias = true,
        },
        Member {
            hugging_face: "Qwen3ForCausalLM",
            model_type: "qwen3",
            defaults: &[
                ("head_dim", Setting::Number(128.0)),
                ("num_key_value_heads", Setting::Number(32.0)),
                ("sliding_window", Setting::Number(4096.0)),
                ("max_window_layers", Setting::Number(28.0)),
            ],
            options: qwen_3_options,
            gguf: "qwen3",
            gguf_interleaves: false,
            implies: |draft| draft.config.qk_norm = true,
        },
        Member {
            hugging_face: "SeedOssForCausalLM",
            model_type: "seed_oss",
            defaults: &[
                ("head_dim", Setting::Number(128.0)),
                ("num_key_value_heads", Setting::Number(8.0)),
                ("attention_bias", Setting::Flag(true)),
            ],
            options: seed_oss_options,
            gguf: "seed_oss",
            gguf_interleaves: false,
            implies: |_| {},
        },
        Member {
            hugging_face: "ArceeForCausalLM",
            model_type: "arcee",
            defaults: &[],
            options: llama_options,
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
        keys: HUGGING_FACE_KEYS,
        older: &[],
        fixed: &[],
        options: |settings, draft| activation(settings, "hidden_act", draft),
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

fn llama_options(settings: &Settings<'_>, draft: &mut Draft) -> Result<(), SettingError> {
    no_norms_of_heads(draft)?;
    attention_bias(settings, draft)?;
    mlp_bias(settings, draft)
}

fn mistral_options(settings: &Settings<'_>, draft: &mut Draft) -> Result<(), SettingError> {
    no_norms_of_heads(draft)?;
    no_bias(draft.config.attention_bias, "queries, keys and values")?;
    no_other_biases(draft)?;
    window_in_all_layers(settings, draft)
}

fn qwen_2_options(settings: &Settings<'_>, draft: &mut Draft) -> Result<(), SettingError> {
    no_norms_of_heads(draft)?;
    no_other_biases(draft)?;
    upper_window(settings, draft)
}

fn qwen_3_options(settings: &Settings<'_>, draft: &mut Draft) -> Result<(), SettingError> {
    attention_bias(settings, draft)?;
    no_bias(draft.config.block.feed_forward_bias, FEED_FORWARD)?;
    upper_window(settings, draft)
}

fn seed_oss_options(settings: &Settings<'_>, draft: &mut Draft) -> Result<(), SettingError> {
    no_norms_of_heads(draft)?;
    let (qkv, out) = (draft.config.attention_bias, draft.config.block.out_bias);
    expect_bias(settings, "attention_bias", qkv)?;
    expect_bias(settings, "attention_out_bias", out)?;
    mlp_bias(settings, draft)
}

/// Qwen slides in its upper layers only.
fn upper_window(settings: &Settings<'_>, draft: &mut Draft) -> Result<(), SettingError> {
    let first = settings.size("max_window_layers")?.unwrap_or(0);
    switched_window(settings, draft, |layer| layer >= first)
}

/// What has biases, in words for error messages.
const FEED_FORWARD: &str = "the feed-forward block";

fn no_other_biases(draft: &Draft) -> Result<(), SettingError> {
    let block = &draft.config.block;
    no_bias(block.out_bias, "the attention's output")?;
    no_bias(block.feed_forward_bias, FEED_FORWARD)
}

/// Refuses biases that transformers' class lacks.
fn no_bias(found: bool, place: &str) -> Result<(), SettingError> {
    match found {
        false => Ok(()),
        true => Err(SettingError::Unsupported(format!(
            "a bias of {place}, which this architecture lacks"
        ))),
    }
}

/// Refuses norms that only Qwen3 has.
fn no_norms_of_heads(draft: &Draft) -> Result<(), SettingError> {
    match draft.config.qk_norm {
        false => Ok(()),
        true => Err(SettingError::Unsupported(
            "norms of queries and keys, which this architecture lacks".into(),
        )),
    }
}

/// Folders may leave out the first part of a name. Those of models that also see pictures add one,
/// before it or behind it.
pub(super) const VARIANTS: &[(&str, &str)] = &[
    ("model.", ""),
    ("model.", "model.language_model."),
    ("model.", "language_model.model."),
    ("lm_head.", "language_model.lm_head."),
];

/// Keys of `config.json` that most families share. These rotate whole heads, whatever
/// `partial_rotary_factor` says.
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
    rotary_fraction: None,
    tied: Some("tie_word_embeddings"),
};

/// Those of a family with layer norms that rotates a part of each head.
pub(super) const PARTLY_ROTATED_KEYS: Keys = Keys {
    norm_eps: "layer_norm_eps",
    rotary_fraction: Some("partial_rotary_factor"),
    ..HUGGING_FACE_KEYS
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
