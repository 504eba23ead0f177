//! `StarCoder2`: layer norms and biases everywhere, no gate, and perhaps a window in all layers.

use super::block::{Activation, Norm};
use super::family::{Family, Format, Keys, Member, source};
use super::llama::{
    FEED_FORWARD_BIAS, GGUF_LAYER_NORM_KEYS, HUGGING_FACE_KEYS, NO_EXPERTS, OUT_BIAS, QKV_BIAS,
    SOURCES, UNTIED, VARIANTS,
};
use super::options::{activation, expect_bias, none, window_in_all_layers};
use super::parts::{DOWN, GATE_UP, hidden, intermediate};
use super::settings::Setting;

/// The table of the family.
pub(super) static FAMILY: Family = Family {
    name: "starcoder2",
    members: &[Member {
        hugging_face: "Starcoder2ForCausalLM",
        model_type: "starcoder2",
        defaults: &[
            ("num_key_value_heads", Setting::Number(2.0)),
            ("use_bias", Setting::Flag(true)),
            ("tie_word_embeddings", Setting::Flag(true)),
        ],
        options: none,
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
            let config = &draft.config;
            let attention = config.attention_bias || config.block.out_bias;
            let found = attention || config.block.feed_forward_bias;
            expect_bias(settings, "use_bias", found)?;
            window_in_all_layers(settings, draft)
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
