//! The Gemma family: scaled embeddings, norms whose weights are stored minus 1, a gate with `gelu`;
//! Gemma 2 norms the results of its blocks, caps scores and logits, and sees a window in every
//! other layer; Gemma 3 norms queries and keys, and sees a window in five layers of six.

use super::block::{Activation, Norms};
use super::family::{Draft, Family, Format, Member, Sources, source};
use super::llama::{GGUF_KEYS, HUGGING_FACE_KEYS, QKV_BIAS, SOURCES, UNTIED, VARIANTS};
use super::options::{
    activation, attention_bias, cap, gguf_sliding_window, none, window_in_layers,
};
use super::parts::{FFN_NORM, hidden};
use super::settings::{Setting, SettingError, Settings};

/// Gemma 1, whose layers have two norms.
pub(super) static GEMMA: Family = Family {
    name: "gemma",
    members: &[Member {
        hugging_face: "GemmaForCausalLM",
        model_type: "gemma",
        defaults: &[
            ("head_dim", Setting::Number(256.0)),
            ("num_key_value_heads", Setting::Number(16.0)),
            ("tie_word_embeddings", Setting::Flag(true)),
        ],
        options: none,
        gguf: "gemma",
        gguf_interleaves: false,
        implies: scaled_embeddings,
    }],
    hugging_face: Format {
        keys: HUGGING_FACE_KEYS,
        older: &[],
        fixed: &[],
        options: |settings, draft| {
            stored_minus_one(draft);
            first_activation(settings, draft)?;
            attention_bias(settings, draft)
        },
    },
    gguf: Format {
        keys: GGUF_KEYS,
        older: &[],
        fixed: &[],
        options: |_, _| Ok(()),
    },
    sources: &[SOURCES],
    choices: &[QKV_BIAS, UNTIED],
    hugging_face_layers: "model.layers",
    hugging_face_variants: VARIANTS,
};

/// Gemma 2, whose layers have four norms.
pub(super) static GEMMA_2: Family = Family {
    name: "gemma2",
    members: &[Member {
        hugging_face: "Gemma2ForCausalLM",
        model_type: "gemma2",
        defaults: &[
            ("head_dim", Setting::Number(256.0)),
            ("num_key_value_heads", Setting::Number(4.0)),
            ("query_pre_attn_scalar", Setting::Number(256.0)),
            ("attn_logit_softcapping", Setting::Number(50.0)),
            ("final_logit_softcapping", Setting::Number(30.0)),
            ("sliding_window", Setting::Number(4096.0)),
            ("tie_word_embeddings", Setting::Flag(true)),
        ],
        options: none,
        gguf: "gemma2",
        gguf_interleaves: false,
        implies: |draft| {
            scaled_embeddings(draft);
            draft.config.block.norms = Norms::Around;
        },
    }],
    hugging_face: Format {
        keys: HUGGING_FACE_KEYS,
        older: &[],
        fixed: &[],
        options: |settings, draft| {
            shared_options(settings, draft)?;
            window_in_layers(settings, draft, |layer| layer.is_multiple_of(2))
        },
    },
    gguf: Format {
        keys: GGUF_KEYS,
        older: &[],
        fixed: &[],
        options: |settings, draft| {
            draft.config.block.score_cap = cap(settings, "attn_logit_softcapping")?;
            draft.config.block.logit_cap = cap(settings, "final_logit_softcapping")?;
            wide_heads(draft, 46);
            gguf_sliding_window(settings, draft, |layer| layer.is_multiple_of(2))
        },
    },
    sources: &[FOUR_NORMS, SOURCES],
    choices: &[QKV_BIAS, UNTIED],
    hugging_face_layers: "model.layers",
    hugging_face_variants: VARIANTS,
};

/// Gemma 3, which norms queries and keys, too.
pub(super) static GEMMA_3: Family = Family {
    name: "gemma3",
    members: &[Member {
        hugging_face: "Gemma3ForCausalLM",
        model_type: "gemma3_text",
        defaults: &[
            ("head_dim", Setting::Number(256.0)),
            ("num_key_value_heads", Setting::Number(4.0)),
            ("query_pre_attn_scalar", Setting::Number(256.0)),
            // Models that also see pictures leave these three out.
            ("num_attention_heads", Setting::Number(8.0)),
            ("rms_norm_eps", Setting::Number(1e-6)),
            ("max_position_embeddings", Setting::Number(131_072.0)),
            ("rope_theta", Setting::Number(1_000_000.0)),
            ("rope_local_base_freq", Setting::Number(10_000.0)),
            ("sliding_window", Setting::Number(4096.0)),
            ("tie_word_embeddings", Setting::Flag(true)),
        ],
        options: none,
        gguf: "gemma3",
        gguf_interleaves: false,
        implies: |draft| {
            scaled_embeddings(draft);
            draft.config.qk_norm = true;
            draft.config.block.norms = Norms::Around;
        },
    }],
    hugging_face: Format {
        keys: HUGGING_FACE_KEYS,
        older: &[],
        fixed: &[],
        options: |settings, draft| {
            shared_options(settings, draft)?;
            draft.local_theta = settings.number("rope_local_base_freq")?;
            let period = settings.size("sliding_window_pattern")?.unwrap_or(6).max(1);
            window_in_layers(settings, draft, |layer| !(layer + 1).is_multiple_of(period))
        },
    },
    gguf: Format {
        keys: GGUF_KEYS,
        older: &[],
        fixed: &[],
        options: |settings, draft| {
            let theta = settings.number("rope.freq_base_swa")?;
            draft.local_theta = Some(theta.unwrap_or(10_000.0));
            wide_heads(draft, 62);
            gguf_sliding_window(settings, draft, |layer| !(layer + 1).is_multiple_of(6))
        },
    },
    sources: &[FOUR_NORMS, SOURCES],
    choices: &[QKV_BIAS, UNTIED],
    hugging_face_layers: "model.layers",
    hugging_face_variants: VARIANTS,
};

/// What is named otherwise where layers have four norms.
const FOUR_NORMS: &[Sources] = &[(
    &FFN_NORM,
    &[source("pre_feedforward_layernorm", "ffn_norm", hidden)],
)];

fn scaled_embeddings(draft: &mut Draft) {
    draft.folds.embedding = (draft.config.hidden as f64).sqrt();
    draft.config.block.activation = Activation::GeluTanh;
}

/// Hugging Face folders hold the weights of norms minus 1, GGUF files as they are.
fn stored_minus_one(draft: &mut Draft) {
    draft.folds.norm_offset = 1.0;
}

/// `hidden_act` of early configurations says `gelu`, but the models were trained with tanh. Some
/// versions of transformers prefer `hidden_activation`, others do not know it.
fn first_activation(settings: &Settings<'_>, draft: &mut Draft) -> Result<(), SettingError> {
    let mut read = |key| {
        activation(settings, key, draft)?;
        let function = &mut draft.config.block.activation;
        if *function == Activation::Gelu {
            *function = Activation::GeluTanh;
        }
        Ok(*function)
    };
    let preferred = read("hidden_activation")?;
    match read("hidden_act")? == preferred || settings.get("hidden_activation").is_none() {
        true => Ok(()),
        false => Err(SettingError::Invalid(
            "the configuration's hidden_act and hidden_activation contradict each other".into(),
        )),
    }
}

/// Reads what Gemma 2 and 3 share. `hidden_act` means nothing to them.
fn shared_options(settings: &Settings<'_>, draft: &mut Draft) -> Result<(), SettingError> {
    stored_minus_one(draft);
    activation(settings, "hidden_activation", draft)?;
    attention_bias(settings, draft)?;
    // Scores are divided by the root of this number instead of the width of a head.
    let scalar = settings.required_number("query_pre_attn_scalar")?;
    draft.folds.scores = Some(1.0 / scalar.sqrt());
    draft.config.block.score_cap = cap(settings, "attn_logit_softcapping")?;
    draft.config.block.logit_cap = cap(settings, "final_logit_softcapping")?;
    Ok(())
}

/// The models of 27 B divide scores by the root of the width of the stream over the heads; GGUF
/// files tell them by their layers alone.
fn wide_heads(draft: &mut Draft, layers: usize) {
    let config = &draft.config;
    if config.layers == layers {
        let width = config.hidden as f64 / config.heads as f64;
        draft.folds.scores = Some(1.0 / width.sqrt());
    }
}
