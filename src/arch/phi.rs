//! Phi-1 to Phi-2: layer norms with biases, one for both blocks of a layer, which are side by side;
//! rotation of a part of each head, biases everywhere, and no gate.

use super::block::{Activation, Norm};
use super::family::{Cut, Family, Fixed, Format, Member, SourceSpec, source};
use super::llama::{
    GGUF_LAYER_NORM_KEYS, NO_EXPERTS, PARTLY_ROTATED_KEYS, SOURCES, UNTIED, VARIANTS,
};
use super::options::{activation, none};
use super::parts::{
    ATTN_NORM, DOWN, FFN_NORM, FINAL_NORM, GATE_UP, OUT, QKV, heads, hidden, intermediate,
    kv_heads, kv_rows, q_rows,
};
use super::settings::Setting;

/// The table of the family.
pub(super) static FAMILY: Family = Family {
    name: "phi",
    members: &[Member {
        hugging_face: "PhiForCausalLM",
        model_type: "phi",
        defaults: &[("partial_rotary_factor", Setting::Number(0.5))],
        options: none,
        gguf: "phi2",
        gguf_interleaves: false,
        implies: |draft| {
            let config = &mut draft.config;
            config.attention_bias = true;
            let block = &mut config.block;
            block.norm = Norm::Layer;
            block.parallel = true;
            block.ungated = true;
            block.activation = Activation::GeluTanh;
            (block.out_bias, block.feed_forward_bias, block.head_bias) = (true, true, !config.tied);
        },
    }],
    choices: &[UNTIED],
    hugging_face: Format {
        keys: PARTLY_ROTATED_KEYS,
        older: &[],
        fixed: &[Fixed {
            key: "qk_layernorm",
            value: Setting::Flag(false),
            otherwise: "layer norms of queries and keys",
        }],
        options: |settings, draft| activation(settings, "hidden_act", draft),
    },
    gguf: Format {
        keys: GGUF_LAYER_NORM_KEYS,
        older: &[],
        fixed: &[NO_EXPERTS],
        options: none,
    },
    hugging_face_layers: "model.layers",
    hugging_face_variants: VARIANTS,
    sources: &[
        &[
            (
                &FINAL_NORM,
                &[source("model.final_layernorm", "output_norm", hidden)],
            ),
            (&ATTN_NORM, NORM),
            (
                &QKV,
                &[
                    source("self_attn.q_proj", "attn_qkv", q_rows)
                        .cut(Cut::Whole, Cut::Stacked)
                        .rotated(heads),
                    source("self_attn.k_proj", "attn_qkv", kv_rows)
                        .cut(Cut::Whole, Cut::Stacked)
                        .rotated(kv_heads),
                    source("self_attn.v_proj", "attn_qkv", kv_rows).cut(Cut::Whole, Cut::Stacked),
                ],
            ),
            (&OUT, &[source("self_attn.dense", "attn_output", hidden)]),
            (&FFN_NORM, NORM),
            (&GATE_UP, &[source("mlp.fc1", "ffn_up", intermediate)]),
            (&DOWN, &[source("mlp.fc2", "ffn_down", hidden)]),
        ],
        SOURCES,
    ],
};

/// The norm that both blocks take.
const NORM: &[SourceSpec] = &[source("input_layernorm", "attn_norm", hidden)];
