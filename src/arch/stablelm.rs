//! `StableLM`: Llama with layer norms and rotation of a part of each head.

use super::block::Norm;
use super::family::{Family, Fixed, Format, Member};
use super::llama::{
    GGUF_LAYER_NORM_KEYS, NO_EXPERTS, PARTLY_ROTATED_KEYS, QKV_BIAS, SOURCES, UNTIED, VARIANTS,
};
use super::options::{activation, expect_bias, none};
use super::settings::Setting;

/// The table of the family.
pub(super) static FAMILY: Family = Family {
    name: "stablelm",
    members: &[Member {
        hugging_face: "StableLmForCausalLM",
        model_type: "stablelm",
        defaults: &[
            ("num_key_value_heads", Setting::Number(32.0)),
            ("partial_rotary_factor", Setting::Number(0.25)),
        ],
        options: none,
        gguf: "stablelm",
        gguf_interleaves: false,
        implies: |draft| draft.config.block.norm = Norm::Layer,
    }],
    choices: &[QKV_BIAS, UNTIED],
    hugging_face: Format {
        keys: PARTLY_ROTATED_KEYS,
        older: &[],
        fixed: &[
            SEQUENTIAL,
            Fixed {
                key: "qk_layernorm",
                value: Setting::Flag(false),
                otherwise: "layer norms of queries and keys",
            },
        ],
        options: |settings, draft| {
            activation(settings, "hidden_act", draft)?;
            expect_bias(settings, "use_qkv_bias", draft.config.attention_bias)
        },
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
