//! Hugging Face folders: `config.json`, `tokenizer.json` and safetensors files, perhaps several
//! with an index.

use super::SourceError;
use super::arranged::{Arranged, StoredTensors};
use super::description::{Description, find_member};
use super::source::{Source, sorted};
use super::vocabulary::{ByteLevel, Vocabulary};
use crate::arch::parts;
use crate::arch::rope::RopeScaling;
use crate::arch::settings::{Setting, Settings};
use crate::machine::regular_file;
use crate::packed::{PackedError, read_header};
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensorError};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

/// Largest JSON file that is read whole, in bytes (a tokenizer of 2^18 tokens has about 30 MB).
const MAX_JSON: u64 = 256 << 20;

/// Opens a Hugging Face folder.
///
/// # Errors
/// When a file is missing or broken, or the architecture or tokenizer is unsupported.
pub fn open(folder: &Path) -> Result<Source, SourceError> {
    let config = json(folder, "config.json")?;
    let (family, member) = find_member(class(&config)?, |member| member.hugging_face)?;
    let weights = Weights::open(folder, family.hugging_face_variants)?;
    let vocabulary = vocabulary(&json(folder, "tokenizer.json")?, bos(&config))?;
    let plan = vocabulary.plan()?;
    let parameters = rope_parameters(&config)?;
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
        scaling: rope_scaling(parameters.all, &config)?,
        interleaved: false,
        place: |tensor| &tensor.hugging_face,
        shape: &|name| weights.shape(name),
    };
    let place = description.place;
    let pre_tokenizer = sorted(&vocabulary.pre_tokenizer);
    let described = description.read(&plan, pre_tokenizer, |config| {
        // A tied model's file may hold the head nevertheless.
        let head = family.tensor(&parts::HEAD, None, config);
        weights.parameters(|name| config.tied && head.sources().any(|it| place(it).name == name))
    })?;
    let (config, rotation, folds) = (described.config, described.rotation, described.folds);
    Ok(Source {
        tensors: Box::new(Arranged::new(weights, place, &config, rotation, folds)),
        config,
        steps: described.steps,
        vocabulary: plan,
    })
}

/// The one class that `architectures` names.
fn class(config: &Value) -> Result<&str, SourceError> {
    let names = config["architectures"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    match names {
        [Value::String(name)] => Ok(name),
        other => Err(SourceError::Invalid(format!(
            "config.json names {} architectures, expected 1",
            other.len()
        ))),
    }
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

fn json(folder: &Path, name: &str) -> Result<Value, SourceError> {
    let mut text = Vec::new();
    regular_file::open(&folder.join(name))
        .and_then(|file| file.take(MAX_JSON + 1).read_to_end(&mut text))
        .map_err(|error| SourceError::io(name, error))?;
    if text.len() as u64 > MAX_JSON {
        return Err(SourceError::Invalid(format!("{name} is too large")));
    }
    serde_json::from_slice(&text).map_err(|e| SourceError::Invalid(format!("{name}: {e}")))
}

/// `bos_token_id` may be one number or a list of them.
fn bos(config: &Value) -> Option<u32> {
    let id = match &config["bos_token_id"] {
        Value::Array(ids) => ids.first()?,
        id => id,
    };
    id.as_u64()?.try_into().ok()
}

/// What config.json says of the rotary embedding in objects of their own; null if nothing.
struct RopeParameters<'a> {
    all: &'a Value,
    /// Of layers with a window, if they have parameters of their own.
    local: &'a Value,
}

fn rope_parameters(config: &Value) -> Result<RopeParameters<'_>, SourceError> {
    let parameters = match &config["rope_parameters"] {
        Value::Null => &config["rope_scaling"],
        parameters => parameters,
    };
    match parameters {
        Value::Null | Value::Object(_) => Ok(match &parameters["full_attention"] {
            Value::Null => RopeParameters {
                all: parameters,
                local: &Value::Null,
            },
            all => RopeParameters {
                all,
                local: &parameters["sliding_attention"],
            },
        }),
        other => Err(SourceError::Invalid(format!("rope_scaling is {other}"))),
    }
}

fn rope_scaling(parameters: &Value, config: &Value) -> Result<RopeScaling, SourceError> {
    let number = |name: &str| {
        let lacks = || SourceError::Invalid(format!("rope_scaling lacks {name}"));
        parameters[name].as_f64().ok_or_else(lacks)
    };
    let kind = parameters["rope_type"].as_str();
    match kind.or(parameters["type"].as_str()) {
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

fn vocabulary(tokenizer: &Value, bos: Option<u32>) -> Result<Vocabulary, SourceError> {
    let invalid = |what: &str| SourceError::Invalid(format!("tokenizer.json: {what}"));
    // NFC changes no text that is already composed, and the coder may cut text as it likes;
    // anything that rewrites common text would waste the model.
    match tokenizer["normalizer"]["type"].as_str() {
        None | Some("NFC") => {}
        Some(other) => return Err(SourceError::Unsupported(format!("normalizer {other}"))),
    }
    let model = &tokenizer["model"];
    let merges = model["merges"].as_array();
    let merges =
        merges.ok_or_else(|| SourceError::Unsupported("tokenizers without merges".into()))?;
    if !mentions_byte_level(&tokenizer["pre_tokenizer"]) {
        return Err(SourceError::Unsupported(
            "SentencePiece vocabularies (only byte-level BPE is)".into(),
        ));
    }
    let added: HashSet<u64> = tokenizer["added_tokens"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|token| token["id"].as_u64())
        .collect();
    let byte_level = ByteLevel::default();
    let mut tokens = Vec::new();
    for (text, id) in model["vocab"]
        .as_object()
        .ok_or_else(|| invalid("no vocabulary"))?
    {
        let id = id.as_u64().ok_or_else(|| invalid("an id is no number"))?;
        if added.contains(&id) {
            continue;
        }
        let small = u32::try_from(id).map_err(|_| invalid("an id is too large"))?;
        if let Some(bytes) = byte_level.bytes(text) {
            tokens.push((small, bytes));
        }
    }
    let merges = merges.iter().filter_map(|rule| match rule {
        Value::String(rule) => byte_level.merge(rule),
        Value::Array(parts) => match &parts[..] {
            [Value::String(left), Value::String(right)] => {
                Some((byte_level.bytes(left)?, byte_level.bytes(right)?))
            }
            _ => None,
        },
        _ => None,
    });
    Ok(Vocabulary {
        tokens,
        merges: merges.collect(),
        bos,
        pre_tokenizer: tokenizer["pre_tokenizer"].clone(),
    })
}

fn mentions_byte_level(fragment: &Value) -> bool {
    fragment["type"] == "ByteLevel"
        || fragment["pretokenizers"]
            .as_array()
            .is_some_and(|parts| parts.iter().any(mentions_byte_level))
}

/// The tensors of one or several safetensors files.
struct Weights {
    files: Vec<File>,
    /// By name.
    tensors: BTreeMap<String, StoredTensor>,
    /// Beginnings of names, and what may stand there instead.
    variants: &'static [(&'static str, &'static str)],
}

/// A tensor of a file.
struct StoredTensor {
    /// Index in `Weights::files`.
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Its bytes within the file.
    range: Range<u64>,
}

impl StoredTensor {
    fn read(&self, mut file: &File) -> io::Result<Vec<u8>> {
        file.seek(SeekFrom::Start(self.range.start))?;
        let mut bytes = Vec::new();
        let len = self.range.end - self.range.start;
        match file.take(len).read_to_end(&mut bytes)? as u64 == len {
            true => Ok(bytes),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Weights {
    fn open(
        folder: &Path,
        variants: &'static [(&'static str, &'static str)],
    ) -> Result<Weights, SourceError> {
        // Of weights that are there both whole and in shards, the whole ones are taken, as
        // transformers does.
        let (whole, index) = ("model.safetensors", "model.safetensors.index.json");
        let names = match !folder.join(whole).exists() && folder.join(index).exists() {
            true => shards(&json(folder, index)?)?,
            false => vec![whole.to_owned()],
        };
        let mut weights = Weights {
            files: Vec::new(),
            tensors: BTreeMap::new(),
            variants,
        };
        for name in names {
            weights.add(folder, &name)?;
        }
        Ok(weights)
    }

    fn add(&mut self, folder: &Path, name: &str) -> Result<(), SourceError> {
        let failed = |e| SourceError::io(name, e);
        let mut file = regular_file::open(&folder.join(name)).map_err(failed)?;
        let broken = |e| SourceError::Invalid(format!("{name}: {e}"));
        let (data, metadata) = safetensors_header(&mut file).map_err(broken)?;
        #[expect(clippy::iter_over_hash_type, reason = "each goes into a map")]
        for (name, info) in metadata.tensors() {
            let (start, end) = info.data_offsets;
            let tensor = StoredTensor {
                file: self.files.len(),
                dtype: info.dtype,
                shape: info.shape.clone(),
                range: data + start as u64..data + end as u64,
            };
            self.tensors.insert(name, tensor);
        }
        self.files.push(file);
        Ok(())
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.find(name).map(|tensor| tensor.shape.clone())
    }

    /// The tensor called `name`, or so but for its beginning.
    fn find(&self, name: &str) -> Option<&StoredTensor> {
        let variant = |(beginning, other): &(&str, &str)| {
            let rest = name.strip_prefix(beginning)?;
            self.tensors.get(&format!("{other}{rest}"))
        };
        let exact = self.tensors.get(name);
        exact.or_else(|| self.variants.iter().find_map(variant))
    }

    /// Numbers in all tensors, except what can be computed and what is `unused`.
    fn parameters(&self, unused: impl Fn(&str) -> bool) -> u64 {
        let counted = |name: &str| !unused(name) && !name.ends_with("rotary_emb.inv_freq");
        let tensors = self.tensors.iter().filter(|(name, _)| counted(name));
        tensors
            .map(|(_, tensor)| tensor.shape.iter().product::<usize>() as u64)
            .sum()
    }
}

/// Where the tensors of a safetensors file begin, and what its header says of them.
fn safetensors_header(file: &mut File) -> Result<(u64, Metadata), SafeTensorError> {
    let header = read_header(file)?.ok_or(SafeTensorError::HeaderTooLarge)?;
    let metadata: Metadata = serde_json::from_slice(&header)?;
    let start = 8 + header.len() as u64;
    match file.metadata()?.len() == start + metadata.data_len() as u64 {
        true => Ok((start, metadata)),
        false => Err(SafeTensorError::MetadataIncompleteBuffer),
    }
}

/// The shard files that an index names: plain names in the same folder.
pub(crate) fn shards(index: &Value) -> Result<Vec<String>, SourceError> {
    let map = index["weight_map"].as_object();
    let map = map.ok_or_else(|| SourceError::invalid("the index of shards has no weight_map"))?;
    let mut names: Vec<String> = map
        .values()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    names.dedup();
    let plain = |name: &String| {
        let letters = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        letters && name.ends_with(".safetensors") && !name.starts_with('.')
    };
    match names.iter().find(|name| !plain(name)) {
        Some(name) => Err(SourceError::Invalid(format!("shard name {name:?}"))),
        None => Ok(names),
    }
}

impl StoredTensors for Weights {
    fn read(&mut self, name: &str) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        let fail = |reason: &str| PackedError::Source {
            name: name.to_owned(),
            reason: reason.to_owned(),
        };
        let stored = self.find(name).ok_or_else(|| fail("missing"))?;
        let bytes = stored.read(&self.files[stored.file]);
        let bytes = &bytes.map_err(|error| fail(&error.to_string()))?;
        let values = match stored.dtype {
            Dtype::F32 => floats(bytes, f32::from_le_bytes),
            Dtype::F16 => floats(bytes, |b| f16_to_f32(u16::from_le_bytes(b))),
            Dtype::BF16 => floats(bytes, |b| {
                f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)
            }),
            other => return Err(fail(&format!("type {other:?} is not supported"))),
        };
        Ok((stored.shape.clone(), values))
    }
}

fn floats<const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (values, _) = bytes.as_chunks::<N>();
    values.iter().map(|&value| convert(value)).collect()
}

/// IEEE binary16 to binary32, exact.
fn f16_to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let exponent = u32::from(half >> 10) & 0x1f;
    let fraction = u32::from(half & 0x3ff);
    let magnitude = match exponent {
        // 2^-24 is the unit of subnormal halves; the product is exact.
        0 => (fraction as f32 * f32::from_bits((127 - 24) << 23)).to_bits(),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 127 - 15) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::rope::Rope;
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
            let mut value = json(folder.path(), name).unwrap();
            change(&mut value);
            fs::write(folder.path().join(name), value.to_string()).unwrap();
        }
        folder
    }

    fn refusal(name: &str, change: impl FnOnce(&mut Value)) -> String {
        open(changed(name, change).path()).unwrap_err().to_string()
    }

    #[test]
    fn halves_become_floats_exactly() {
        for (half, float) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 2f32.powi(-24)),
            (0x03ff, 1023.0 * 2f32.powi(-24)),
            (0x0400, 2f32.powi(-14)),
            (0x3555, 0.333_251_95),
        ] {
            assert_eq!(f16_to_f32(half), float, "{half:04x}");
        }
        assert_eq!(f16_to_f32(0x8000).to_bits(), (-0.0f32).to_bits());
        assert_eq!(f16_to_f32(0xfc00), f32::NEG_INFINITY);
        assert!(f16_to_f32(0x7e00).is_nan());
    }

    #[test]
    fn what_is_unsupported_is_named() {
        let says = |reason: String, part: &str| assert!(reason.contains(part), "{reason}");
        let config =
            |key: &'static str, value: Value| refusal("config.json", |config| config[key] = value);
        says(
            config("architectures", serde_json::json!(["GPT2LMHeadModel"])),
            "GPT2",
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

    #[test]
    fn shards_stay_in_the_folder() {
        for bad in [
            "../a.safetensors",
            "/a.safetensors",
            "a/b.safetensors",
            "a.bin",
        ] {
            let index = serde_json::json!({"weight_map": {"x": bad}});
            assert!(shards(&index).is_err(), "{bad}");
        }
    }
}
