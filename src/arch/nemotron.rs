//! Nemotron: layer norms whose weights are stored minus 1, squared `relu`, no gate, and rotation of
//! a part of each head.

use super::block::{Activation, Norm};
use super::family::{Family, Format, Keys, Member};
use super::llama::{
    FEED_FORWARD_BIAS, GGUF_LAYER_NORM_KEYS, HUGGING_FACE_KEYS, NO_EXPERTS, OUT_BIAS, QKV_BIAS,
    SOURCES, UNTIED, VARIANTS,
};
use super::options::{activation, none};

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
        keys: GGUF_LAYER_NORM_KEYS,
        older: &[],
        fixed: &[NO_EXPERTS],
        options: none,
    },
    hugging_face_layers: "model.layers",
    hugging_face_variants: VARIANTS,
    sources: &[SOURCES],
};
