//! Why an operation of the store failed.

use std::io;
use std::path::PathBuf;

use crate::packed::PackedError;

/// Why a model could not be found, opened, added or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The folder of the store, or a file in it, could not be used.
    #[error("model store: {}: {error}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        error: io::Error,
    },
    /// The environment names no folder for the store.
    #[error("no folder for models: neither LLMZIP_HOME nor a home folder is set")]
    NoHome,
    /// The name breaks the rules for names.
    #[error(
        "{0:?} is not a model name (1 to 64 letters, digits, '.', '_' or '-', \
         a letter or digit first)"
    )]
    BadName(String),
    /// The name belongs to a built-in model.
    #[error("{0} is the name of a built-in model")]
    Reserved(String),
    /// A built-in model was to be removed.
    #[error("{0} is built in and cannot be removed")]
    BuiltIn(String),
    /// The path of a folder was given where a packed file was expected.
    #[error("{0} is a folder, not a packed model")]
    Folder(String),
    /// The name already stands for another model.
    #[error("a different model is already called {0}")]
    Taken(String),
    /// There is no model of this name.
    #[error("no model {0}")]
    Unknown(String),
    /// The file of this name holds no identity.
    #[error("the name {0} is damaged")]
    DamagedName(String),
    /// The packed file is unsound.
    #[error("model {name}: {error}")]
    Packed {
        /// The model's name.
        name: String,
        /// What is wrong with it.
        #[source]
        error: PackedError,
    },
    /// A name stands for a model whose packed file is not in the store.
    #[error("the packed file of model {0} is missing")]
    Missing(String),
    /// The content of a packed file no longer has the identity that it is stored under.
    #[error("the packed file of model {name} is damaged (its content is not blake3 {identity})")]
    Damaged {
        /// The model's name.
        name: String,
        /// The expected identity, in hexadecimal digits.
        identity: String,
    },
}
