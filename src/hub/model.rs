//! Which files of a repository are a model.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::{HubError, listed};
use super::repository::Repository;
use crate::import::{self, folder};
use crate::store::is_file_name;

/// Lists the files over which large weights are spread.
const INDEX: &str = "model.safetensors.index.json";
/// Weights in one file.
const WEIGHTS: &str = "model.safetensors";
/// Most files over which weights may be spread. The largest public models have some 200.
const MAX_SHARDS: usize = 1000;

/// The files of a model.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Model {
    /// Configuration, tokenizer and weights.
    Folder {
        /// Whether the weights are in several files, which an index lists.
        sharded: bool,
    },
    /// The files of one GGUF model.
    Gguf(Vec<String>),
}

impl Model {
    /// The model that is wanted of a repository which holds files with these names: the GGUF model
    /// that was named, else the folder with `model.safetensors` or its index, else the only GGUF
    /// model.
    pub(super) fn choose(names: &[&str], repository: &Repository) -> Result<Model, HubError> {
        let has = |name: &str| names.contains(&name);
        match (&repository.file, has(WEIGHTS), has(INDEX)) {
            (None, true, _) => return Ok(Model::Folder { sharded: false }),
            (None, false, true) => return Ok(Model::Folder { sharded: true }),
            _ => {}
        }
        let names = names.iter().copied().filter(|name| is_file_name(name));
        let all: Vec<&str> = import::one_of_each_gguf(names).into_iter().collect();
        let is_wanted = |name: &&&str| match &repository.file {
            Some(wanted) => is_called(name, wanted),
            None => true,
        };
        let wanted: Vec<&str> = all.iter().filter(is_wanted).copied().collect();
        match (&wanted[..], &repository.file) {
            ([name], _) => Ok(Model::Gguf(import::gguf_set(name)?)),
            ([], None) => Err(HubError::answer(
                &repository.id,
                "outside its folders, the repository holds neither model.safetensors nor a GGUF model",
            )),
            ([], Some(file)) => Err(HubError::answer(
                &repository.id,
                format!(
                    "no GGUF model of the repository is called {file}{}",
                    listed(&all)
                ),
            )),
            _ => Err(HubError::Several {
                repo: repository.id.clone(),
                models: wanted.into_iter().map(str::to_owned).collect(),
            }),
        }
    }

    /// Gets every file that the model consists of, the large ones last, so that a model that cannot
    /// be used is refused before they are fetched. `get` returns where the content of a file is.
    pub(super) fn every_file(
        &self,
        mut get: impl FnMut(&str) -> Result<PathBuf, HubError>,
    ) -> Result<(), HubError> {
        let sharded = match self {
            Model::Folder { sharded } => sharded,
            Model::Gguf(files) => return files.iter().try_for_each(|file| get(file).map(drop)),
        };
        folder::judge(&get("config.json")?)?;
        get("tokenizer.json")?;
        if !sharded {
            return get(WEIGHTS).map(drop);
        }
        let shards = read_index(&get(INDEX)?)?;
        shards.iter().try_for_each(|shard| get(shard).map(drop))
    }

    /// What is to be opened, if the files are in the folder `snapshot`.
    pub(super) fn path(&self, snapshot: PathBuf) -> PathBuf {
        match self {
            Model::Folder { .. } => snapshot,
            Model::Gguf(files) => files
                .first()
                .map_or(snapshot.clone(), |name| snapshot.join(name)),
        }
    }

    /// The GGUF file that the model is in, or the first of them.
    pub(super) fn gguf(&self) -> Option<&str> {
        match self {
            Model::Folder { .. } => None,
            Model::Gguf(files) => files.first().map(String::as_str),
        }
    }
}

/// Whether a GGUF file is the one that was asked for: by its name, or by the end of it before
/// `.gguf` and the place in a set, such as `Q8_0`.
fn is_called(name: &str, wanted: &str) -> bool {
    let (name, wanted) = (name.to_ascii_lowercase(), wanted.to_ascii_lowercase());
    let stem = import::gguf_stem(&name);
    let before = stem.strip_suffix(&*wanted);
    name == wanted || before.is_some_and(|it| it.is_empty() || it.ends_with(['-', '.', '_']))
}

/// The names of the files that an index lists.
fn read_index(path: &Path) -> Result<Vec<String>, HubError> {
    let index = serde_json::from_slice(&fs::read(path)?)
        .map_err(|error| HubError::answer(INDEX, error.to_string()))?;
    let shards = folder::shards(&index)?;
    match shards.len() <= MAX_SHARDS {
        true => Ok(shards.into_iter().collect()),
        false => Err(HubError::answer(
            INDEX,
            format!(
                "it names {} files, at most {MAX_SHARDS} are read",
                shards.len()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(names: &[&str], wanted: &str) -> Result<Model, String> {
        let repository = Repository::parse(wanted).unwrap();
        Model::choose(names, &repository).map_err(|error| error.to_string())
    }

    fn gguf(files: &[&str]) -> Result<Model, String> {
        Ok(Model::Gguf(
            files.iter().map(|name| (*name).to_owned()).collect(),
        ))
    }

    const FOLDER: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];
    const QUANTS: [&str; 6] = [
        "README.md",
        "Tiny-Q4_K_M.gguf",
        "Tiny-Q8_0-00002-of-00002.gguf",
        "Tiny-Q8_0-00001-of-00002.gguf",
        "Tiny-UD-Q4_K_XL.gguf",
        "mmproj-F16.gguf",
    ];

    #[test]
    fn a_folder_comes_before_gguf_files_unless_one_is_named() {
        let both: Vec<&str> = FOLDER.into_iter().chain(["Tiny-F16.gguf"]).collect();
        assert_eq!(choose(&both, "a/b"), Ok(Model::Folder { sharded: false }));
        assert_eq!(choose(&both, "a/b:f16"), gguf(&["Tiny-F16.gguf"]));
        let sharded = ["model.safetensors.index.json", "config.json"];
        assert_eq!(choose(&sharded, "a/b"), Ok(Model::Folder { sharded: true }));
    }

    #[test]
    fn a_gguf_model_is_chosen_by_its_name_or_the_end_of_it() {
        let set = [
            "Tiny-Q8_0-00001-of-00002.gguf",
            "Tiny-Q8_0-00002-of-00002.gguf",
        ];
        assert_eq!(choose(&QUANTS, "a/b:Q8_0"), gguf(&set));
        assert_eq!(
            choose(&QUANTS, "a/b@main:q4_k_m"),
            gguf(&["Tiny-Q4_K_M.gguf"])
        );
        assert_eq!(
            choose(&QUANTS, "a/b:Tiny-Q4_K_M.gguf"),
            gguf(&["Tiny-Q4_K_M.gguf"])
        );
        assert_eq!(
            choose(&QUANTS, "a/b:Tiny-Q4_K_M"),
            gguf(&["Tiny-Q4_K_M.gguf"])
        );
        assert_eq!(choose(&["m.gguf", "x.txt"], "a/b"), gguf(&["m.gguf"]));
    }

    #[test]
    fn what_is_not_there_or_not_clear_is_said() {
        let error = |wanted: &str| choose(&QUANTS, wanted).unwrap_err();
        assert!(
            error("a/b").contains("several GGUF models: Tiny-Q4_K_M.gguf"),
            "{}",
            error("a/b")
        );
        for absent in ["a/b:K_M_", "a/b:_0", "a/b:8_0", "a/b:F16"] {
            assert!(error(absent).contains("is called"), "{absent}");
        }
        assert!(choose(&["x.bin"], "a/b").unwrap_err().contains("neither"));
        let strange = ["../m.gguf", "a/m.gguf", "a b.gguf", "%2f.gguf"];
        assert!(choose(&strange, "a/b").unwrap_err().contains("neither"));
        let long = ["m-00001-of-99999.gguf"];
        assert!(choose(&long, "a/b").unwrap_err().contains("99999 parts"));
    }
}
