//! What can be wrong with a packed model.

use crate::arch::ConfigError;
use crate::machine::MachineError;
use safetensors::SafeTensorError;
use serde_json::error::Category;

/// A packed model that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackedError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The machine has no memory for it.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The file was written to while it was read.
    #[error("the file changed while it was read")]
    Changed,
    /// The file has another BLAKE3 hash than it should have.
    #[error("the file is damaged: its content has changed since it was packed")]
    Damaged,
    /// The file is not a safetensors file.
    #[error("not a packed model: {}", fault(.0))]
    Safetensors(#[from] SafeTensorError),
    /// The configuration is missing or not JSON.
    #[error("not a packed model: {0}")]
    Metadata(String),
    /// The configuration is outside what the engine runs.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor is missing, unexpected or has another type or shape.
    #[error("packed model: tensor {name} is {got}, expected {want}")]
    Tensor {
        /// Tensor name.
        name: String,
        /// What was found.
        got: String,
        /// What the configuration asks for.
        want: String,
    },
    /// A tensor holds a value that the format forbids.
    #[error("packed model: {name} holds {got}, expected {want}")]
    Value {
        /// Tensor name.
        name: String,
        /// What was found.
        got: String,
        /// What the format allows.
        want: &'static str,
    },
    /// The source of the weights failed.
    #[error("{name}: {reason}")]
    Source {
        /// Tensor name in the source.
        name: String,
        /// Why it could not be read.
        reason: String,
    },
}

/// What is wrong with a safetensors file.
fn fault(error: &SafeTensorError) -> String {
    match error {
        SafeTensorError::InvalidHeader(_) => "its header is not UTF-8",
        SafeTensorError::InvalidHeaderDeserialization(error)
        | SafeTensorError::JsonError(error)
            if error.classify() != Category::Data =>
        {
            "its header is not JSON"
        }
        SafeTensorError::HeaderTooLarge
        | SafeTensorError::HeaderTooSmall
        | SafeTensorError::InvalidHeaderLength => "it does not begin with a header",
        SafeTensorError::MetadataIncompleteBuffer => {
            "its length is not the one that its header describes"
        }
        SafeTensorError::TensorNotFound(name) => return format!("tensor {name} is missing"),
        SafeTensorError::IoError(error) => return error.to_string(),
        _ => "its header describes its tensors wrongly",
    }
    .to_owned()
}

impl PackedError {
    /// The configuration, or the header that holds it, is not what it should be.
    pub(super) fn json(error: &serde_json::Error) -> PackedError {
        let text = error.to_string();
        PackedError::Metadata(match error.classify() {
            // serde's sentence names the field; the place means nothing to readers.
            Category::Data => {
                let sentence = text.split(" at line ").next().unwrap_or_default();
                format!("its configuration is wrong ({sentence})")
            }
            _ => "its configuration is not JSON".to_owned(),
        })
    }

    pub(super) fn tensor(
        name: &str,
        got: impl Into<String>,
        want: impl Into<String>,
    ) -> PackedError {
        PackedError::Tensor {
            name: name.into(),
            got: got.into(),
            want: want.into(),
        }
    }

    pub(super) fn value(name: &str, got: impl ToString, want: &'static str) -> PackedError {
        PackedError::Value {
            name: name.into(),
            got: got.to_string(),
            want,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::packed::PackedModel;

    #[test]
    fn faults_are_told_in_words() {
        let fault = |bytes: &[u8]| PackedModel::from_bytes(bytes).unwrap_err().to_string();
        let with_header = |header: &str| {
            let mut file = (header.len() as u64).to_le_bytes().to_vec();
            file.extend_from_slice(header.as_bytes());
            file
        };
        let with_config = |config: &str| {
            let text = serde_json::to_string(config).unwrap();
            with_header(&format!(r#"{{"__metadata__":{{"llmzip":{text}}}}}"#))
        };
        for (file, want) in [
            (vec![1], "it does not begin with a header"),
            (vec![0xff; 9], "it does not begin with a header"),
            (with_header("{"), "its header is not JSON"),
            (with_header("{}"), "it has no configuration"),
            (
                with_header(r#"{"a":{}}"#),
                "its header describes its tensors wrongly",
            ),
            (with_config("{"), "its configuration is not JSON"),
            (
                with_config("{}"),
                "its configuration is wrong (missing field `arch`)",
            ),
        ] {
            let want = format!("not a packed model: {want}");
            assert_eq!(fault(&file), want);
        }
    }
}
