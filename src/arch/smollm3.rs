//! `SmolLM3`: Llama without rotary positions in every fourth layer.

use super::family::{Draft, Family, Format, Member};
use super::llama::{
    FEED_FORWARD_BIAS, GGUF_KEYS, HUGGING_FACE_KEYS, NO_EXPERTS, OUT_BIAS, QKV_BIAS, SOURCES,
    UNTIED, VARIANTS,
};
use super::options::{activation, attention_bias, mlp_bias, none, switched_window};
use super::settings::{Setting, SettingError, Settings};

/// The table of the family.
pub(super) static FAMILY: Family = Family {
    name: "smollm3",
    members: &[Member {
        hugging_face: "SmolLM3ForCausalLM",
        model_type: "smollm3",
        defaults: &[
            ("num_key_value_heads", Setting::Number(4.0)),
            ("rope_theta", Setting::Number(2_000_000.0)),
            ("tie_word_embeddings", Setting::Flag(true)),
        ],
        options: none,
        gguf: "smollm3",
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
            attention_bias(settings, draft)?;
            mlp_bias(settings, draft)?;
            let unrotated = unrotated(settings, draft)?;
            switched_window(settings, draft, |layer| unrotated.contains(&layer))?;
            draft.config.block.unrotated = unrotated;
            Ok(())
        },
    },
    gguf: Format {
        keys: GGUF_KEYS,
        older: &[],
        fixed: &[NO_EXPERTS],
        options: |_, draft| {
            draft.config.block.unrotated = every(4, draft.config.layers);
            Ok(())
        },
    },
    hugging_face_layers: "model.layers",
    hugging_face_variants: VARIANTS,
    sources: &[SOURCES],
};

/// `no_rope_layers` has a 0 for each layer that does not rotate; without such a list, the last of
/// every `no_rope_layer_interval` layers does not.
fn unrotated(settings: &Settings<'_>, draft: &Draft) -> Result<Vec<usize>, SettingError> {
    let layers = draft.config.layers;
    let Some(flags) = settings.list("no_rope_layers")? else {
        let interval = settings.size("no_rope_layer_interval")?.unwrap_or(4);
        return Ok(every(interval.max(1), layers));
    };
    if flags.len() != layers {
        let reason = format!(
            "no_rope_layers names {} layers, expected {layers}",
            flags.len()
        );
        return Err(SettingError::Invalid(reason));
    }
    let is_off = |flag: &Setting<'_>| matches!(flag, Setting::Number(0.0) | Setting::Flag(false));
    let numbered = flags.iter().enumerate();
    Ok(numbered
        .filter(|(_, flag)| is_off(flag))
        .map(|(layer, _)| layer)
        .collect())
}

/// The last of every `interval` layers.
fn every(interval: usize, layers: usize) -> Vec<usize> {
    (0..layers)
        .filter(|layer| (layer + 1).is_multiple_of(interval))
        .collect()
}
