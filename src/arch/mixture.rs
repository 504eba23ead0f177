//! Families whose feed-forward blocks are mixtures of experts: Qwen2-MoE, Qwen3-MoE, `OLMoE`,
//! Granite-MoE and Mixtral. What lies around the experts is Llama's.

use super::family::{Cut, Draft, Family, Fixed, Format, Keys, Member, Sources, source};
use super::granite;
use super::llama::{
    GGUF_KEYS, HUGGING_FACE_KEYS, OUT_BIAS, QKV_BIAS, SOURCES, UNTIED, VARIANTS, gate_rows,
};
use super::options::{
    activation, attention_bias, expect_bias, experts, none, shared_expert, switched_window,
    window_in_all_layers,
};
use super::parts::{
    DOWN, GATE_UP, ROUTER, SHARED_DOWN, SHARED_GATE_UP, chosen_experts as expert_count, hidden,
    intermediate, shared_scores,
};
use super::settings::{Setting, SettingError, Settings};

/// The table of Qwen2's mixtures, which also have an expert that all tokens share.
pub(super) static QWEN_2: Family = Family {
    name: "qwen2_moe",
    members: &[Member {
        hugging_face: "Qwen2MoeForCausalLM",
        model_type: "qwen2_moe",
        defaults: &[
            ("num_key_value_heads", Setting::Number(16.0)),
            ("moe_intermediate_size", Setting::Number(1408.0)),
            ("shared_expert_intermediate_size", Setting::Number(5632.0)),
            ("sliding_window", Setting::Number(4096.0)),
            ("max_window_layers", Setting::Number(28.0)),
            ("qkv_bias", Setting::Flag(true)),
        ],
        options: none,
        gguf: "qwen2moe",
        gguf_interleaves: false,
        implies: |_| {},
    }],
    choices: &[QKV_BIAS, UNTIED],
    hugging_face: Format {
        keys: QWEN_KEYS,
        older: OTHER_COUNT,
        fixed: &[],
        options: |settings, draft| {
            qwen_experts(settings, draft)?;
            shared_expert(settings, "shared_expert_intermediate_size", draft)?;
            activation(settings, "hidden_act", draft)?;
            expect_bias(settings, "qkv_bias", draft.config.attention_bias)?;
            // In every other one of the lower layers.
            let first = settings.size("max_window_layers")?.unwrap_or(0);
            switched_window(settings, draft, |layer| layer % 2 == 0 && layer < first)
        },
    },
    gguf: Format {
        keys: QWEN_GGUF_KEYS,
        older: &[],
        fixed: NO_OTHER_SHARES,
        options: |settings, draft| {
            experts(settings, "expert_count", "expert_used_count", false, draft)?;
            shared_expert(settings, "expert_shared_feed_forward_length", draft)
        },
    },
    hugging_face_layers: "model.layers",
    hugging_face_variants: VARIANTS,
    sources: &[
        &[
            (
                &ROUTER,
                &[
                    source("mlp.gate", "ffn_gate_inp", expert_count),
                    source(
                        "mlp.shared_expert_gate",
                        "ffn_gate_inp_shexp",
                        shared_scores,
                    )
                    .cut(Cut::Whole, Cut::OneRow),
                ],
            ),
            (
                &SHARED_GATE_UP,
                &[
                    source("mlp.shared_expert.gate_proj", "ffn_gate_shexp", gate_rows)
                        .cut(Cut::RowsOfPieces, Cut::RowsOfPieces),
                    source("mlp.shared_expert.up_proj", "ffn_up_shexp", intermediate)
                        .cut(Cut::RowsOfPieces, Cut::RowsOfPieces),
                ],
            ),
            (
                &SHARED_DOWN,
                &[
                    source("mlp.shared_expert.down_proj", "ffn_down_shexp", hidden)
                        .cut(Cut::ColumnsOfPieces, Cut::ColumnsOfPieces),
                ],
            ),
        ],
        EXPERTS,
        SOURCES,
    ],
};

/// The table of Qwen3's mixtures.
pub(super) static QWEN_3: Family = Family {
    name: "qwen3_moe",
    members: &[Member {
        hugging_face: "Qwen3MoeForCausalLM",
        model_type: "qwen3_moe",
        defaults: &[
            ("num_key_value_heads", Setting::Number(4.0)),
            ("sliding_window", Setting::Number(4096.0)),
        ],
        options: none,
        gguf: "qwen3moe",
        gguf_interleaves: false,
        implies: |draft| draft.config.qk_norm = true,
    }],
    choices: &[QKV_BIAS, OUT_BIAS, UNTIED],
    hugging_face: Format {
        keys: QWEN_KEYS,
        older: OTHER_COUNT,
        fixed: &[],
        options: |settings, draft| {
            qwen_experts(settings, draft)?;
            activation(settings, "hidden_act", draft)?;
            attention_bias(settings, draft)?;
            // Unlike other Qwen models, in all layers.
            match settings.flag("use_sliding_window")? {
                Some(true) => window_in_all_layers(settings, draft),
                _ => Ok(()),
            }
        },
    },
    gguf: Format {
        keys: QWEN_GGUF_KEYS,
        older: &[],
        fixed: NO_OTHER_ROUTING,
        options: |settings, draft| {
            experts(settings, "expert_count", "expert_used_count", true, draft)
        },
    },
    hugging_face_layers: "model.layers",
    hugging_face_variants: VARIANTS,
    sources: &[EXPERTS, SOURCES],
};

/// The table of `OLMoE`, which norms queries and keys over all heads together.
pub(super) static OLMOE: Family = Family {
    name: "olmoe",
    members: &[Member {
        hugging_face: "OlmoeForCausalLM",
        model_type: "olmoe",
        defaults: &[],
        options: none,
        gguf: "olmoe",
        gguf_interleaves: false,
        implies: |draft| {
            draft.config.qk_norm = true;
            draft.config.block.joint_qk_norm = true;
        },
    }],
    choices: &[QKV_BIAS, OUT_BIAS, UNTIED],
    hugging_face: Format {
        keys: HUGGING_FACE_KEYS,
        older: OTHER_COUNT,
        fixed: &[],
        options: |settings, draft| {
            if settings.number("clip_qkv")?.is_some() {
                return Err(SettingError::Unsupported(
                    "clipped queries, keys and values".into(),
                ));
            }
            let normalised = settings.flag("norm_topk_prob")?.unwrap_or(false);
            experts(
                settings,
                "num_experts",
                "num_experts_per_tok",
                normalised,
                draft,
            )?;
            attention_bias(settings, draft)?;
            activation(settings, "hidden_act", draft)
        },
    },
    gguf: Format {
        keys: GGUF_KEYS,
        older: &[],
        fixed: NO_OTHER_ROUTING,
        options: |settings, draft| {
            experts(settings, "expert_count", "expert_used_count", false, draft)
        },
    },
    hugging_face_layers: "model.layers",
    hugging_face_variants: VARIANTS,
    sources: &[EXPERTS, SOURCES],
};

/// The table of Mixtral. Its GGUF files have the architecture of Llama's.
pub(super) static MIXTRAL: Family = Family {
    name: "mixtral",
    members: &[Member {
        hugging_face: "MixtralForCausalLM",
        model_type: "mixtral",
        defaults: &[
            ("num_key_value_heads", Setting::Number(8.0)),
            ("rope_theta", Setting::Number(1_000_000.0)),
        ],
        options: none,
        gguf: "llama",
        gguf_interleaves: true,
        implies: |_| {},
    }],
    choices: &[UNTIED],
    hugging_face: Format {
        keys: HUGGING_FACE_KEYS,
        older: &[],
        fixed: &[],
        options: |settings, draft| {
            let (count, used) = ("num_local_experts", "num_experts_per_tok");
            experts(settings, count, used, true, draft)?;
            activation(settings, "hidden_act", draft)?;
            window_in_all_layers(settings, draft)
        },
    },
    gguf: Format {
        keys: GGUF_KEYS,
        older: &[],
        fixed: NO_OTHER_ROUTING,
        options: |settings, draft| {
            experts(settings, "expert_count", "expert_used_count", true, draft)
        },
    },
    hugging_face_layers: "model.layers",
    hugging_face_variants: VARIANTS,
    sources: &[
        &[
            (
                &ROUTER,
                &[source(
                    "block_sparse_moe.gate",
                    "ffn_gate_inp",
                    expert_count,
                )],
            ),
            (
                &GATE_UP,
                &[
                    source("block_sparse_moe.experts.#.w1", "ffn_gate_exps", gate_rows)
                        .cut(Cut::Whole, Cut::OfExperts),
                    source("block_sparse_moe.experts.#.w3", "ffn_up_exps", intermediate)
                        .cut(Cut::Whole, Cut::OfExperts),
                ],
            ),
            (
                &DOWN,
                &[
                    source("block_sparse_moe.experts.#.w2", "ffn_down_exps", hidden)
                        .cut(Cut::Whole, Cut::OfExperts),
                ],
            ),
        ],
        SOURCES,
    ],
};

/// The table of Granite's mixtures, which have Granite's factors.
pub(super) static GRANITE: Family = Family {
    name: "granite_moe",
    members: &[Member {
        hugging_face: "GraniteMoeForCausalLM",
        model_type: "granitemoe",
        defaults: granite::FACTORS,
        options: none,
        gguf: "granitemoe",
        gguf_interleaves: true,
        implies: |_| {},
    }],
    choices: &[QKV_BIAS, OUT_BIAS, UNTIED],
    hugging_face: Format {
        keys: HUGGING_FACE_KEYS,
        older: &[],
        fixed: &[],
        options: |settings, draft| {
            let (count, used) = ("num_local_experts", "num_experts_per_tok");
            experts(settings, count, used, true, draft)?;
            granite::hugging_face_options(settings, draft)
        },
    },
    gguf: Format {
        keys: GGUF_KEYS,
        older: &[],
        fixed: NO_OTHER_ROUTING,
        options: |settings, draft| {
            experts(settings, "expert_count", "expert_used_count", true, draft)?;
            granite::gguf_options(settings, draft)
        },
    },
    hugging_face_layers: "model.layers",
    hugging_face_variants: VARIANTS,
    sources: &[
        &[
            (
                &ROUTER,
                &[source(
                    "block_sparse_moe.router.layer",
                    "ffn_gate_inp",
                    expert_count,
                )],
            ),
            (
                &GATE_UP,
                &[
                    source("block_sparse_moe.input_linear", "ffn_gate_exps", gate_rows)
                        .cut(Cut::StackedOfExperts, Cut::OfExperts),
                    source("block_sparse_moe.input_linear", "ffn_up_exps", intermediate)
                        .cut(Cut::StackedOfExperts, Cut::OfExperts),
                ],
            ),
            (
                &DOWN,
                &[
                    source("block_sparse_moe.output_linear", "ffn_down_exps", hidden)
                        .cut(Cut::OfExperts, Cut::OfExperts),
                ],
            ),
        ],
        SOURCES,
    ],
};

/// Ways to weigh experts that none of these families has.
const NO_OTHER_SHARES: &[Fixed] = &[NO_OTHER_FUNCTION, NO_OTHER_SCALE];

const NO_OTHER_FUNCTION: Fixed = Fixed {
    key: "expert_gating_func",
    value: Setting::Number(1.0),
    otherwise: "shares of experts that are no softmax",
};

const NO_OTHER_SCALE: Fixed = Fixed {
    key: "expert_weights_scale",
    value: Setting::Number(1.0),
    otherwise: "shares of experts that are multiplied",
};

/// Ways to choose and to weigh experts that the other families do not have either.
const NO_OTHER_ROUTING: &[Fixed] = &[
    NO_OTHER_FUNCTION,
    NO_OTHER_SCALE,
    Fixed {
        key: "expert_shared_count",
        value: Setting::Number(0.0),
        otherwise: "experts that all tokens share",
    },
    Fixed {
        key: "expert_shared_feed_forward_length",
        value: Setting::Number(0.0),
        otherwise: "experts that all tokens share",
    },
    Fixed {
        key: "leading_dense_block_count",
        value: Setting::Number(0.0),
        otherwise: "experts in some layers and none in others",
    },
    Fixed {
        key: "expert_group_count",
        value: Setting::Number(1.0),
        otherwise: "groups of experts",
    },
];

/// The keys of Qwen's mixtures, in which the width is that of an expert.
const QWEN_KEYS: Keys = Keys {
    intermediate: "moe_intermediate_size",
    ..HUGGING_FACE_KEYS
};
const QWEN_GGUF_KEYS: Keys = Keys {
    intermediate: "expert_feed_forward_length",
    ..GGUF_KEYS
};

/// transformers writes either key.
const OTHER_COUNT: &[(&str, &str)] = &[("num_experts", "num_local_experts")];

/// The names of experts that most of these families share.
const EXPERTS: &[Sources] = &[
    (&ROUTER, &[source("mlp.gate", "ffn_gate_inp", expert_count)]),
    (
        &GATE_UP,
        &[
            source("mlp.experts.#.gate_proj", "ffn_gate_exps", gate_rows)
                .cut(Cut::Whole, Cut::OfExperts),
            source("mlp.experts.#.up_proj", "ffn_up_exps", intermediate)
                .cut(Cut::Whole, Cut::OfExperts),
        ],
    ),
    (
        &DOWN,
        &[source("mlp.experts.#.down_proj", "ffn_down_exps", hidden)
            .cut(Cut::Whole, Cut::OfExperts)],
    ),
];

/// Reads how Qwen's mixtures choose and weigh experts.
fn qwen_experts(settings: &Settings<'_>, draft: &mut Draft) -> Result<(), SettingError> {
    expect_mixtures_alone(settings)?;
    let normalised = settings.flag("norm_topk_prob")?.unwrap_or(false);
    let (count, used) = ("num_experts", "num_experts_per_tok");
    experts(settings, count, used, normalised, draft)
}

/// Refuses a model some of whose layers have no experts.
fn expect_mixtures_alone(settings: &Settings<'_>) -> Result<(), SettingError> {
    let step = settings.size("decoder_sparse_step")?.unwrap_or(1);
    let dense = settings.list("mlp_only_layers")?.unwrap_or_default();
    match step == 1 && dense.is_empty() {
        true => Ok(()),
        false => Err(SettingError::Unsupported(
            "experts in some layers and none in others".into(),
        )),
    }
}
