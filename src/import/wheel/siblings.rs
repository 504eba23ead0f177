//! Wheels that belong together, by their names.
//!
//! A model too large for one package comes in several. Either each is named like the others up to
//! a number at the end and has the same version, or one of them requires the others.

use crate::import::SourceError;
use std::path::{Path, PathBuf};

/// Most files that are looked at in the folder of a wheel.
const MAX_ENTRIES: usize = 100_000;

/// What the file name of a wheel says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WheelName {
    /// The package, in the spelling that all spellings of its name have in common.
    package: String,
    version: String,
}

impl WheelName {
    /// `None` if a file has no such name.
    pub(super) fn parse(file: &str) -> Option<WheelName> {
        let mut parts = file.strip_suffix(".whl")?.split('-');
        Some(WheelName {
            package: normal(parts.next()?),
            version: parts.next()?.to_owned(),
        })
    }

    /// What the names of numbered packages have in common; `None` if this one has no number.
    fn series(&self) -> Option<&str> {
        let series = self.package.trim_end_matches(|c: char| c.is_ascii_digit());
        (series.len() < self.package.len()).then_some(series)
    }

    fn is_required(&self, requirements: &[(String, Option<String>)]) -> bool {
        requirements.iter().any(|(name, version)| {
            normal(name) == self.package
                && version
                    .as_ref()
                    .is_none_or(|version| *version == self.version)
        })
    }
}

/// The spelling of a package's name with `_` for `-`, `_` and `.`.
fn normal(name: &str) -> String {
    name.to_lowercase().replace(['-', '.'], "_")
}

/// The wheels beside the one at `path` that belong to it, in the order of their names.
/// `requirements` are those of the wheel.
///
/// # Errors
/// If the folder cannot be read, or if a package is missing that the wheel requires and whose name
/// begins with its own.
pub(super) fn siblings(
    path: &Path,
    requirements: &[(String, Option<String>)],
) -> Result<Vec<PathBuf>, SourceError> {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let Some(own) = WheelName::parse(&file) else {
        return Ok(Vec::new());
    };
    let failed = |error| SourceError::io("cannot read the folder of the wheel", error);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)?.take(MAX_ENTRIES) {
        let name = entry.map_err(failed)?.file_name();
        let Some(other) = WheelName::parse(&name.to_string_lossy()) else {
            continue;
        };
        let in_series = own.series().is_some()
            && own.series() == other.series()
            && own.version == other.version;
        if other.package != own.package && (in_series || other.is_required(requirements)) {
            found.push((other, path.with_file_name(name)));
        }
    }
    let missing: Vec<&str> = requirements
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| normal(name).starts_with(&own.package))
        .filter(|name| !found.iter().any(|(other, _)| other.package == normal(name)))
        .collect();
    if !missing.is_empty() {
        return Err(SourceError::Invalid(format!(
            "the wheel needs these packages beside it: {}",
            missing.join(", ")
        )));
    }
    let mut paths: Vec<PathBuf> = found.into_iter().map(|(_, path)| path).collect();
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        folder
    }

    fn names(folder: &tempfile::TempDir, of: &str, requirements: &[&str]) -> Vec<String> {
        let requirements: Vec<_> = requirements
            .iter()
            .map(|it| ((*it).to_owned(), None))
            .collect();
        let found = siblings(&folder.path().join(of), &requirements).unwrap();
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        found.iter().map(name).collect()
    }

    #[test]
    fn numbered_and_required_wheels_belong_together() {
        let folder = folder(&[
            "a_part1-1.0-py3-none-any.whl",
            "a_part2-1.0-py3-none-any.whl",
            "a_part10-1.0-py3-none-any.whl",
            "a_part3-0.9-py3-none-any.whl",
            "a-1.0-py3-none-any.whl",
            "b_part1-1.0-py3-none-any.whl",
            "a_part2.txt",
        ]);
        assert_eq!(
            names(&folder, "a_part2-1.0-py3-none-any.whl", &[]),
            [
                "a_part1-1.0-py3-none-any.whl",
                "a_part10-1.0-py3-none-any.whl"
            ]
        );
        assert_eq!(names(&folder, "a-1.0-py3-none-any.whl", &[]).len(), 0);
        assert_eq!(
            names(
                &folder,
                "a-1.0-py3-none-any.whl",
                &["A.part2", "b-part1", "numpy"]
            ),
            [
                "a_part2-1.0-py3-none-any.whl",
                "b_part1-1.0-py3-none-any.whl"
            ]
        );
        let lacking = [("a-part7".to_owned(), None)];
        let main = folder.path().join("a-1.0-py3-none-any.whl");
        let error = siblings(&main, &lacking).unwrap_err().to_string();
        assert!(error.ends_with("beside it: a-part7"), "{error}");
    }
}
