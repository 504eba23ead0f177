//! Hugging Face folders: `config.json`, `tokenizer.json` and safetensors files, perhaps several
//! with an index.

mod index;
mod kind;
mod rope;
mod weights;

use self::index::{INDEX, Index, WHOLE};
use self::weights::Weights;
use super::description::Description;
use super::source::{Source, sorted};
use super::vocabulary::hugging_face;
use super::{SourceError, json};
use crate::arch::parts;
use crate::arch::settings::{Setting, Settings};
use serde_json::Value;
use std::path::Path;

/// Longest `config.json` in bytes.
const MAX_CONFIG: u64 = 4 << 20;
/// Longest `tokenizer.json` in bytes. One of 2^18 tokens has about 30 MB.
const MAX_TOKENIZER: u64 = 256 << 20;

/// Opens a Hugging Face folder.
///
/// # Errors
/// When a file is missing or broken, or the architecture or tokenizer is unsupported.
pub fn open(folder: &Path) -> Result<Source, SourceError> {
    let config = json::read(folder, "config.json", MAX_CONFIG)?;
    let (family, member) = kind::judge(&config)?;
    let index = Index::find(folder)?;
    let weights = Weights::open(folder, &index, family.hugging_face_variants)?;
    let tokenizer = json::read(folder, "tokenizer.json", MAX_TOKENIZER)?;
    let vocabulary = hugging_face::read(&tokenizer, bos(&config))?;
    let plan = vocabulary.plan()?;
    let parameters = rope::parameters(&config)?;
    // Newer folders keep the settings of the rotary embedding in its object.
    let own = |key: &str| setting(&config[key]).or_else(|| setting(&parameters.all[key]));
    let find = |key: &str| {
        let older = family
            .hugging_face
            .older
            .iter()
            .find(|(newer, _)| *newer == key);
        let older = || own(older?.1);
        match key {
            "rope_local_base_freq" => own(key).or_else(|| setting(&parameters.local["rope_theta"])),
            key => own(key).or_else(older),
        }
    };
    let description = Description {
        family,
        member,
        format: &family.hugging_face,
        settings: Settings::new(&find),
        scaling: rope::scaling(&parameters, &config)?,
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
        let head = family.tensor(&parts::HEAD, None, config);
        weights.parameters(|name| config.tied && head.sources().any(|it| place(it).name == name))
    })?;
    Ok(described.source(plan, weights, place))
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

fn setting(value: &Value) -> Option<Setting<'_>> {
    match value {
        Value::Null => None,
        Value::Bool(flag) => Some(Setting::Flag(*flag)),
        Value::Number(number) => number.as_f64().map(Setting::Number),
        Value::String(text) => Some(Setting::Text(text)),
        Value::Array(values) => Some(Setting::List(
            (values.iter())
                .map(|value| setting(value).unwrap_or(Setting::Other))
                .collect(),
        )),
        Value::Object(_) => Some(Setting::Other),
    }
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
        let qwen = serde_json::json!(["Qwen2ForCausalLM"]);
        says(config("architectures", qwen), "q_proj.bias is missing");
        let qwen = serde_json::json!(["Qwen3ForCausalLM"]);
        says(config("architectures", qwen), "q_norm.weight is missing");
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
                config["rope_theta"] = Value::Null;
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
