//! Granite: Llama with factors on embeddings, scores, blocks and logits.

use super::family::{Family, Format, Member};
use super::llama::{
    FEED_FORWARD_BIAS, GGUF_KEYS, HUGGING_FACE_KEYS, NO_EXPERTS, OUT_BIAS, QKV_BIAS, SOURCES,
    UNTIED, VARIANTS,
};
use super::options::{activation, factor};

/// The table of the family.
pub(super) static FAMILY: Family = Family {
    name: "granite",
    members: &[Member {
        hugging_face: "GraniteForCausalLM",
        gguf: "granite",
        gguf_interleaves: true,
        implies: |_| {},
    }],
    choices: &[QKV_BIAS, OUT_BIAS, FEED_FORWARD_BIAS, UNTIED],
    hugging_face: Format {
        keys: HUGGING_FACE_KEYS,
        older: &[],
        fixed: &[],
        options: |settings, draft| {
            activation(settings, "hidden_act", draft)?;
            let folds = &mut draft.folds;
            folds.embedding = factor(settings, "embedding_multiplier")?;
            folds.scores = settings.number("attention_multiplier")?;
            folds.residual = factor(settings, "residual_multiplier")?;
            folds.logits = 1.0 / factor(settings, "logits_scaling")?;
            Ok(())
        },
    },
    gguf: Format {
        keys: GGUF_KEYS,
        older: &[],
        fixed: &[NO_EXPERTS],
        options: |settings, draft| {
            let folds = &mut draft.folds;
            folds.embedding = factor(settings, "embedding_scale")?;
            folds.scores = settings.number("attention.scale")?;
            folds.residual = factor(settings, "residual_scale")?;
            folds.logits = 1.0 / factor(settings, "logit_scale")?;
            Ok(())
        },
    },
    hugging_face_layers: "model.layers",
    hugging_face_variants: VARIANTS,
    sources: SOURCES,
};
