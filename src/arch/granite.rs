//! Granite: Llama with factors on embeddings, scores, blocks and logits.

use super::family::{Draft, Family, Format, Member};
use super::llama::{
    FEED_FORWARD_BIAS, GGUF_KEYS, HUGGING_FACE_KEYS, NO_EXPERTS, OUT_BIAS, QKV_BIAS, SOURCES,
    UNTIED, VARIANTS,
};
use super::options::{activation, attention_bias, factor, mlp_bias, none};
use super::settings::{Setting, SettingError, Settings};

/// The table of the family.
pub(super) static FAMILY: Family = Family {
    name: "granite",
    members: &[Member {
        hugging_face: "GraniteForCausalLM",
        model_type: "granite",
        defaults: FACTORS,
        options: none,
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
            hugging_face_options(settings, draft)?;
            mlp_bias(settings, draft)
        },
    },
    gguf: Format {
        keys: GGUF_KEYS,
        older: &[],
        fixed: &[NO_EXPERTS],
        options: gguf_options,
    },
    hugging_face_layers: "model.layers",
    hugging_face_variants: VARIANTS,
    sources: &[SOURCES],
};

/// The scores of attention, too, are as they are where nothing is said of them.
pub(super) const FACTORS: &[(&str, Setting<'_>)] =
    &[("attention_multiplier", Setting::Number(1.0))];

/// Reads the function of the feed-forward block, the factors, and whether attention has biases.
pub(super) fn hugging_face_options(
    settings: &Settings<'_>,
    draft: &mut Draft,
) -> Result<(), SettingError> {
    activation(settings, "hidden_act", draft)?;
    attention_bias(settings, draft)?;
    let folds = &mut draft.folds;
    folds.embedding = factor(settings, "embedding_multiplier")?;
    folds.scores = Some(settings.required_number("attention_multiplier")?);
    folds.residual = factor(settings, "residual_multiplier")?;
    folds.logits = 1.0 / factor(settings, "logits_scaling")?;
    Ok(())
}

/// Reads the factors.
pub(super) fn gguf_options(settings: &Settings<'_>, draft: &mut Draft) -> Result<(), SettingError> {
    let folds = &mut draft.folds;
    folds.embedding = factor(settings, "embedding_scale")?;
    folds.scores = settings.number("attention.scale")?;
    folds.residual = factor(settings, "residual_scale")?;
    folds.logits = 1.0 / factor(settings, "logit_scale")?;
    Ok(())
}
