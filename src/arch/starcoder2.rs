//! `StarCoder2`: layer norms and biases everywhere, no gate, and perhaps a window in all layers.

use super::block::{Activation, Norm};
use super::family::{Family, Format, Keys, Member, source};
use super::llama::{
    FEED_FORWARD_BIAS, GGUF_LAYER_NORM_KEYS, HUGGING_FACE_KEYS, NO_EXPERTS, OUT_BIAS, QKV_BIAS,
    SOURCES, UNTIED, VARIANTS,
};
use super::options::{activation, none, sliding_window};
use super::parts::{DOWN, GATE_UP, hidden, intermediate};

/// The table of the family.
pub(super) static FAMILY: Family = Family {
    name: "starcoder2",
    members: &[Member {
        hugging_face: "Starcoder2ForCausalLM",
        gguf: "starcoder2",
        gguf_interleaves: false,
        implies: |draft| {
            let block = &mut draft.config.block;
            block.norm = Norm::Layer;
            block.ungated = true;
            block.activation = Activation::GeluTanh;
        },
    }],
    choices: &[QKV_BIAS, OUT_BIAS, FEED_FORWARD_BIAS, UNTIED],
    hugging_face: Format {
        keys: Keys {
            norm_eps: "norm_epsilon",
            ..HUGGING_FACE_KEYS
        },
        older: &[],
        fixed: &[],
        options: |settings, draft| {
            activation(settings, "hidden_act", draft)?;
            sliding_window(settings, draft, |_| true)
        },
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
            (&GATE_UP, &[source("mlp.c_fc", "ffn_up", intermediate)]),
            (&DOWN, &[source("mlp.c_proj", "ffn_down", hidden)]),
        ],
        SOURCES,
    ],
};
