//! The Phi-3 family: Llama with stacked projections, and perhaps a window in all layers.

use super::family::{Cut, Family, Format, Keys, Member, source};
use super::llama::{
    GGUF_KEYS, HUGGING_FACE_KEYS, NO_EXPERTS, SOURCES, UNTIED, VARIANTS, gate_rows,
};
use super::options::{activation, gguf_sliding_window, none, window_in_all_layers};
use super::parts::{GATE_UP, QKV, heads, intermediate, kv_heads, kv_rows, q_rows};
use super::settings::Setting;

/// The table of the family.
pub(super) static FAMILY: Family = Family {
    name: "phi3",
    members: &[Member {
        hugging_face: "Phi3ForCausalLM",
        model_type: "phi3",
        defaults: &[("original_max_position_embeddings", Setting::Number(4096.0))],
        options: none,
        gguf: "phi3",
        gguf_interleaves: false,
        implies: |_| {},
    }],
    choices: &[UNTIED],
    hugging_face: Format {
        keys: Keys {
            rotary_fraction: Some("partial_rotary_factor"),
            ..HUGGING_FACE_KEYS
        },
        older: &[],
        fixed: &[],
        options: |settings, draft| {
            activation(settings, "hidden_act", draft)?;
            window_in_all_layers(settings, draft)
        },
    },
    gguf: Format {
        keys: GGUF_KEYS,
        older: &[],
        fixed: &[NO_EXPERTS],
        options: |settings, draft| {
            // 0 stands for no window.
            match settings.size("attention.sliding_window")? {
                Some(0) => Ok(()),
                _ => gguf_sliding_window(settings, draft, |_| true),
            }
        },
    },
    hugging_face_layers: "model.layers",
    hugging_face_variants: VARIANTS,
    sources: &[
        &[
            (
                &QKV,
                &[
                    source("self_attn.qkv_proj", "attn_qkv", q_rows)
                        .cut(Cut::Stacked, Cut::Stacked)
                        .rotated(heads),
                    source("self_attn.qkv_proj", "attn_qkv", kv_rows)
                        .cut(Cut::Stacked, Cut::Stacked)
                        .rotated(kv_heads),
                    source("self_attn.qkv_proj", "attn_qkv", kv_rows)
                        .cut(Cut::Stacked, Cut::Stacked),
                ],
            ),
            (
                &GATE_UP,
                &[
                    source("mlp.gate_up_proj", "ffn_up", gate_rows).cut(Cut::Stacked, Cut::Stacked),
                    source("mlp.gate_up_proj", "ffn_up", intermediate)
                        .cut(Cut::Stacked, Cut::Stacked),
                ],
            ),
        ],
        SOURCES,
    ],
};
