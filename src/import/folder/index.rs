//! Which safetensors files of a folder hold the weights.

use crate::import::{SourceError, json};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Weights in one file.
pub(super) const WHOLE: &str = "model.safetensors";
/// The list of files that hold the weights together.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// Longest list of shards, in bytes.
const MAX_INDEX: u64 = 32 << 20;
/// Most files that are looked at in a folder without the usual files.
const MAX_ENTRIES: usize = 10_000;

/// The files that hold the weights.
#[derive(Debug, PartialEq)]
pub(super) struct Index {
    /// Their names, in order.
    pub(super) files: Vec<String>,
    /// The file that holds each tensor, as far as the folder says so.
    pub(super) places: BTreeMap<String, String>,
}

impl Index {
    /// Finds the weights of a folder. Of weights that are there both whole and in shards, the whole
    /// ones are taken, as transformers does.
    ///
    /// # Errors
    /// If the folder has none, or only weights in other formats.
    pub(super) fn find(folder: &Path) -> Result<Index, SourceError> {
        if folder.join(WHOLE).exists() {
            return Ok(Index::of([WHOLE]));
        }
        if folder.join(INDEX).exists() {
            return Index::new(&json::read(folder, INDEX, MAX_INDEX)?);
        }
        let names = names(folder)?;
        match Index::of_numbered(&names)? {
            Some(index) => Ok(index),
            None => Err(other_weights(&names)),
        }
    }

    /// Files of which nothing more is known.
    pub(super) fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Index {
        Index {
            files: names.into_iter().map(str::to_owned).collect(),
            places: BTreeMap::new(),
        }
    }

    /// What a list of shards says. They have plain names, so they stay in the folder.
    pub(super) fn new(list: &Value) -> Result<Index, SourceError> {
        let map = list["weight_map"].as_object().filter(|map| !map.is_empty());
        let map =
            map.ok_or_else(|| SourceError::invalid("the index of shards has no weight_map"))?;
        let mut places = BTreeMap::new();
        for (tensor, file) in map {
            let plain = file.as_str().filter(|name| is_plain(name)).ok_or_else(|| {
                SourceError::Invalid(format!(
                    "the index of shards places {} in \"{}\", which is no name of a safetensors file",
                    tensor.escape_debug(),
                    file.as_str().unwrap_or_default().escape_debug()
                ))
            })?;
            places.insert(tensor.clone(), plain.to_owned());
        }
        let mut files: Vec<String> = places.values().cloned().collect();
        files.sort_unstable();
        files.dedup();
        Ok(Index { files, places })
    }

    /// Shards whose index is missing: their names say how many there are.
    fn of_numbered(names: &[String]) -> Result<Option<Index>, SourceError> {
        let Some(count) = names.iter().find_map(|name| count(name)) else {
            return Ok(None);
        };
        let all: Vec<String> = (1..=count)
            .map(|number| format!("model-{number:05}-of-{count:05}.safetensors"))
            .collect();
        match all.iter().find(|shard| !names.contains(shard)) {
            Some(missing) => Err(SourceError::Invalid(format!("{missing} is missing"))),
            None => Ok(Some(Index::of(all.iter().map(String::as_str)))),
        }
    }
}

/// How many shards there are, from the name of one.
fn count(name: &str) -> Option<usize> {
    let numbers = name.strip_prefix("model-")?.strip_suffix(".safetensors")?;
    let (number, count) = numbers.split_once("-of-")?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    let count = (digits(number) && digits(count)).then(|| count.parse().ok())?;
    count.filter(|count| (1..=MAX_ENTRIES).contains(count))
}

fn is_plain(name: &str) -> bool {
    let letters = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    letters && name.ends_with(".safetensors") && !name.starts_with('.')
}

/// The names in a folder, in order.
fn names(folder: &Path) -> Result<Vec<String>, SourceError> {
    let failed = |error| SourceError::io("cannot read the folder", error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)?.take(MAX_ENTRIES) {
        names.push(
            entry
                .map_err(failed)?
                .file_name()
                .to_string_lossy()
                .into_owned(),
        );
    }
    names.sort_unstable();
    Ok(names)
}

/// Why a folder with these files has no weights that can be read.
fn other_weights(names: &[String]) -> SourceError {
    let find = |endings: &[&str]| {
        let is_one = |name: &&String| endings.iter().any(|ending| name.ends_with(ending));
        names.iter().find(is_one)
    };
    if let Some(name) = find(&["adapter_model.safetensors", "adapter_model.bin"]) {
        return SourceError::Unsupported(format!(
            "{name}, which changes another model (merge the two, then add the result)"
        ));
    }
    if let Some(name) = find(&[".bin", ".bin.index.json", ".pt", ".pth", ".ckpt"]) {
        return SourceError::Unsupported(format!(
            "weights in {name}, a Python pickle, which could run any program (let transformers \
             load the model and save it with save_pretrained: that writes {WHOLE})"
        ));
    }
    if let Some(name) = find(&[".h5", ".msgpack", ".onnx", ".npz", ".safetensors"]) {
        return SourceError::Unsupported(format!("weights in {name} (expected {WHOLE})"));
    }
    SourceError::Invalid(format!("the folder has no weights: {WHOLE} is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(folder.path().join(name), "{}").unwrap();
        }
        folder
    }

    #[test]
    fn shards_stay_in_the_folder() {
        for bad in [
            json!("../a.safetensors"),
            json!("/a.safetensors"),
            json!("a/b.safetensors"),
            json!(".safetensors"),
            json!("a.bin"),
            json!(7),
            json!(null),
        ] {
            let index = Index::new(&json!({"weight_map": {"x": bad}}));
            let error = index.unwrap_err().to_string();
            assert!(error.contains("places x in"), "{error}");
        }
        for empty in [
            json!({"weight_map": {}}),
            json!([]),
            json!({"weight_map": 1}),
        ] {
            assert!(Index::new(&empty).is_err());
        }
        let map = json!({"weight_map": {"x": "b.safetensors", "y": "a.safetensors"}});
        let index = Index::new(&map).unwrap();
        assert_eq!(index.files, ["a.safetensors", "b.safetensors"]);
        assert_eq!(index.places["x"], "b.safetensors");
    }

    #[test]
    fn shards_without_an_index_are_all_taken() {
        let (one, two) = (
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
        );
        let found = Index::find(folder(&[two, one]).path()).unwrap();
        assert_eq!(found, Index::of([one, two]));
        let error = Index::find(folder(&[two]).path()).unwrap_err().to_string();
        assert!(error.ends_with(&format!("{one} is missing")), "{error}");
    }

    #[test]
    fn other_formats_are_named() {
        for (names, want) in [
            (&["config.json"][..], "model.safetensors is missing"),
            (&["pytorch_model.bin"], "pytorch_model.bin, a Python pickle"),
            (
                &[
                    "pytorch_model-00001-of-00002.bin",
                    "pytorch_model.bin.index.json",
                ],
                "a Python pickle",
            ),
            (
                &["consolidated.00.pth"],
                "consolidated.00.pth, a Python pickle",
            ),
            (&["tf_model.h5"], "weights in tf_model.h5"),
            (&["adapter_model.safetensors"], "merge"),
            (
                &["consolidated.safetensors"],
                "weights in consolidated.safetensors",
            ),
        ] {
            let error = Index::find(folder(names).path()).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
    }
}
