//! Nemotron: layer norms whose weights are stored minus 1, squared `relu`, no gate, and rotation of
//! a part of each head.

use super::block::{Activation, Norm};
use super::family::{Family, Format, Keys, Member};
use super::llama::{
    FEED_FORWARD_BIAS, GGUF_LAYER_NORM_KEYS, NO_EXPERTS, OUT_BIAS, PARTLY_ROTATED_KEYS, QKV_BIAS,
    SOURCES, UNTIED, VARIANTS,
};
use super::options::{activation, attention_bias, mlp_bias, none};
use super::settings::Setting;

/// The table of the family.
pub(super) static FAMILY: Family = Family {
    name: "nemotron",
    members: &[Member {
        hugging_face: "NemotronForCausalLM",
        model_type: "nemotron",
        defaults: &[("partial_rotary_factor", Setting::Number(0.5))],
        options: none,
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
            ..PARTLY_ROTATED_KEYS
        },
        older: &[],
        fixed: &[],
        options: |settings, draft| {
            activation(settings, "hidden_act", draft)?;
            attention_bias(settings, draft)?;
            mlp_bias(settings, draft)?;
            draft.folds.norm_offset = 1.0;
            Ok(())
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
    sources: &[SOURCES],
};
