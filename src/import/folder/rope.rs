//! What `config.json` says of the rotary embedding.

use crate::arch::rope::{RopeScaling, ln, yarn_magnitude};
use crate::arch::settings::{Settings, short};
use crate::import::SourceError;
use crate::import::description::Scaling;
use serde_json::Value;

/// What `config.json` says of the rotary embedding in objects of their own; null if nothing.
#[derive(Debug)]
pub(super) struct Parameters<'a> {
    /// Those that count for all layers.
    pub(super) all: &'a Value,
    /// Of layers with a window, if they have parameters of their own.
    pub(super) local: &'a Value,
    /// Those under the other of two names, which agree with `all` but for what may also stand
    /// outside such objects.
    pub(super) other: &'a Value,
}

/// The objects that hold the settings of the rotary embedding. `by_kind` says whether layers with a
/// window have an object of their own.
///
/// # Errors
/// If something else is in their place, or they contradict each other.
pub(super) fn parameters(config: &Value, by_kind: bool) -> Result<Parameters<'_>, SourceError> {
    let (new, old) = (
        object(config, "rope_parameters")?,
        object(config, "rope_scaling")?,
    );
    let kinds = ["full_attention", "sliding_attention"];
    let is_nested = kinds.iter().any(|kind| !new[kind].is_null());
    let (new, local) = match (is_nested, by_kind) {
        (true, true) => (&new[kinds[0]], &new[kinds[1]]),
        (false, true) if !new.is_null() => {
            return Err(SourceError::invalid(
                "rope_parameters has no object for full_attention and for sliding_attention",
            ));
        }
        (true, false) => {
            return Err(SourceError::Unsupported(
                "other rotary embeddings in some layers than in others".into(),
            ));
        }
        (false, _) => (new, &Value::Null),
    };
    let (all, other) = match (new, old) {
        (new, Value::Null) => (new, &Value::Null),
        (Value::Null, old) => (old, &Value::Null),
        (new, old) if scalings_agree(new, old) => (old, new),
        _ => {
            return Err(SourceError::invalid(
                "rope_scaling and rope_parameters contradict each other",
            ));
        }
    };
    Ok(Parameters { all, local, other })
}

/// The object `name`; null if there is none, or an empty one.
fn object<'a>(config: &'a Value, name: &str) -> Result<&'a Value, SourceError> {
    match &config[name] {
        Value::Object(entries) if entries.is_empty() => Ok(&Value::Null),
        value @ (Value::Null | Value::Object(_)) => Ok(value),
        other => Err(SourceError::Invalid(format!("{name} is {other}"))),
    }
}

/// Whether two objects say the same, apart from what may also stand outside of them.
fn scalings_agree(one: &Value, other: &Value) -> bool {
    let names = [one, other].map(|it| it.as_object().into_iter().flatten());
    let [one_names, other_names] = names.map(|entries| entries.map(|(name, _)| name));
    let elsewhere = ["rope_type", "type", "rope_theta", "partial_rotary_factor"];
    let kind = |it: &Value| {
        let kind = [&it["rope_type"], &it["type"]].into_iter();
        let kind = kind.filter_map(Value::as_str).next();
        kind.unwrap_or("default").to_owned()
    };
    let same = |name: &String| elsewhere.contains(&&name[..]) || equal(&one[name], &other[name]);
    kind(one) == kind(other) && one_names.chain(other_names).all(same)
}

/// Whether two values are the same; 1 is 1.0.
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (one, other) => one == other,
    }
}

/// The scaling that these parameters describe, with what `settings` say beside them.
///
/// # Errors
/// If the engine has no such scaling, or a parameter is missing.
pub(super) fn scaling(
    parameters: &Parameters<'_>,
    settings: &Settings<'_>,
) -> Result<Scaling, SourceError> {
    let all = parameters.all;
    let read = Read { all, settings };
    Ok(match kind(all)? {
        None | Some("default") => RopeScaling::None.into(),
        Some("linear") => RopeScaling::Linear {
            factor: read.required("factor")?,
        }
        .into(),
        Some("llama3") => RopeScaling::Llama3 {
            factor: read.required("factor")?,
            low: read.required("low_freq_factor")?,
            high: read.required("high_freq_factor")?,
            original_positions: read.original()?,
        }
        .into(),
        // Changes nothing below the length that the model was trained with.
        Some("dynamic") => RopeScaling::None.into(),
        Some("yarn") => yarn(&read)?.into(),
        Some("longrope" | "su") => longrope(&read)?,
        Some(other) => return Err(SourceError::Unsupported(format!("rotary scaling {other}"))),
    })
}

/// Reads the parameters of a scaling.
struct Read<'a, 's> {
    all: &'a Value,
    settings: &'a Settings<'s>,
}

impl Read<'_, '_> {
    fn number(&self, name: &str) -> Result<Option<f64>, SourceError> {
        match &self.all[name] {
            Value::Null => Ok(None),
            value => value.as_f64().map(Some).ok_or_else(|| {
                SourceError::Invalid(format!("rope_scaling's {name} is {value}, no number"))
            }),
        }
    }

    fn required(&self, name: &str) -> Result<f64, SourceError> {
        let lacks = || SourceError::Invalid(format!("rope_scaling lacks {name}"));
        self.number(name)?.ok_or_else(lacks)
    }

    /// The context length that the model was first trained with. What stands beside the
    /// parameters counts more than what stands in them.
    fn original(&self) -> Result<f64, SourceError> {
        let name = "original_max_position_embeddings";
        match (self.settings.number(name)?, self.number(name)?) {
            (Some(beside), Some(within)) if beside != within => Err(SourceError::Invalid(format!(
                "rope_scaling's {name} is {}, but beside it stands {}",
                short(within),
                short(beside)
            ))),
            (Some(original), _) | (None, Some(original)) => Ok(original),
            (None, None) => self.positions(),
        }
    }

    /// The context length that the model is for.
    fn positions(&self) -> Result<f64, SourceError> {
        let name = "max_position_embeddings";
        Ok(self.settings.required_number(name)?)
    }
}

fn yarn(read: &Read<'_, '_>) -> Result<RopeScaling, SourceError> {
    let factor = read.required("factor")?;
    let magnitude = |weight| yarn_magnitude(factor, weight);
    // 0 stands for none.
    let number = |name: &str| Ok::<_, SourceError>(read.number(name)?.filter(|it| *it != 0.0));
    let usual = match number("mscale")?.zip(number("mscale_all_dim")?) {
        Some((one, all)) => magnitude(one) / magnitude(all),
        None => magnitude(1.0),
    };
    Ok(RopeScaling::Yarn {
        factor,
        fast: number("beta_fast")?.unwrap_or(32.0),
        slow: number("beta_slow")?.unwrap_or(1.0),
        original_positions: read.original()?,
        whole_pairs: read.all["truncate"].as_bool().unwrap_or(true),
        magnitude: read.number("attention_factor")?.unwrap_or(usual),
    })
}

/// The divisors for contexts up to the original length: a packed model shows no more, since longer
/// ones have other divisors in all positions.
fn longrope(read: &Read<'_, '_>) -> Result<Scaling, SourceError> {
    let lacks = || SourceError::invalid("rope_scaling lacks short_factor");
    let each = read.all["short_factor"].as_array();
    let each = each.and_then(|all| all.iter().map(Value::as_f64).collect());
    let original = read.original()?;
    let factor = match read.number("factor")? {
        Some(factor) => factor,
        None => read.positions()? / original,
    };
    let usual = match factor > 1.0 {
        true => (1.0 + ln(factor) / ln(original)).sqrt(),
        false => 1.0,
    };
    Ok(Scaling {
        scaling: RopeScaling::Divisors {
            each: each.ok_or_else(lacks)?,
            magnitude: read.number("attention_factor")?.unwrap_or(usual),
        },
        positions: Some(original as usize),
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
    use crate::arch::settings::Setting;
    use serde_json::json;

    fn scaling_of(config: &Value) -> Result<Scaling, SourceError> {
        let number = |key: &str| config[key].as_f64().map(Setting::Number);
        scaling(&parameters(config, false)?, &Settings::new(&number))
    }

    fn refusal(config: &Value) -> String {
        scaling_of(config).unwrap_err().to_string()
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
            let scaling = scaling_of(&json!({"rope_scaling": parameters}));
            let scaling = scaling.map(|it| it.scaling).map_err(|it| it.to_string());
            assert_eq!(scaling, linear, "{parameters}");
        }
        let both = json!({"rope_type": "linear", "type": "llama3", "factor": 2.0});
        let reason = refusal(&json!({"rope_scaling": both}));
        assert!(reason.contains("contradict"), "{reason}");
        let lacks = refusal(&json!({"rope_scaling": {"type": "linear"}}));
        assert!(lacks.contains("lacks factor"), "{lacks}");
        let word = refusal(&json!({"rope_scaling": {"type": "linear", "factor": "2"}}));
        assert!(word.contains("factor is \"2\", no number"), "{word}");
    }

    #[test]
    fn parameters_under_two_names_agree() {
        let new = json!({"rope_type": "linear", "factor": 2, "rope_theta": 1e4, "truncate": null});
        let old = json!({"type": "linear", "factor": 2.0});
        let both = json!({"rope_parameters": new, "rope_scaling": old});
        let scaling = scaling_of(&both).unwrap().scaling;
        assert_eq!(scaling, RopeScaling::Linear { factor: 2.0 });
        for old in [
            json!({"type": "linear", "factor": 4.0}),
            json!({"type": "yarn", "factor": 2.0}),
            json!({"type": "linear", "factor": 2.0, "beta_fast": 32}),
        ] {
            let reason = refusal(&json!({"rope_parameters": new, "rope_scaling": old}));
            assert!(reason.contains("contradict each other"), "{reason}");
        }
        for none in [json!({}), json!(null)] {
            let both = json!({"rope_parameters": new, "rope_scaling": none});
            assert!(scaling_of(&both).is_ok());
        }
    }

    #[test]
    fn parameters_by_kind_of_layer_are_for_models_that_have_them() {
        let plain = json!({"rope_type": "default", "rope_theta": 1e4});
        let nested = json!({"full_attention": plain, "sliding_attention": plain});
        let [flat, nested] = [plain, nested].map(|it| json!({"rope_parameters": it}));
        assert!(parameters(&flat, false).is_ok() && parameters(&nested, true).is_ok());
        let reason = refusal(&nested);
        assert!(reason.contains("in some layers"), "{reason}");
        let reason = parameters(&flat, true).unwrap_err().to_string();
        assert!(reason.contains("no object for full_attention"), "{reason}");
    }

    #[test]
    fn the_first_context_length_may_stand_in_two_places() {
        let long = |beside: Value, within: Value, factor: Value| {
            let scaling = json!({
                "type": "longrope",
                "factor": factor,
                "short_factor": [1.0, 2.0],
                "original_max_position_embeddings": within,
            });
            scaling_of(&json!({
                "max_position_embeddings": 512,
                "original_max_position_embeddings": beside,
                "rope_scaling": scaling,
            }))
        };
        let (none, number) = (Value::Null, json!(128));
        for (beside, within, want) in [
            (&number, &none, 128),
            (&none, &number, 128),
            (&number, &number, 128),
            (&none, &none, 512),
        ] {
            let read = long(beside.clone(), within.clone(), json!(4.0)).unwrap();
            assert_eq!(read.positions, Some(want));
        }
        let [by_factor, by_lengths] =
            [json!(4), none].map(|factor| long(number.clone(), json!(128), factor).unwrap());
        assert_eq!(by_factor.scaling, by_lengths.scaling);
        let error = long(number, json!(256), json!(4.0)).unwrap_err();
        assert!(error.to_string().contains("is 256"), "{error}");
    }
}
