//! Hugging Face folders: `config.json`, `tokenizer.json` and safetensors files, perhaps several
//! with an index.

mod index;
mod kind;
mod rope;
mod settings;
mod weights;

use self::index::{INDEX, Index, WHOLE};
use self::settings::Lookup;
use self::weights::Weights;
use super::description::Description;
use super::source::{Source, sorted};
use super::vocabulary::hugging_face;
use super::{SourceError, json};
use crate::arch::parts::{self, TensorSpec};
use crate::arch::settings::Settings;
use crate::arch::{Config, Family};
use serde_json::Value;
use std::path::Path;

/// Longest `config.json` in bytes.
const MAX_CONFIG: u64 = 4 << 20;
/// Longest `tokenizer.json` in bytes. One of 2^18 tokens has about 30 MB.
const MAX_TOKENIZER: u64 = 256 << 20;

/// How the names of tensors begin that are no part of the language model: what sees pictures, and
/// layers that predict further tokens.
const OTHER_PARTS: [&str; 6] = [
    "model.visual.",
    "model.vision_tower.",
    "model.multi_modal_projector.",
    "vision_tower.",
    "multi_modal_projector.",
    "mtp.",
];

/// Opens a Hugging Face folder.
///
/// # Errors
/// When a file is missing or broken, or the architecture or tokenizer is unsupported.
pub fn open(folder: &Path) -> Result<Source, SourceError> {
    let config = json::read(folder, "config.json", MAX_CONFIG)?;
    let (family, member) = kind::judge(&config)?;
    let config = language_model(config);
    let lookup = Lookup::new(&config, family, member)?;
    let index = Index::find(folder)?;
    let weights = Weights::open(folder, &index, family.hugging_face_variants)?;
    let tokenizer = json::read(folder, "tokenizer.json", MAX_TOKENIZER)?;
    let vocabulary = hugging_face::read(&tokenizer, bos(&config))?;
    let plan = vocabulary.plan()?;
    let find = |key: &str| lookup.get(key);
    let settings = Settings::new(&find);
    let description = Description {
        family,
        member,
        format: &family.hugging_face,
        settings,
        options: member.options,
        scaling: rope::scaling(&lookup.rotary, &settings)?,
        interleaved: false,
        place: |tensor| &tensor.hugging_face,
        shape: &|name| weights.shape(name),
        names: &|| weights.names(),
        layers: family.hugging_face_layers,
    };
    let place = description.place;
    let pre_tokenizer = sorted(&vocabulary.pre_tokenizer);
    let described = description.read(&plan, pre_tokenizer, |config| {
        // A tied model's file may hold the head nevertheless.
        let head = name_of(&parts::HEAD, family, config);
        let is_of_others = |name: &str| OTHER_PARTS.iter().any(|other| name.starts_with(other));
        weights.parameters(|name| is_of_others(name) || config.tied && name.ends_with(&head))
    })?;
    if described.config.tied {
        check_tied(&weights, family, &described.config)?;
    }
    Ok(described.source(plan, weights, place))
}

/// The name of the tensor that holds a part of the model that there is once.
fn name_of(part: &'static TensorSpec, family: &Family, config: &Config) -> String {
    let mut weights = family.tensor(part, None, config).weights.into_iter();
    weights
        .next()
        .map_or(String::new(), |it| it.hugging_face.name)
}

/// Refuses another head than the embedding. Some versions of transformers take the one, some the
/// other.
fn check_tied(weights: &Weights, family: &Family, config: &Config) -> Result<(), SourceError> {
    let [head, embedding] =
        [&parts::HEAD, &parts::EMBEDDING].map(|part| name_of(part, family, config));
    match weights.is_missing_or_same(&head, &embedding)? {
        true => Ok(()),
        false => Err(SourceError::Invalid(format!(
            "tie_word_embeddings is true, but {head} differs from {embedding}"
        ))),
    }
}

/// The settings of the part that predicts text: of models that also see pictures, an object of its
/// own. Whether the head is the embedding, and which token begins a text, may stand beside it.
fn language_model(config: Value) -> Value {
    let mut text = match &config["text_config"] {
        Value::Object(text) => text.clone(),
        _ => return config,
    };
    for key in ["tie_word_embeddings", "bos_token_id"] {
        if !config[key].is_null() {
            text.insert(key.to_owned(), config[key].clone());
        }
    }
    Value::Object(text)
}

/// Judges the kind of a model by its `config.json` alone.
///
/// # Errors
/// If the engine runs no such model, or its weights are quantised.
#[cfg(feature = "hub")]
pub(crate) fn judge(config: &Path) -> Result<(), SourceError> {
    let folder = config.parent().unwrap_or(Path::new("."));
    let name = config.file_name().unwrap_or_default().to_string_lossy();
    kind::judge(&json::read(folder, &name, MAX_CONFIG)?).map(|_| ())
}

/// Whether a folder has weights as Hugging Face's libraries write them.
pub(super) fn has_weights(folder: &Path) -> bool {
    [WHOLE, INDEX].iter().any(|name| folder.join(name).exists())
}

/// The shard files that a list of shards names: plain names in the same folder.
#[cfg(feature = "hub")]
pub(crate) fn shards(list: &Value) -> Result<Vec<String>, SourceError> {
    Ok(Index::new(list)?.files)
}

/// `bos_token_id` may be one number or a list of them.
fn bos(config: &Value) -> Option<u32> {
    let id = match &config["bos_token_id"] {
        Value::Array(ids) => ids.first()?,
        id => id,
    };
    id.as_u64()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::rope::{Rope, RopeScaling};
    use safetensors::SafeTensors;
    use safetensors::tensor::TensorView;
    use std::fs;
    use tempfile::TempDir;

    fn fixture() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fixture-hf")
    }

    /// A copy of the fixture with one JSON file changed.
    fn changed(name: &str, change: impl FnOnce(&mut Value)) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in ["config.json", "tokenizer.json", "model.safetensors"] {
            fs::copy(fixture().join(file), folder.path().join(file)).unwrap();
        }
        if name.ends_with(".json") {
            let mut value = json::read(folder.path(), name, MAX_TOKENIZER).unwrap();
            change(&mut value);
            fs::write(folder.path().join(name), value.to_string()).unwrap();
        }
        folder
    }

    fn refusal(name: &str, change: impl FnOnce(&mut Value)) -> String {
        open(changed(name, change).path()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_unsupported_is_named() {
        let says = |reason: String, part: &str| assert!(reason.contains(part), "{reason}");
        let config =
            |key: &'static str, value: Value| refusal("config.json", |config| config[key] = value);
        says(
            config("architectures", serde_json::json!(["BloomForCausalLM"])),
            "Bloom",
        );
        says(config("hidden_act", "quick_gelu".into()), "quick_gelu");
        says(config("num_hidden_layers", 3.into()), "layers.2.");
        says(config("hidden_size", (-1).into()), "hidden_size is -1");
        says(config("hidden_size", "wide".into()), "hidden_size is wide");
        says(config("hidden_size", Value::Null), "lacks hidden_size");
        let unknown = serde_json::json!({"rope_type": "spiral", "factor": 2.0});
        says(config("rope_scaling", unknown), "spiral");
        says(config("rope_theta", 0.0.into()), "rotary");
        says(config("rope_scaling", "linear".into()), "linear");
        let class = |class: &str, kind: &str| {
            refusal("config.json", |config| {
                config["architectures"] = serde_json::json!([class]);
                config["model_type"] = kind.into();
            })
        };
        says(class("Qwen2ForCausalLM", "qwen2"), "q_proj.bias is missing");
        says(
            class("Qwen3ForCausalLM", "qwen3"),
            "q_norm.weight is missing",
        );
        says(class("MistralForCausalLM", "llama"), "model_type is llama");
        says(config("max_position_embeddings", 15.into()), "at least 16");
        for number in [(-5).into(), 1e30.into(), 1u64.into()] {
            says(config("max_position_embeddings", number), "expected");
        }
        says(
            config("num_hidden_layers", u64::MAX.into()),
            "is 1.8446744073709552e19, expected a whole number",
        );
        says(
            config("rope_theta", 1e300.into()),
            "(rope_theta) is 1e300, expected 1 to 1e12",
        );
        says(
            refusal("tokenizer.json", |t| {
                t["normalizer"] = serde_json::json!({"type": "Lowercase"});
            }),
            "Lowercase",
        );
        says(
            refusal("tokenizer.json", |t| t["pre_tokenizer"] = Value::Null),
            "SentencePiece",
        );
        let bare = tempfile::tempdir().unwrap();
        says(open(bare.path()).unwrap_err().to_string(), "config.json");
    }

    #[test]
    fn the_rotary_embedding_is_found_where_folders_keep_it() {
        let steps = |parameters: Value| {
            let folder = changed("config.json", |config| {
                config.as_object_mut().unwrap().remove("rope_theta");
                config["rope_parameters"] = parameters;
            });
            open(folder.path()).unwrap().steps.all
        };
        let theta = serde_json::json!({"rope_type": "default", "rope_theta": 500.0});
        let (base, scaling) = (500.0, RopeScaling::None);
        let want = |theta, scaling| Rope { theta, scaling }.steps(32);
        assert_eq!(steps(theta), want(base, scaling));
        let linear = serde_json::json!({"rope_type": "linear", "type": "linear", "factor": 4});
        let scaling = RopeScaling::Linear { factor: 4.0 };
        assert_eq!(steps(linear), want(10_000.0, scaling));
    }

    #[test]
    fn shards_give_the_same_model() {
        let whole = fs::read(fixture().join("model.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&whole).unwrap();
        let folder = changed("", |_| {});
        fs::remove_file(folder.path().join("model.safetensors")).unwrap();
        let mut map = serde_json::Map::new();
        for shard in 0..2 {
            let name = format!("model-{shard}.safetensors");
            let part: Vec<(String, TensorView)> = tensors
                .tensors()
                .into_iter()
                .filter(|(tensor, _)| tensor.len() % 2 == shard)
                .collect();
            for (tensor, _) in &part {
                map.insert(tensor.clone(), name.clone().into());
            }
            let bytes = safetensors::serialize(part, None).unwrap();
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let index = serde_json::json!({"weight_map": map});
        let path = folder.path().join("model.safetensors.index.json");
        fs::write(path, index.to_string()).unwrap();
        let pack = || {
            let mut source = open(folder.path()).unwrap();
            source.set_wide(false);
            source.pack().unwrap()
        };
        assert!(pack() == crate::store::embedded::FIXTURE);
        // Beside whole weights, the list of shards is not read.
        fs::write(folder.path().join("model.safetensors"), whole).unwrap();
        fs::write(folder.path().join("model.safetensors.index.json"), "{}").unwrap();
        assert!(pack() == crate::store::embedded::FIXTURE);
    }
}
