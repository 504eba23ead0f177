//! The Gemma family: scaled embeddings, norms whose weights are stored minus 1, a gate with `gelu`;
//! Gemma 2 norms the results of its blocks, caps scores and logits, and sees a window in every
//! other layer; Gemma 3 norms queries and keys, and sees a window in five layers of six.

use super::block::{Activation, Norms};
use super::family::{Draft, Family, Format, Member, Sources, source};
use super::llama::{GGUF_KEYS, HUGGING_FACE_KEYS, QKV_BIAS, SOURCES, UNTIED, VARIANTS};
use super::options::{activation, cap, gguf_sliding_window, sliding_window};
use super::parts::{FFN_NORM, hidden};
use super::settings::{SettingError, Settings};

/// Gemma 1, whose layers have two norms.
pub(super) static GEMMA: Family = Family {
    name: "gemma",
    members: &[Member {
        hugging_face: "GemmaForCausalLM",
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
            named_activation(settings, draft)
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
            stored_minus_one(draft);
            named_activation(settings, draft)?;
            query_scalar(settings, draft)?;
            draft.config.block.score_cap = cap(settings, "attn_logit_softcapping")?;
            draft.config.block.logit_cap = cap(settings, "final_logit_softcapping")?;
            sliding_window(settings, draft, |layer| layer.is_multiple_of(2))
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
            stored_minus_one(draft);
            named_activation(settings, draft)?;
            query_scalar(settings, draft)?;
            draft.config.block.score_cap = cap(settings, "attn_logit_softcapping")?;
            draft.config.block.logit_cap = cap(settings, "final_logit_softcapping")?;
            let theta = settings.number("rope_local_base_freq")?;
            draft.local_theta = Some(theta.unwrap_or(10_000.0));
            let period = settings.size("sliding_window_pattern")?.unwrap_or(6).max(1);
            sliding_window(settings, draft, |layer| !(layer + 1).is_multiple_of(period))
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

/// `hidden_act` of early configurations says `gelu`, but the models were trained with tanh.
fn named_activation(settings: &Settings<'_>, draft: &mut Draft) -> Result<(), SettingError> {
    activation(settings, "hidden_activation", draft)?;
    if settings.get("hidden_activation").is_none() {
        activation(settings, "hidden_act", draft)?;
    }
    if draft.config.block.activation == Activation::Gelu {
        draft.config.block.activation = Activation::GeluTanh;
    }
    Ok(())
}

/// Scores are divided by the root of this number instead of the width of a head.
fn query_scalar(settings: &Settings<'_>, draft: &mut Draft) -> Result<(), SettingError> {
    let scalar = settings.number("query_pre_attn_scalar")?;
    draft.folds.scores = scalar.map(|scalar| 1.0 / scalar.sqrt());
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
