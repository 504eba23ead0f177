//! What `config.json` says of the rotary embedding.

use crate::arch::rope::RopeScaling;
use crate::import::SourceError;
use serde_json::Value;

/// The object that holds the settings of the rotary embedding; null if there is none.
pub(super) fn parameters(config: &Value) -> Result<&Value, SourceError> {
    let parameters = match &config["rope_parameters"] {
        Value::Null => &config["rope_scaling"],
        parameters => parameters,
    };
    match parameters {
        Value::Null | Value::Object(_) => Ok(parameters),
        other => Err(SourceError::Invalid(format!("rope_scaling is {other}"))),
    }
}

/// The scaling that these parameters describe.
///
/// # Errors
/// If the engine has no such scaling, or a parameter is missing.
pub(super) fn scaling(parameters: &Value) -> Result<RopeScaling, SourceError> {
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
        Some(other) => Err(SourceError::Unsupported(format!("rotary scaling {other}"))),
    }
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

    #[test]
    fn the_kind_has_two_names() {
        let linear = Ok(RopeScaling::Linear { factor: 2.0 });
        for parameters in [
            json!({"rope_type": "linear", "factor": 2.0}),
            json!({"type": "linear", "factor": 2.0}),
            json!({"rope_type": "linear", "type": "linear", "factor": 2}),
            json!({"rope_type": null, "type": "linear", "factor": 2}),
        ] {
            let scaling = scaling(&parameters).map_err(|error| error.to_string());
            assert_eq!(scaling, linear, "{parameters}");
        }
        let both = json!({"rope_type": "linear", "type": "llama3", "factor": 2.0});
        let reason = scaling(&both).unwrap_err().to_string();
        assert!(reason.contains("contradict"), "{reason}");
        let lacks = scaling(&json!({"type": "linear"})).unwrap_err().to_string();
        assert!(lacks.contains("lacks factor"), "{lacks}");
    }
}
