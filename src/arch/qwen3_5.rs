//! Qwen3.5's dense models: three layers of four have a recurrence, the fourth has attention with a
//! gate.

use super::block::Recurrent;
use super::family::{
    Cut, Draft, Family, Fixed, Format, Keys, Member, Recurrences, Sources, source,
};
use super::llama::{GGUF_KEYS, HUGGING_FACE_KEYS, SOURCES, UNTIED, VARIANTS};
use super::options::named_layers;
use super::parts::{
    FFN_NORM, QKV, RECURRENT_CONV, RECURRENT_IN, RECURRENT_NORM, RECURRENT_OUT, RECURRENT_RATE,
    RECURRENT_SHIFT, heads, hidden, kv_heads, kv_rows, q_rows, recurrent_values, value_heads,
};
use super::settings::{Setting, SettingError, Settings};

/// The table of the family.
pub(super) static FAMILY: Family = Family {
    name: "qwen3_5",
    members: &[Member {
        hugging_face: "Qwen3_5ForCausalLM",
        model_type: "qwen3_5_text",
        defaults: DEFAULTS,
        options: |_, _| Ok(()),
        gguf: "qwen35",
        gguf_interleaves: false,
        implies,
    }],
    choices: &[UNTIED],
    hugging_face: Format {
        keys: Keys {
            rotary_fraction: Some(ROTARY_FRACTION),
            ..HUGGING_FACE_KEYS
        },
        older: &[],
        fixed: &[
            Fixed {
                key: "hidden_act",
                value: Setting::Text("silu"),
                otherwise: "another activation",
            },
            Fixed {
                key: "attention_bias",
                value: Setting::Flag(false),
                otherwise: "biases of attention",
            },
            Fixed {
                key: "attn_output_gate",
                value: Setting::Flag(true),
                otherwise: "attention without a gate",
            },
        ],
        options,
    },
    gguf: Format {
        keys: GGUF_KEYS,
        older: &[],
        fixed: &[Fixed {
            key: "attention.recurrent_layers",
            value: Setting::Other,
            otherwise: "a list of the layers with a recurrence",
        }],
        options: gguf_options,
    },
    hugging_face_layers: "model.layers",
    hugging_face_variants: VARIANTS,
    sources: &[OWN, SOURCES],
};

const ROTARY_FRACTION: &str = "partial_rotary_factor";

const DEFAULTS: &[(&str, Setting<'static>)] = &[
    (ROTARY_FRACTION, Setting::Number(0.25)),
    ("num_key_value_heads", Setting::Number(4.0)),
    ("head_dim", Setting::Number(256.0)),
    ("linear_num_key_heads", Setting::Number(16.0)),
    ("linear_num_value_heads", Setting::Number(32.0)),
    ("linear_key_head_dim", Setting::Number(128.0)),
    ("linear_value_head_dim", Setting::Number(128.0)),
    ("linear_conv_kernel_dim", Setting::Number(4.0)),
];

fn implies(draft: &mut Draft) {
    draft.config.qk_norm = true;
    draft.config.block.attention_gate = true;
}

fn options(settings: &Settings<'_>, draft: &mut Draft) -> Result<(), SettingError> {
    draft.folds.norm_offset = 1.0;
    let layers = draft.config.layers;
    let layers = match settings.list("layer_types")? {
        Some(types) => named_layers(&types, layers, "linear_attention")?,
        None => layers_by_interval(settings, layers)?,
    };
    let size = |key| settings.required_size(key);
    draft.config.block.recurrent = Some(Recurrent {
        layers,
        key_heads: size("linear_num_key_heads")?,
        value_heads: size("linear_num_value_heads")?,
        key_dim: size("linear_key_head_dim")?,
        value_dim: size("linear_value_head_dim")?,
        taps: size("linear_conv_kernel_dim")?,
    });
    Ok(())
}

/// llama.cpp's converter adds 1 to the weights of norms, and counts layers that predict further
/// tokens.
fn gguf_options(settings: &Settings<'_>, draft: &mut Draft) -> Result<(), SettingError> {
    draft.recurrences = Recurrences {
        negative_rates: true,
        tiled_heads: true,
    };
    let further = settings.size("nextn_predict_layers")?.unwrap_or(0);
    let config = &mut draft.config;
    config.layers = config.layers.saturating_sub(further);
    let size = |key| settings.required_size(key);
    let (value_heads, values) = (size("ssm.time_step_rank")?, size("ssm.inner_size")?);
    config.block.recurrent = Some(Recurrent {
        layers: layers_by_interval(settings, config.layers)?,
        key_heads: size("ssm.group_count")?,
        value_heads,
        key_dim: size("ssm.state_size")?,
        value_dim: values.checked_div(value_heads).unwrap_or(0),
        taps: size("ssm.conv_kernel")?,
    });
    Ok(())
}

/// All layers but each fourth, or another interval.
fn layers_by_interval(settings: &Settings<'_>, layers: usize) -> Result<Vec<usize>, SettingError> {
    let interval = settings.size("full_attention_interval")?.unwrap_or(4);
    let is_last = |layer: &usize| (layer + 1).is_multiple_of(interval.max(1));
    Ok((0..layers).filter(|layer| !is_last(layer)).collect())
}

/// The names of what other families lack.
const OWN: &[Sources] = &[
    (
        &QKV,
        &[
            source("self_attn.q_proj", "attn_q", q_rows)
                .rotated(heads)
                .cut(Cut::QueryOfPairs, Cut::QueryOfPairs),
            source("self_attn.k_proj", "attn_k", kv_rows).rotated(kv_heads),
            source("self_attn.v_proj", "attn_v", kv_rows),
            source("self_attn.q_proj", "attn_q", q_rows).cut(Cut::GateOfPairs, Cut::GateOfPairs),
        ],
    ),
    (
        &FFN_NORM,
        &[source(
            "post_attention_layernorm",
            "post_attention_norm",
            hidden,
        )],
    ),
    (
        &RECURRENT_IN,
        &[
            source("linear_attn.in_proj_qkv", "attn_qkv", RECURRENT_CONV.rows),
            source("linear_attn.in_proj_b", "ssm_beta", value_heads),
            source("linear_attn.in_proj_a", "ssm_alpha", value_heads),
            source("linear_attn.in_proj_z", "attn_gate", recurrent_values),
        ],
    ),
    (
        &RECURRENT_CONV,
        &[
            source("linear_attn.conv1d", "ssm_conv1d", RECURRENT_CONV.rows)
                .cut(Cut::OfChannels, Cut::Whole),
        ],
    ),
    (
        &RECURRENT_RATE,
        &[source("linear_attn.A_log", "ssm_a", value_heads).bare()],
    ),
    (
        &RECURRENT_SHIFT,
        &[source("linear_attn.dt_bias", "ssm_dt.bias", value_heads).bare()],
    ),
    (
        &RECURRENT_NORM,
        &[source("linear_attn.norm", "ssm_norm", RECURRENT_NORM.rows)],
    ),
    (
        &RECURRENT_OUT,
        &[source("linear_attn.out_proj", "ssm_out", hidden)],
    ),
];
