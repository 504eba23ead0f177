//! What `config.json` says of the rotary embedding.

use crate::arch::rope::RopeScaling;
use crate::import::SourceError;
use serde_json::Value;

/// What `config.json` says of the rotary embedding in objects of their own; null if nothing.
pub(super) struct Parameters<'a> {
    pub(super) all: &'a Value,
    /// Of layers with a window, if they have parameters of their own.
    pub(super) local: &'a Value,
}

/// The objects that hold the settings of the rotary embedding.
///
/// # Errors
/// If something else is in their place.
pub(super) fn parameters(config: &Value) -> Result<Parameters<'_>, SourceError> {
    let parameters = match &config["rope_parameters"] {
        Value::Null => &config["rope_scaling"],
        parameters => parameters,
    };
    match parameters {
        Value::Null | Value::Object(_) => Ok(match &parameters["full_attention"] {
            Value::Null => Parameters {
                all: parameters,
                local: &Value::Null,
            },
            all => Parameters {
                all,
                local: &parameters["sliding_attention"],
            },
        }),
        other => Err(SourceError::Invalid(format!("rope_scaling is {other}"))),
    }
}

/// The scaling that these parameters describe.
///
/// # Errors
/// If the engine has no such scaling, or a parameter is missing.
pub(super) fn scaling(
    parameters: &Parameters<'_>,
    config: &Value,
) -> Result<RopeScaling, SourceError> {
    let parameters = parameters.all;
    let number = |name: &str| {
        let lacks = || SourceError::Invalid(format!("rope_scaling lacks {name}"));
        parameters[name].as_f64().ok_or_else(lacks)
    };
    match kind(parameters)? {
        None | Some("default") => Ok(RopeScaling::None),
        Some("linear") => Ok(RopeScaling::Linear {
            factor: number("factor")?,
        }),
        Some("llama3") => Ok(RopeScaling::Llama3 {
            factor: number("factor")?,
            low: number("low_freq_factor")?,
            high: number("high_freq_factor")?,
            original_positions: number("original_max_position_embeddings")?,
        }),
        // Changes nothing below the length that the model was trained with.
        Some("dynamic") => Ok(RopeScaling::None),
        Some("yarn") => yarn(parameters, config),
        Some("longrope" | "su") => longrope(parameters, config),
        Some(other) => Err(SourceError::Unsupported(format!("rotary scaling {other}"))),
    }
}

fn yarn(parameters: &Value, config: &Value) -> Result<RopeScaling, SourceError> {
    let number = |name: &str| parameters[name].as_f64();
    let lacks = |name: &str| SourceError::Invalid(format!("rope_scaling lacks {name}"));
    let original = number("original_max_position_embeddings");
    let factor = number("factor").ok_or_else(|| lacks("factor"))?;
    // The magnitude for a weight of the logarithm.
    let magnitude = |weight: f64| match factor > 1.0 {
        true => 0.1 * weight * factor.ln() + 1.0,
        false => 1.0,
    };
    let weights = number("mscale").zip(number("mscale_all_dim"));
    let weights = weights.filter(|(one, all)| *one != 0.0 && *all != 0.0);
    let usual = match weights {
        Some((one, all)) => magnitude(one) / magnitude(all),
        None => magnitude(1.0),
    };
    Ok(RopeScaling::Yarn {
        factor,
        fast: number("beta_fast").unwrap_or(32.0),
        slow: number("beta_slow").unwrap_or(1.0),
        original_positions: original
            .or(config["max_position_embeddings"].as_f64())
            .ok_or_else(|| lacks("original_max_position_embeddings"))?,
        whole_pairs: parameters["truncate"].as_bool().unwrap_or(true),
        magnitude: number("attention_factor").unwrap_or(usual),
    })
}

/// The divisors for contexts up to the original length: a packed model shows no more.
fn longrope(parameters: &Value, config: &Value) -> Result<RopeScaling, SourceError> {
    let lacks = |name: &str| SourceError::Invalid(format!("rope_scaling lacks {name}"));
    let positions = |name: &str| parameters[name].as_f64().or(config[name].as_f64());
    let each = parameters["short_factor"].as_array();
    let each = each.and_then(|all| all.iter().map(Value::as_f64).collect());
    let original = positions("original_max_position_embeddings");
    let factor = match (parameters["factor"].as_f64(), original) {
        (Some(factor), _) => factor,
        (None, Some(original)) => positions("max_position_embeddings").unwrap_or(0.0) / original,
        (None, None) => 1.0,
    };
    let usual = match original {
        Some(original) if factor > 1.0 => (1.0 + factor.ln() / original.ln()).sqrt(),
        _ => 1.0,
    };
    Ok(RopeScaling::Divisors {
        each: each.ok_or_else(|| lacks("short_factor"))?,
        magnitude: parameters["attention_factor"].as_f64().unwrap_or(usual),
    })
}

/// The kind of scaling. transformers writes it under a new name and, for older readers, under an
/// old one. Where the two differ, its versions disagree on which counts.
fn kind(parameters: &Value) -> Result<Option<&str>, SourceError> {
    match (
        parameters["rope_type"].as_str(),
        parameters["type"].as_str(),
    ) {
        (Some(new), Some(old)) if new != old => Err(SourceError::Invalid(format!(
            "rope_scaling has the rope_type {new} and the type {old}, which contradict each other"
        ))),
        (new, old) => Ok(new.or(old)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scaling_of(all: &Value) -> Result<RopeScaling, SourceError> {
        let local = &Value::Null;
        scaling(&Parameters { all, local }, &Value::Null)
    }

    #[test]
    fn the_kind_has_two_names() {
        let linear = Ok(RopeScaling::Linear { factor: 2.0 });
        for parameters in [
            json!({"rope_type": "linear", "factor": 2.0}),
            json!({"type": "linear", "factor": 2.0}),
            json!({"rope_type": "linear", "type": "linear", "factor": 2}),
            json!({"rope_type": null, "type": "linear", "factor": 2}),
        ] {
            let scaling = scaling_of(&parameters).map_err(|error| error.to_string());
            assert_eq!(scaling, linear, "{parameters}");
        }
        let both = json!({"rope_type": "linear", "type": "llama3", "factor": 2.0});
        let reason = scaling_of(&both).unwrap_err().to_string();
        assert!(reason.contains("contradict"), "{reason}");
        let lacks = scaling_of(&json!({"type": "linear"}))
            .unwrap_err()
            .to_string();
        assert!(lacks.contains("lacks factor"), "{lacks}");
    }
}
