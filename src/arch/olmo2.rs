//! `OLMo` 2: Llama with a norm of each block's result instead of a norm before it, and norms of
//! queries and keys over all heads together. `OLMo` 3 sees a window in three layers of four.

use super::block::Norms;
use super::family::{Draft, Family, Format, Member};
use super::llama::{GGUF_KEYS, HUGGING_FACE_KEYS, OUT_BIAS, QKV_BIAS, SOURCES, UNTIED, VARIANTS};
use super::options::{activation, attention_bias, gguf_sliding_window, none, window_in_layers};
use super::settings::Setting;

/// The table of the family.
pub(super) static FAMILY: Family = Family {
    name: "olmo2",
    members: &[
        Member {
            hugging_face: "Olmo2ForCausalLM",
            model_type: "olmo2",
            defaults: &[],
            options: none,
            gguf: "olmo2",
            gguf_interleaves: false,
            implies: normed_results,
        },
        Member {
            hugging_face: "Olmo3ForCausalLM",
            model_type: "olmo3",
            defaults: &[
                ("rope_theta", Setting::Number(500_000.0)),
                ("rope_local_base_freq", Setting::Number(500_000.0)),
                ("sliding_window", Setting::Number(4096.0)),
            ],
            options: |settings, draft| {
                // Scaling for long contexts concerns the other layers only.
                draft.local_theta = settings.number("rope_local_base_freq")?;
                window_in_layers(settings, draft, three_of_four)
            },
            gguf: "olmo2",
            gguf_interleaves: false,
            implies: normed_results,
        },
    ],
    choices: &[QKV_BIAS, OUT_BIAS, UNTIED],
    hugging_face: Format {
        keys: HUGGING_FACE_KEYS,
        older: &[],
        fixed: &[],
        options: |settings, draft| {
            activation(settings, "hidden_act", draft)?;
            attention_bias(settings, draft)
        },
    },
    gguf: Format {
        keys: GGUF_KEYS,
        older: &[],
        fixed: &[],
        options: |settings, draft| gguf_sliding_window(settings, draft, three_of_four),
    },
    hugging_face_layers: "model.layers",
    hugging_face_variants: VARIANTS,
    sources: &[SOURCES],
};

fn normed_results(draft: &mut Draft) {
    draft.config.qk_norm = true;
    draft.config.block.joint_qk_norm = true;
    draft.config.block.norms = Norms::After;
}

fn three_of_four(layer: usize) -> bool {
    !(layer + 1).is_multiple_of(4)
}
