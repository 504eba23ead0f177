//! Sets of GGUF files that hold one model together, as llama.cpp's `gguf-split` writes them.
//!
//! Their names end in `-00001-of-00003.gguf`. The first file has the metadata; each has some of the
//! tensors, and says which part it is.

use super::structure::Structure;
use crate::import::SourceError;
use std::path::{Path, PathBuf};

/// Most files of a set.
const MAX_PARTS: u64 = 1000;

/// What the name of a file says of its place in a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) struct PartName {
    /// What the names of all parts begin with.
    pub(in crate::import) stem: String,
    /// From 1 on.
    pub(in crate::import) number: u64,
    /// Files of the set.
    pub(in crate::import) count: u64,
}

impl PartName {
    /// What a file name says; `None` if it is not that of a part.
    pub(in crate::import) fn parse(name: &str) -> Option<PartName> {
        let (rest, count) = name.strip_suffix(".gguf")?.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let digits = |text: &str| match text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit())
        {
            true => text.parse().ok(),
            false => None,
        };
        let (number, count) = (digits(number)?, digits(count)?);
        (1..=count).contains(&number).then(|| PartName {
            stem: stem.to_owned(),
            number,
            count,
        })
    }

    /// The names of all files of the set, in order.
    ///
    /// # Errors
    /// If they are more than are read.
    pub(in crate::import) fn set(&self) -> Result<Vec<String>, SourceError> {
        check_count(self.count)?;
        Ok((1..=self.count)
            .map(|number| self.sibling(number))
            .collect())
    }

    /// The name of another part of the set.
    fn sibling(&self, number: u64) -> String {
        format!("{}-{number:05}-of-{:05}.gguf", self.stem, self.count)
    }
}

/// The place in a set that a file's metadata give it: its number, from 1 on, and the number of
/// files. `None` if the file holds the whole model.
fn place(structure: &Structure) -> Option<(u64, u64)> {
    let metadata = &structure.metadata;
    let count = metadata.integer("split.count").filter(|&count| count > 1)?;
    Some((metadata.integer("split.no")?.saturating_add(1), count))
}

/// The first file of the set that the file at `path` belongs to. `None` if it is a set of its own.
///
/// # Errors
/// If the name of the file does not say what its metadata say.
pub(super) fn first(path: &Path, structure: &Structure) -> Result<Option<PathBuf>, SourceError> {
    let name = name(path, structure)?;
    Ok(name.map(|name| path.with_file_name(name.sibling(1))))
}

/// The files of the set that the file at `path` belongs to, in order.
///
/// # Errors
/// As [`first`], and if a file is missing.
pub(super) fn files(path: &Path, structure: &Structure) -> Result<Vec<PathBuf>, SourceError> {
    let Some(name) = name(path, structure)? else {
        return Ok(vec![path.to_owned()]);
    };
    let all = (1..=name.count).map(|number| path.with_file_name(name.sibling(number)));
    let all: Vec<PathBuf> = all.collect();
    let missing: Vec<String> = (1..=name.count)
        .zip(&all)
        .filter(|(_, path)| !path.exists())
        .map(|(number, _)| name.sibling(number))
        .collect();
    match missing.len() {
        0 => Ok(all),
        _ => Err(SourceError::Invalid(format!(
            "of the {} parts of this split GGUF, these are missing beside it: {}",
            name.count,
            listed(&missing)
        ))),
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [first, second, third, _, ..] => format!("{first}, {second}, {third} and others"),
        few => few.join(", "),
    }
}

fn check_count(count: u64) -> Result<(), SourceError> {
    match count <= MAX_PARTS {
        true => Ok(()),
        false => Err(SourceError::Unsupported(format!(
            "a GGUF file in {count} parts (the limit is {MAX_PARTS})"
        ))),
    }
}

/// The name of a part of a set. `None` if the file at `path` is no part.
fn name(path: &Path, structure: &Structure) -> Result<Option<PartName>, SourceError> {
    let Some((number, count)) = place(structure) else {
        return Ok(None);
    };
    check_count(count)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match PartName::parse(&name).filter(|name| (name.number, name.count) == (number, count)) {
        Some(name) => Ok(Some(name)),
        None => Err(SourceError::Invalid(format!(
            "it is part {number} of {count} of a split GGUF, so its name must end in \
             -{number:05}-of-{count:05}.gguf, and the other parts must lie beside it"
        ))),
    }
}

/// The files of a set in order, once it is known that they are one.
///
/// # Errors
/// If they are not the files of one model, each once.
pub(super) fn in_order<R>(
    mut files: Vec<(R, Structure)>,
) -> Result<Vec<(R, Structure)>, SourceError> {
    if let [(_, only)] = &files[..] {
        return match place(only) {
            None => Ok(files),
            Some((number, count)) => Err(SourceError::Invalid(format!(
                "it is part {number} of {count} of a split GGUF, and the others are missing"
            ))),
        };
    }
    files.sort_by_key(|(_, structure)| place(structure));
    let given = files.len() as u64;
    for (number, (_, structure)) in (1..).zip(&files) {
        if place(structure) != Some((number, given)) {
            return Err(SourceError::Invalid(format!(
                "the {given} GGUF files are not the parts of one model"
            )));
        }
    }
    let tensors: usize = files
        .iter()
        .map(|(_, structure)| structure.tensors.len())
        .sum();
    let metadata = &files[0].1.metadata;
    match metadata.integer("split.tensors.count") {
        Some(want) if want != tensors as u64 => Err(SourceError::Invalid(format!(
            "the parts of the GGUF file hold {tensors} tensors, expected {want}"
        ))),
        _ => Ok(files),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::gguf::structure::tests::{Raw, text};
    use crate::import::gguf::{open, read_parts};
    use candle_core::quantized::gguf_file::Value;
    use std::io::Cursor;

    #[test]
    fn names_of_parts_are_recognised() {
        let name = PartName::parse("a-of-b-00002-of-00003.gguf").unwrap();
        assert_eq!((&name.stem[..], name.number, name.count), ("a-of-b", 2, 3));
        assert_eq!(name.sibling(1), "a-of-b-00001-of-00003.gguf");
        for other in [
            "model.gguf",
            "m-00003-of-00002.gguf",
            "m-00000-of-00002.gguf",
            "m-1-of-2.gguf",
            "m-+0001-of-00002.gguf",
            "m-00001-of-00002.safetensors",
        ] {
            assert_eq!(PartName::parse(other), None, "{other}");
        }
    }

    /// The small model in two files.
    fn halves() -> [Raw; 2] {
        let mut first = Raw::tiny();
        let mut second = Raw {
            tensors: first.tensors.split_off(7),
            ..Raw::default()
        };
        for (number, part) in [&mut first, &mut second].into_iter().enumerate() {
            part.metadata.extend([
                ("split.no".to_owned(), Value::U16(number as u16)),
                ("split.count".to_owned(), Value::U16(2)),
                ("split.tensors.count".to_owned(), Value::I32(20)),
            ]);
        }
        second.alignment = 64;
        second
            .metadata
            .push(("general.alignment".to_owned(), Value::U64(64)));
        [first, second]
    }

    #[test]
    fn any_part_opens_the_set() {
        let whole = Raw::tiny().bytes();
        let packed = read_parts(vec![Cursor::new(whole)])
            .unwrap()
            .pack()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = |number: u32| folder.path().join(format!("m-{number:05}-of-00002.gguf"));
        for (number, half) in (1..).zip(halves()) {
            std::fs::write(path(number), half.bytes()).unwrap();
        }
        for number in [1, 2] {
            assert!(open(&path(number)).unwrap().pack().unwrap() == packed);
        }
        let says = |path: &Path, want: &str| {
            let reason = open(path).unwrap_err().to_string();
            assert!(reason.contains(want), "{reason}");
        };
        let other = folder.path().join("other.gguf");
        std::fs::copy(path(2), &other).unwrap();
        says(
            &other,
            "part 2 of 2 of a split GGUF, so its name must end in -00002-of-00002.gguf",
        );
        std::fs::rename(path(1), &other).unwrap();
        says(&path(2), "missing beside it: m-00001-of-00002.gguf");
        std::fs::rename(&other, path(1)).unwrap();
        std::fs::remove_file(path(2)).unwrap();
        says(&path(1), "missing beside it: m-00002-of-00002.gguf");
        // A model that could never be used is refused for that.
        let [mut first, _] = halves();
        first.set("general.architecture", text("martian"));
        std::fs::write(path(1), first.bytes()).unwrap();
        says(&path(1), "architecture martian");
    }

    #[test]
    fn parts_must_be_those_of_one_model() {
        let open = |parts: Vec<Raw>| {
            let parts = parts.into_iter().map(|part| Cursor::new(part.bytes()));
            read_parts(parts.collect()).map_err(|error| error.to_string())
        };
        let says = |parts: Vec<Raw>, want: &str| {
            let reason = open(parts).unwrap_err();
            assert!(reason.contains(want), "{reason}");
        };
        let [first, second] = halves();
        let opened = open(vec![second.clone(), first.clone()]).unwrap();
        assert_eq!(
            opened.steps,
            read_parts(vec![Cursor::new(Raw::tiny().bytes())])
                .unwrap()
                .steps
        );
        says(
            vec![first.clone()],
            "part 1 of 2 of a split GGUF, and the others",
        );
        says(
            vec![first.clone(), first.clone()],
            "not the parts of one model",
        );
        says(vec![Raw::tiny(), Raw::tiny()], "not the parts of one model");
        let mut few = second.clone();
        few.tensors.pop();
        says(vec![first.clone(), few], "19 tensors, expected 20");
        let mut twice = second;
        twice.tensors[0].0 = first.tensors[0].0.clone();
        says(vec![first, twice], "tensor token_embd.weight twice");
    }
}
