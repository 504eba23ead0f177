//! Hugging Face folders: `config.json`, `tokenizer.json` and safetensors files, perhaps several
//! with an index.

use super::SourceError;
use super::description::{Description, find_member};
use super::source::{Source, sorted};
use super::vocabulary::hugging_face;
use crate::arch::SourceTensor;
use crate::arch::family::Setting;
use crate::arch::rope::RopeScaling;
use crate::machine::regular_file;
use crate::packed::{PackedError, TensorSource, read_header};
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensorError};
use serde_json::Value;
use std::collections::BTreeMap;
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
    let weights = Weights::open(folder)?;
    let vocabulary = hugging_face::read(&json(folder, "tokenizer.json")?, bos(&config))?;
    let plan = vocabulary.plan()?;
    let parameters = rope_parameters(&config)?;
    let description = Description {
        family,
        member,
        keys: &family.hugging_face_keys,
        // Newer folders keep the settings of the rotary embedding in its object.
        setting: &|key| setting(&config[key]).or_else(|| setting(&parameters[key])),
        name: |tensor| &tensor.hugging_face,
        shape: &|name| weights.shape(name),
    };
    let rope = description.rope(rope_scaling(parameters)?)?;
    let pre_tokenizer = sorted(&vocabulary.pre_tokenizer);
    let config = description.config(&plan, pre_tokenizer, |config| {
        // A tied model's file may hold the head nevertheless.
        let head = family.tensor(&family.head, None, config);
        weights.parameters(|name| config.tied && head.sources().any(|it| it.hugging_face == name))
    })?;
    Ok(Source {
        config,
        rope,
        vocabulary: plan,
        tensors: Box::new(weights),
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
        Value::Array(_) | Value::Object(_) => Some(Setting::Other),
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

/// What config.json says of the rotary embedding in an object of its own; null if nothing.
fn rope_parameters(config: &Value) -> Result<&Value, SourceError> {
    let parameters = match &config["rope_parameters"] {
        Value::Null => &config["rope_scaling"],
        parameters => parameters,
    };
    match parameters {
        Value::Null | Value::Object(_) => Ok(parameters),
        other => Err(SourceError::Invalid(format!("rope_scaling is {other}"))),
    }
}

fn rope_scaling(parameters: &Value) -> Result<RopeScaling, SourceError> {
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
        Some(other) => Err(SourceError::Unsupported(format!("rotary scaling {other}"))),
    }
}

/// The tensors of one or several safetensors files.
struct Weights {
    files: Vec<File>,
    /// By name.
    tensors: BTreeMap<String, StoredTensor>,
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
    fn open(folder: &Path) -> Result<Weights, SourceError> {
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
        self.tensors.get(name).map(|tensor| tensor.shape.clone())
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

impl TensorSource for Weights {
    fn tensor(&mut self, tensor: &SourceTensor) -> Result<(Vec<usize>, Vec<f32>), PackedError> {
        let name = &tensor.hugging_face;
        let fail = |reason: &str| PackedError::Source {
            name: name.to_owned(),
            reason: reason.to_owned(),
        };
        let stored = self.tensors.get(name).ok_or_else(|| fail("missing"))?;
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
        says(config("hidden_act", "gelu".into()), "gelu");
        says(config("num_hidden_layers", 3.into()), "layers.2.");
        says(config("hidden_size", (-1).into()), "hidden_size is -1");
        says(config("hidden_size", "wide".into()), "hidden_size is wide");
        says(config("hidden_size", Value::Null), "lacks hidden_size");
        says(config("use_sliding_window", true.into()), "sliding");
        says(config("partial_rotary_factor", 0.5.into()), "partial");
        says(
            config(
                "rope_scaling",
                serde_json::json!({"type": "yarn", "factor": 2.0}),
            ),
            "yarn",
        );
        says(config("rope_theta", 0.0.into()), "rotary");
        let partial = serde_json::json!({"rope_type": "default", "partial_rotary_factor": 0.5});
        says(config("rope_parameters", partial), "partial");
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
        let rope = |parameters: Value| {
            let folder = changed("config.json", |config| {
                config["rope_theta"] = Value::Null;
                config["rope_parameters"] = parameters;
            });
            open(folder.path()).unwrap().rope
        };
        let theta = serde_json::json!({"rope_type": "default", "rope_theta": 500.0});
        let scaling = RopeScaling::None;
        assert_eq!(
            rope(theta),
            Rope {
                theta: 500.0,
                scaling
            }
        );
        let linear = serde_json::json!({"rope_type": "linear", "type": "linear", "factor": 4});
        let (theta, scaling) = (10_000.0, RopeScaling::Linear { factor: 4.0 });
        assert_eq!(rope(linear), Rope { theta, scaling });
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
        let packed = open(folder.path()).unwrap().pack().unwrap();
        assert!(packed == crate::store::embedded::FIXTURE);
        // Beside whole weights, the list of shards is not read.
        fs::write(folder.path().join("model.safetensors"), whole).unwrap();
        fs::write(folder.path().join("model.safetensors.index.json"), "{}").unwrap();
        let packed = open(folder.path()).unwrap().pack().unwrap();
        assert!(packed == crate::store::embedded::FIXTURE);
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
