//! `StableLM`: Llama with layer norms and rotation of a part of each head.

use super::block::Norm;
use super::family::{Family, Fixed, Format, Keys, Member};
use super::llama::{
    GGUF_LAYER_NORM_KEYS, HUGGING_FACE_KEYS, NO_EXPERTS, QKV_BIAS, SOURCES, UNTIED, VARIANTS,
};
use super::options::{activation, none};
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
            SEQUENTIAL,
            Fixed {
                key: "qk_layernorm",
                value: Setting::Flag(false),
                otherwise: "layer norms of queries and keys",
            },
        ],
        options: |settings, draft| activation(settings, "hidden_act", draft),
    },
    gguf: Format {
        keys: GGUF_LAYER_NORM_KEYS,
        older: &[],
        fixed: &[NO_EXPERTS, SEQUENTIAL],
        options: none,
    },
    hugging_face_layers: "model.layers",
    hugging_face_variants: VARIANTS,
    sources: &[SOURCES],
};

/// The blocks of a layer, one after the other.
const SEQUENTIAL: Fixed = Fixed {
    key: "use_parallel_residual",
    value: Setting::Flag(false),
    otherwise: "blocks side by side in this family",
};
