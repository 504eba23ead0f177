//! GPT-2: learned positions, layer norms and biases everywhere, no gate, and, in Hugging Face
//! folders, transposed matrices.

use super::block::{Activation, Norm};
use super::family::{Cut, Draft, Family, Fixed, Format, Keys, Member, source};
use super::llama::{GGUF_LAYER_NORM_KEYS, SOURCES, UNTIED};
use super::options::{activation, none};
use super::parts::{
    ATTN_NORM, DOWN, EMBEDDING, FFN_NORM, FINAL_NORM, GATE_UP, OUT, POSITIONS, QKV, hidden,
    intermediate, kv_rows, q_rows,
};
use super::settings::{Setting, SettingError, Settings};

/// The table of the family.
pub(super) static FAMILY: Family = Family {
    name: "gpt2",
    members: &[Member {
        hugging_face: "GPT2LMHeadModel",
        model_type: "gpt2",
        defaults: &[("tie_word_embeddings", Setting::Flag(true))],
        options: none,
        gguf: "gpt2",
        gguf_interleaves: false,
        implies: |draft| {
            let config = &mut draft.config;
            config.attention_bias = true;
            config.block.norm = Norm::Layer;
            config.block.ungated = true;
            config.block.activation = Activation::GeluTanh;
            (config.block.out_bias, config.block.feed_forward_bias) = (true, true);
            config.block.unrotated = (0..config.layers).collect();
        },
    }],
    choices: &[UNTIED],
    hugging_face: Format {
        keys: Keys {
            hidden: "n_embd",
            layers: "n_layer",
            heads: "n_head",
            kv_heads: None,
            head_dim: "head_dim",
            intermediate: "n_inner",
            norm_eps: "layer_norm_epsilon",
            context: "n_positions",
            rope_theta: "rope_theta",
            rotary_dim: None,
            rotary_fraction: None,
            tied: Some("tie_word_embeddings"),
        },
        older: &[],
        fixed: &[
            Fixed {
                key: "scale_attn_weights",
                value: Setting::Flag(true),
                otherwise: "scores that are not scaled",
            },
            Fixed {
                key: "scale_attn_by_inverse_layer_idx",
                value: Setting::Flag(false),
                otherwise: "scores that are scaled by layer",
            },
            Fixed {
                key: "add_cross_attention",
                value: Setting::Flag(false),
                otherwise: "attention to an encoder",
            },
        ],
        options: |settings, draft| {
            activation(settings, "activation_function", draft)?;
            positions(settings, "n_positions", draft)
        },
    },
    gguf: Format {
        keys: Keys {
            kv_heads: None,
            ..GGUF_LAYER_NORM_KEYS
        },
        older: &[],
        fixed: &[],
        options: |settings, draft| positions(settings, "context_length", draft),
    },
    hugging_face_layers: "transformer.h",
    hugging_face_variants: &[("transformer.", "")],
    sources: &[
        &[
            (
                &EMBEDDING,
                &[source("transformer.wte", "token_embd", |c| c.inputs)],
            ),
            (
                &POSITIONS,
                &[source("transformer.wpe", "position_embd", |c| {
                    c.block.positions
                })],
            ),
            (
                &FINAL_NORM,
                &[source("transformer.ln_f", "output_norm", hidden)],
            ),
            (&ATTN_NORM, &[source("ln_1", "attn_norm", hidden)]),
            (
                &QKV,
                &[
                    source("attn.c_attn", "attn_qkv", q_rows)
                        .cut(Cut::StackedTransposed, Cut::Stacked),
                    source("attn.c_attn", "attn_qkv", kv_rows)
                        .cut(Cut::StackedTransposed, Cut::Stacked),
                    source("attn.c_attn", "attn_qkv", kv_rows)
                        .cut(Cut::StackedTransposed, Cut::Stacked),
                ],
            ),
            (
                &OUT,
                &[source("attn.c_proj", "attn_output", hidden).cut(Cut::Transposed, Cut::Whole)],
            ),
            (&FFN_NORM, &[source("ln_2", "ffn_norm", hidden)]),
            (
                &GATE_UP,
                &[source("mlp.c_fc", "ffn_up", intermediate).cut(Cut::Transposed, Cut::Whole)],
            ),
            (
                &DOWN,
                &[source("mlp.c_proj", "ffn_down", hidden).cut(Cut::Transposed, Cut::Whole)],
            ),
        ],
        SOURCES,
    ],
};

fn positions(settings: &Settings<'_>, key: &str, draft: &mut Draft) -> Result<(), SettingError> {
    draft.config.block.positions = settings.required_size(key)?;
    Ok(())
}
