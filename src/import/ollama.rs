//! Models in the store of Ollama.
//!
//! The store has a manifest for each name and tag, in JSON, and one file for each content, under
//! its SHA-256. A manifest lists the contents that make up a model; one of them is a GGUF file.

use super::{Source, SourceError, file, gguf, json, pieces};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

/// What the name of a model in the store begins with, where a path is expected.
const PREFIX: &str = "ollama:";
/// Longest manifest in bytes.
pub(super) const MAX_MANIFEST: u64 = 1 << 20;
/// Where a system-wide Ollama on Linux keeps models.
const SYSTEM_STORE: &str = "/usr/share/ollama/.ollama/models";

/// The model that a path such as `ollama:llama3.2:1b` names; `None` for other paths.
pub(super) fn name(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix(PREFIX)
}

/// Opens a model of the user's store.
///
/// # Errors
/// If there is none of that name, or it is not one GGUF file.
pub(super) fn open(name: &str) -> Result<Source, SourceError> {
    let manifest = manifest_path(name)?;
    let stores = stores();
    let found = stores.iter().map(|store| store.join(&manifest));
    match found.into_iter().find(|path| path.is_file()) {
        Some(path) => open_manifest(&path),
        None => Err(SourceError::Invalid(format!(
            "Ollama has no such model in {}",
            stores
                .first()
                .map_or(Path::new(SYSTEM_STORE), PathBuf::as_path)
                .display()
        ))),
    }
}

/// The folders that may be Ollama's store, the likeliest first.
fn stores() -> Vec<PathBuf> {
    match std::env::var_os("OLLAMA_MODELS").filter(|folder| !folder.is_empty()) {
        Some(folder) => vec![folder.into()],
        None => {
            let own = std::env::home_dir().map(|home| home.join(".ollama").join("models"));
            own.into_iter().chain([SYSTEM_STORE.into()]).collect()
        }
    }
}

/// Where a store has the manifest of `[[HOST/]OWNER/]MODEL[:TAG]`.
fn manifest_path(name: &str) -> Result<PathBuf, SourceError> {
    let (model, tag) = match name.rsplit_once(':') {
        Some((model, tag)) if !tag.contains('/') => (model, tag),
        _ => (name, "latest"),
    };
    let mut parts = vec!["manifests"];
    match model.split('/').count() {
        1 => parts.extend(["registry.ollama.ai", "library"]),
        2 => parts.push("registry.ollama.ai"),
        _ => {}
    }
    parts.extend(model.split('/'));
    parts.push(tag);
    let is_plain = |part: &&str| {
        let letter = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(letter)
    };
    match parts.len() == 5 && parts.iter().all(is_plain) {
        true => Ok(parts.iter().collect()),
        false => Err(SourceError::invalid(
            "expected ollama:MODEL[:TAG] or ollama:OWNER/MODEL[:TAG]",
        )),
    }
}

/// Opens the model that a manifest describes.
///
/// # Errors
/// If it is no manifest in a store, or the model is not one GGUF file.
pub(super) fn open_manifest(path: &Path) -> Result<Source, SourceError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().unwrap_or(Path::new(""));
    let manifest = json::read(folder, &name, MAX_MANIFEST)?;
    let (content, size) = weights(&manifest)?;
    let store = store_of(path).ok_or_else(|| {
        SourceError::invalid("a manifest of Ollama outside of a folder called manifests")
    })?;
    let path = store.join("blobs").join(&content);
    let mut file = file::open(&path, &content)?;
    let length = file.metadata();
    let length = length
        .map_err(|error| SourceError::io(&content, error))?
        .len();
    if size.is_some_and(|size| size != length) {
        return Err(SourceError::Invalid(format!(
            "{content} has {length} bytes, but its manifest says {} (pull the model again)",
            size.unwrap_or_default()
        )));
    }
    let hash = sha256(&mut file, length).map_err(|error| SourceError::io(&content, error))?;
    if content != format!("sha256-{hash}") {
        return Err(SourceError::Invalid(format!(
            "{content} holds other bytes than its name says (pull the model again)"
        )));
    }
    gguf::open_parts(&[&path])
}

/// The SHA-256 of a file of `length` bytes, in lower-case hexadecimal digits.
fn sha256(file: &mut File, length: u64) -> io::Result<String> {
    let mut hasher = Sha256::new();
    pieces::read(file, 0, length, 1, |piece| {
        hasher.update(piece);
        io::Result::Ok(())
    })?;
    let digits = hasher.finalize();
    Ok(digits.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The store that a manifest lies in.
fn store_of(manifest: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(manifest).ok()?;
    let is_manifests = |folder: &&Path| {
        folder.components().next_back() == Some(Component::Normal("manifests".as_ref()))
    };
    Some(path.ancestors().find(is_manifests)?.parent()?.to_owned())
}

/// The file name and the size of the one content that holds weights.
fn weights(manifest: &Value) -> Result<(String, Option<u64>), SourceError> {
    let layers = manifest["layers"].as_array();
    let layers = layers.ok_or_else(SourceError::unknown_format)?;
    let of = |kind: &str| -> Vec<&Value> {
        let is_one = |layer: &&Value| {
            let media = layer["mediaType"].as_str();
            media.and_then(|it| it.strip_prefix("application/vnd.ollama.image.")) == Some(kind)
        };
        layers.iter().filter(is_one).collect()
    };
    if !of("adapter").is_empty() {
        return Err(SourceError::Unsupported(
            "a model of Ollama with an adapter, which changes its weights".into(),
        ));
    }
    if !of("tensor").is_empty() {
        return Err(SourceError::Unsupported(
            "a model that Ollama keeps in other formats than GGUF".into(),
        ));
    }
    let [layer] = of("model")[..] else {
        return Err(SourceError::Invalid(format!(
            "the manifest of Ollama lists {} files of weights, expected 1",
            of("model").len()
        )));
    };
    let hash = layer["digest"]
        .as_str()
        .and_then(|digest| digest.strip_prefix("sha256:"));
    match hash.filter(|hash| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit())) {
        Some(hash) => {
            let name = format!("sha256-{}", hash.to_ascii_lowercase());
            Ok((name, layer["size"].as_u64()))
        }
        None => Err(SourceError::invalid(
            "the manifest of Ollama gives no SHA-256 of the weights",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_lead_to_manifests() {
        for (name, want) in [
            (
                "llama3.2",
                "manifests/registry.ollama.ai/library/llama3.2/latest",
            ),
            (
                "llama3.2:1b",
                "manifests/registry.ollama.ai/library/llama3.2/1b",
            ),
            ("me/own:v1", "manifests/registry.ollama.ai/me/own/v1"),
            ("hf.co/a/B-GGUF:Q4_K_M", "manifests/hf.co/a/B-GGUF/Q4_K_M"),
            ("localhost:5000/a/b", "manifests/localhost:5000/a/b/latest"),
        ] {
            assert_eq!(manifest_path(name).unwrap(), Path::new(want), "{name}");
        }
        for bad in [
            "",
            ":",
            "../x",
            "a/../b",
            "/etc/passwd",
            "a/b/c/d",
            "a b",
            "x:",
        ] {
            assert!(manifest_path(bad).is_err(), "{bad}");
        }
        assert_eq!(name(Path::new("ollama:x:y")), Some("x:y"));
        assert_eq!(name(Path::new("ollama/x")), None);
    }

    #[test]
    fn a_manifest_lists_one_gguf() {
        let layer = |kind: &str, digest: &str| {
            let media = format!("application/vnd.ollama.image.{kind}");
            json!({"mediaType": media, "digest": digest, "size": 5})
        };
        let hash = "ab".repeat(32);
        let model = layer("model", &format!("sha256:{hash}"));
        let manifest = |layers: &[&Value]| json!({"schemaVersion": 2, "layers": layers});
        let sound = manifest(&[&model, &layer("license", ""), &layer("projector", "")]);
        assert_eq!(
            weights(&sound).unwrap(),
            (format!("sha256-{hash}"), Some(5))
        );
        for (bad, want) in [
            (json!({}), "nor a manifest of Ollama"),
            (manifest(&[]), "lists 0 files"),
            (manifest(&[&model, &model]), "lists 2 files"),
            (manifest(&[&model, &layer("adapter", "")]), "adapter"),
            (manifest(&[&layer("tensor", "")]), "other formats"),
            (
                manifest(&[&layer("model", "sha256:../../etc/passwd")]),
                "no SHA-256",
            ),
        ] {
            let error = weights(&bad).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
    }
}
