//! GPT-NeoX, the family of Pythia: layer norms with biases, both blocks of a layer side by side,
//! rotation of a part of each head, and no gate.

use super::block::{Activation, Norm};
use super::family::{Choice, Cut, Draft, Family, Format, Keys, Member, source};
use super::llama::{GGUF_LAYER_NORM_KEYS, NO_EXPERTS, PARTLY_ROTATED_KEYS, SOURCES, UNTIED};
use super::options::{activation, attention_bias, none};
use super::parts::{
    DOWN, EMBEDDING, FINAL_NORM, GATE_UP, HEAD, OUT, QKV, heads, hidden, intermediate, kv_heads,
    kv_rows, q_rows,
};
use super::settings::{Setting, SettingError, Settings};

/// The table of the family.
pub(super) static FAMILY: Family = Family {
    name: "neox",
    members: &[Member {
        hugging_face: "GPTNeoXForCausalLM",
        model_type: "gpt_neox",
        defaults: &[
            ("rotary_pct", Setting::Number(0.25)),
            ("rotary_emb_base", Setting::Number(10_000.0)),
            ("attention_bias", Setting::Flag(true)),
        ],
        options: none,
        gguf: "gptneox",
        gguf_interleaves: false,
        implies: |draft| {
            let block = &mut draft.config.block;
            block.norm = Norm::Layer;
            block.ungated = true;
            block.activation = Activation::Gelu;
        },
    }],
    choices: &[
        Choice {
            tensor: "layer.0.qkv.bias",
            set: |config, made| {
                config.attention_bias = made;
                config.block.out_bias = made;
            },
        },
        Choice {
            tensor: "layer.0.down.bias",
            set: |config, made| config.block.feed_forward_bias = made,
        },
        UNTIED,
    ],
    hugging_face: Format {
        keys: Keys {
            kv_heads: None,
            rope_theta: "rotary_emb_base",
            rotary_fraction: Some("rotary_pct"),
            ..PARTLY_ROTATED_KEYS
        },
        older: &[
            ("rotary_pct", "partial_rotary_factor"),
            ("rotary_emb_base", "rope_theta"),
        ],
        fixed: &[],
        options: |settings, draft| {
            activation(settings, "hidden_act", draft)?;
            attention_bias(settings, draft)?;
            side_by_side(settings, draft)
        },
    },
    gguf: Format {
        keys: Keys {
            kv_heads: None,
            ..GGUF_LAYER_NORM_KEYS
        },
        older: &[],
        fixed: &[NO_EXPERTS],
        options: side_by_side,
    },
    hugging_face_layers: "gpt_neox.layers",
    hugging_face_variants: &[("gpt_neox.", ""), ("embed_out.", "lm_head.")],
    sources: &[
        &[
            (
                &EMBEDDING,
                &[source("gpt_neox.embed_in", "token_embd", |c| c.inputs)],
            ),
            (&HEAD, &[source("embed_out", "output", |c| c.vocab)]),
            (
                &FINAL_NORM,
                &[source("gpt_neox.final_layer_norm", "output_norm", hidden)],
            ),
            (
                &QKV,
                &[
                    source("attention.query_key_value", "attn_qkv", q_rows)
                        .cut(Cut::HeadByHead, Cut::Stacked)
                        .rotated(heads),
                    source("attention.query_key_value", "attn_qkv", kv_rows)
                        .cut(Cut::HeadByHead, Cut::Stacked)
                        .rotated(kv_heads),
                    source("attention.query_key_value", "attn_qkv", kv_rows)
                        .cut(Cut::HeadByHead, Cut::Stacked),
                ],
            ),
            (&OUT, &[source("attention.dense", "attn_output", hidden)]),
            (
                &GATE_UP,
                &[source("mlp.dense_h_to_4h", "ffn_up", intermediate)],
            ),
            (&DOWN, &[source("mlp.dense_4h_to_h", "ffn_down", hidden)]),
        ],
        SOURCES,
    ],
};

fn side_by_side(settings: &Settings<'_>, draft: &mut Draft) -> Result<(), SettingError> {
    draft.config.block.parallel = settings.flag("use_parallel_residual")?.unwrap_or(true);
    Ok(())
}
