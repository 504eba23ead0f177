//! `StableLM`: Llama with layer norms and rotation of a part of each head.

use super::block::Norm;
use super::family::{Family, Fixed, Format, Keys, Member, source};
use super::llama::{
    DOWN_SOURCES, EMBEDDING_SOURCES, FINAL_NORM_SOURCES, GATE_UP_SOURCES, GGUF_KEYS, HEAD_SOURCES,
    HUGGING_FACE_KEYS, NO_EXPERTS, OUT_SOURCES, QKV_BIAS, QKV_SOURCES, UNTIED, VARIANTS,
};
use super::options::{activation, none};
use super::parts::{ATTN_NORM, FFN_NORM, hidden};
use super::settings::Setting;

/// The table of the family.
pub(super) static FAMILY: Family = Family {
    name: "stablelm",
    members: &[Member {
        hugging_face: "StableLmForCausalLM",
        gguf: "stablelm",
        gguf_interleaves: false,
        implies: |draft| draft.config.block.norm = Norm::Layer,
    }],
    choices: &[QKV_BIAS, UNTIED],
    hugging_face: Format {
        keys: Keys {
            norm_eps: "layer_norm_eps",
            ..HUGGING_FACE_KEYS
        },
        older: &[],
        fixed: &[
            Fixed {
                key: "use_parallel_residual",
                value: Setting::Flag(false),
                otherwise: "blocks side by side in this family",
            },
            Fixed {
                key: "qk_layernorm",
                value: Setting::Flag(false),
                otherwise: "layer norms of queries and keys",
            },
        ],
        options: |settings, draft| activation(settings, "hidden_act", draft),
    },
    gguf: Format {
        keys: Keys {
            norm_eps: "attention.layer_norm_epsilon",
            ..GGUF_KEYS
        },
        older: &[],
        fixed: &[
            NO_EXPERTS,
            Fixed {
                key: "use_parallel_residual",
                value: Setting::Flag(false),
                otherwise: "blocks side by side in this family",
            },
        ],
        options: none,
    },
    hugging_face_layers: "model.layers",
    hugging_face_variants: VARIANTS,
    sources: &[
        EMBEDDING_SOURCES,
        HEAD_SOURCES,
        FINAL_NORM_SOURCES,
        (
            &ATTN_NORM,
            &[source("input_layernorm", "attn_norm", hidden)],
        ),
        QKV_SOURCES,
        OUT_SOURCES,
        (
            &FFN_NORM,
            &[source("post_attention_layernorm", "ffn_norm", hidden)],
        ),
        GATE_UP_SOURCES,
        DOWN_SOURCES,
    ],
};
