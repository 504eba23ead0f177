//! `OLMo` 2: Llama with a norm of each block's result instead of a norm before it, and norms of
//! queries and keys over all heads together. `OLMo` 3 sees a window in three layers of four.

use super::block::Norms;
use super::family::{Draft, Family, Format, Member};
use super::llama::{GGUF_KEYS, HUGGING_FACE_KEYS, OUT_BIAS, QKV_BIAS, SOURCES, UNTIED, VARIANTS};
use super::options::{activation, gguf_sliding_window, sliding_window};

/// The table of the family.
pub(super) static FAMILY: Family = Family {
    name: "olmo2",
    members: &[
        Member {
            hugging_face: "Olmo2ForCausalLM",
            gguf: "olmo2",
            gguf_interleaves: false,
            implies: normed_results,
        },
        Member {
            hugging_face: "Olmo3ForCausalLM",
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
            // Scaling for long contexts concerns the other layers only.
            let theta = match settings.number("rope_local_base_freq")? {
                None => settings.number("rope_theta")?,
                theta => theta,
            };
            draft.local_theta = Some(theta.unwrap_or(10_000.0));
            sliding_window(settings, draft, three_of_four)
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
