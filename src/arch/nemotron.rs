//! Nemotron: layer norms whose weights are stored minus 1, squared `relu`, no gate, and rotation of
//! a part of each head.

use super::block::{Activation, Norm};
use super::family::{Family, Format, Keys, Member, source};
use super::llama::{
    EMBEDDING_SOURCES, FEED_FORWARD_BIAS, FINAL_NORM_SOURCES, GGUF_KEYS, HEAD_SOURCES,
    HUGGING_FACE_KEYS, NO_EXPERTS, OUT_BIAS, OUT_SOURCES, QKV_BIAS, QKV_SOURCES, UNTIED, VARIANTS,
};
use super::options::{activation, none};
use super::parts::{ATTN_NORM, DOWN, FFN_NORM, GATE_UP, hidden, intermediate};

/// The table of the family.
pub(super) static FAMILY: Family = Family {
    name: "nemotron",
    members: &[Member {
        hugging_face: "NemotronForCausalLM",
        gguf: "nemotron",
        gguf_interleaves: false,
        implies: |draft| {
            let block = &mut draft.config.block;
            block.norm = Norm::Layer;
            block.ungated = true;
            block.activation = Activation::ReluSquared;
        },
    }],
    choices: &[QKV_BIAS, OUT_BIAS, FEED_FORWARD_BIAS, UNTIED],
    hugging_face: Format {
        keys: Keys {
            norm_eps: "norm_eps",
            ..HUGGING_FACE_KEYS
        },
        older: &[],
        fixed: &[],
        options: |settings, draft| {
            activation(settings, "hidden_act", draft)?;
            draft.folds.norm_offset = 1.0;
            Ok(())
        },
    },
    gguf: Format {
        keys: Keys {
            norm_eps: "attention.layer_norm_epsilon",
            ..GGUF_KEYS
        },
        older: &[],
        fixed: &[NO_EXPERTS],
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
        (&GATE_UP, &[source("mlp.up_proj", "ffn_up", intermediate)]),
        (&DOWN, &[source("mlp.down_proj", "ffn_down", hidden)]),
    ],
};
