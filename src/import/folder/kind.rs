//! Which kind of model a folder holds, judged by its `config.json` before anything else is read.

use crate::arch::Family;
use crate::arch::family::Member;
use crate::import::SourceError;
use crate::import::description::find_member;
use serde_json::Value;

/// A class of models that also see pictures. Its text model, whose settings are in `text_config`,
/// is computed as another class is that takes text alone.
struct WithPictures {
    class: &'static str,
    model_type: &'static str,
    text: &'static str,
}

const WITH_PICTURES: [WithPictures; 3] = [
    WithPictures {
        class: "Gemma3ForConditionalGeneration",
        model_type: "gemma3",
        text: "Gemma3ForCausalLM",
    },
    WithPictures {
        class: "Mistral3ForConditionalGeneration",
        model_type: "mistral3",
        text: "MistralForCausalLM",
    },
    WithPictures {
        class: "Qwen3_5ForConditionalGeneration",
        model_type: "qwen3_5",
        text: "Qwen3_5ForCausalLM",
    },
];

/// The family and member of the model, or of its text model.
///
/// # Errors
/// If the engine runs no such model, its weights are quantised, or the file contradicts itself.
pub(super) fn judge(config: &Value) -> Result<(&'static Family, &'static Member), SourceError> {
    let class = class(config)?;
    let whole = WITH_PICTURES.iter().find(|whole| whole.class == class);
    let text_class = whole.map_or(class, |whole| whole.text);
    let known = find_member(text_class, |member| member.hugging_face);
    let known = known.map_err(|unknown| other_task(class, config).unwrap_or(unknown))?;
    let text_type = known.1.model_type;
    match whole {
        None => check_model_type(config, class, text_type)?,
        Some(whole) => {
            check_model_type(config, class, whole.model_type)?;
            check_text_type(&config["text_config"], class, text_type)?;
        }
    }
    check_layers(config)?;
    // Of models that also see pictures, the part that predicts text has settings of its own.
    check_layers(&config["text_config"])?;
    match quantisation(config) {
        None => Ok(known),
        Some(method) => Err(SourceError::Unsupported(format!(
            "weights quantised with {method} (use the model as it was before, or a GGUF file)"
        ))),
    }
}

/// The one class that `architectures` names.
fn class(config: &Value) -> Result<&str, SourceError> {
    let names = config["architectures"].as_array();
    let names = names.map_or(&[][..], Vec::as_slice);
    match (names, config["model_type"].as_str()) {
        ([Value::String(name)], _) => Ok(name),
        ([], Some(kind)) => Err(SourceError::Invalid(format!(
            "config.json names no architecture (its model_type is {kind})"
        ))),
        ([], None) => Err(SourceError::invalid("config.json names no architecture")),
        (names, _) => Err(SourceError::Invalid(format!(
            "config.json names {} architectures, expected 1",
            names.len()
        ))),
    }
}

/// transformers chooses what to compute by `model_type`, llmzip by the class.
fn check_model_type(config: &Value, class: &str, want: &str) -> Result<(), SourceError> {
    match other_type(config, want) {
        None => Ok(()),
        Some(kind) => Err(SourceError::Invalid(format!(
            "config.json contradicts itself: its architecture is {class}, but its model_type is \
             {kind}, expected {want}"
        ))),
    }
}

/// A class that also sees pictures may stand before different text models.
fn check_text_type(text: &Value, class: &str, want: &str) -> Result<(), SourceError> {
    match other_type(text, want) {
        None => Ok(()),
        Some(kind) => Err(SourceError::Unsupported(format!(
            "{class} with a text model of the type {kind} (supported: {want})"
        ))),
    }
}

/// The `model_type`, if it is another than this one.
fn other_type<'a>(config: &'a Value, want: &str) -> Option<&'a str> {
    config["model_type"].as_str().filter(|kind| *kind != want)
}

/// Refuses what transformers does for models of any class, and llmzip for none.
fn check_layers(config: &Value) -> Result<(), SourceError> {
    let both_ways = [("is_causal", false), ("use_bidirectional_attention", true)];
    if let Some((key, _)) = both_ways.iter().find(|(key, value)| config[key] == *value) {
        return Err(SourceError::Unsupported(format!(
            "attention to tokens that come later ({key} is {}): the model is no causal decoder",
            config[key]
        )));
    }
    match config["per_layer_config"].is_null() {
        true => Ok(()),
        false => Err(SourceError::Unsupported(
            "layers that differ in their configuration (per_layer_config)".into(),
        )),
    }
}

/// Why no model of this class could ever be used: it does not predict what follows a text.
fn other_task(class: &str, config: &Value) -> Option<SourceError> {
    let decoders = ["ForCausalLM", "LMHeadModel", "ForConditionalGeneration"];
    let is_decoder = decoders.iter().any(|ending| class.ends_with(ending))
        && config["is_encoder_decoder"] != Value::Bool(true);
    (!is_decoder).then(|| {
        SourceError::Unsupported(format!(
            "architecture {class}, which is no causal decoder: \
             it does not predict each token from those before it"
        ))
    })
}

/// The method by which the weights are quantised, if they are.
fn quantisation(config: &Value) -> Option<String> {
    let settings = [
        &config["quantization_config"],
        &config["compression_config"],
    ];
    let settings = settings.into_iter().find(|settings| !settings.is_null())?;
    let method = settings["quant_method"]
        .as_str()
        .unwrap_or("an unnamed method");
    Some(match method {
        "gptq" | "awq" | "hqq" | "aqlm" | "fp8" | "mxfp4" | "eetq" => method.to_uppercase(),
        other => other.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(config: &Value) -> String {
        judge(config).unwrap_err().to_string()
    }

    #[test]
    fn models_for_other_tasks_are_no_causal_decoders() {
        for config in [
            json!({"architectures": ["BertForMaskedLM"]}),
            json!({"architectures": ["BertModel"]}),
            json!({"architectures": ["LlamaForSequenceClassification"]}),
            json!({"architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": true}),
        ] {
            let class = config["architectures"][0].as_str().unwrap();
            let reason = refusal(&config);
            assert!(
                reason.contains("no causal decoder") && reason.contains(class),
                "{reason}"
            );
        }
        let reason = refusal(&json!({"architectures": ["MartianForCausalLM"]}));
        assert!(
            reason.contains("architecture MartianForCausalLM (supported: "),
            "{reason}"
        );
        assert!(!reason.contains("decoder"), "{reason}");
    }

    #[test]
    fn the_architecture_is_judged_before_the_quantisation() {
        let gptq = json!({"quant_method": "gptq", "bits": 4});
        let config = |class| json!({"architectures": [class], "quantization_config": gptq});
        assert!(refusal(&config("MartianForCausalLM")).contains("Martian"));
        assert!(refusal(&config("LlamaForCausalLM")).contains("quantised with GPTQ"));
        let none = json!({"architectures": ["LlamaForCausalLM"], "quantization_config": null});
        assert!(judge(&none).is_ok());
    }

    #[test]
    fn a_contradiction_or_a_layer_that_sees_later_tokens_is_refused() {
        let config = |key: &str, value: Value| {
            let mut config = json!({"architectures": ["MistralForCausalLM"]});
            config[key] = value;
            config
        };
        assert!(judge(&config("model_type", json!("mistral"))).is_ok());
        let reason = refusal(&config("model_type", json!("llama")));
        assert!(
            reason.contains("model_type is llama, expected mistral"),
            "{reason}"
        );
        for (key, value, sound) in [
            ("is_causal", json!(false), json!(true)),
            ("use_bidirectional_attention", json!(true), json!(null)),
        ] {
            let reason = refusal(&config(key, value));
            assert!(
                reason.contains(key) && reason.contains("no causal decoder"),
                "{reason}"
            );
            assert!(judge(&config(key, sound)).is_ok());
        }
        let both = json!({
            "architectures": ["Qwen3_5ForConditionalGeneration"],
            "text_config": {"is_causal": false}
        });
        assert!(refusal(&both).contains("no causal decoder"));
        let reason = refusal(&config("per_layer_config", json!({"0": {}})));
        assert!(reason.contains("per_layer_config"), "{reason}");
    }

    #[test]
    fn the_text_model_must_be_of_the_class_that_is_computed() {
        let both = |kind: Value| {
            json!({
                "architectures": ["Mistral3ForConditionalGeneration"],
                "model_type": "mistral3",
                "text_config": {"model_type": kind},
            })
        };
        for kind in [json!("mistral"), json!(null)] {
            assert_eq!(judge(&both(kind)).unwrap().1.model_type, "mistral");
        }
        let reason = refusal(&both(json!("ministral3")));
        assert!(
            reason.contains("a text model of the type ministral3 (supported: mistral)"),
            "{reason}"
        );
        let mut other = both(json!("mistral"));
        other["model_type"] = json!("mistral");
        assert!(refusal(&other).contains("expected mistral3"));
    }

    #[test]
    fn a_folder_names_one_architecture() {
        assert!(refusal(&json!({"model_type": "mpt"})).contains("model_type is mpt"));
        assert!(refusal(&json!({})).ends_with("config.json names no architecture"));
        assert!(refusal(&json!({"architectures": ["A", "B"]})).contains("2 architectures"));
    }
}
