//! Why a model could not be fetched.

use std::io;

use crate::import::SourceError;

/// Why a model could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The name is neither a short name nor `owner/repo[@revision]`.
    #[error(
        "{0:?} is neither owner/repo[@revision] nor one of smollm2-135m, smollm2-360m, smollm2-1.7b"
    )]
    BadName(String),
    /// The hub cannot be reached.
    #[error("cannot reach {endpoint} ({reason})")]
    Unreachable {
        /// Address of the hub.
        endpoint: String,
        /// The error of the connection.
        reason: String,
    },
    /// The hub answered with an error.
    #[error("{what}: the hub answered {status}{}", meaning(*status))]
    Status {
        /// Repository or file asked for.
        what: String,
        /// HTTP status.
        status: u16,
    },
    /// The answer of the hub makes no sense.
    #[error("{what}: {reason}")]
    Answer {
        /// Repository or file asked for.
        what: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// A file that arrived is not the one that the hub announced. It was deleted.
    #[error("{file}: {reason}; it was discarded")]
    Corrupt {
        /// Name of the file in the repository.
        file: String,
        /// The size or the hash, found and expected.
        reason: String,
    },
    /// The hub is used offline, and the cache lacks a file.
    #[error("{file} of {repo} is not in the cache, and the hub is offline")]
    Offline {
        /// Name of the file in the repository.
        file: String,
        /// The repository.
        repo: String,
    },
    /// The cache cannot be used.
    #[error("hub cache: {0}")]
    Io(#[from] io::Error),
    /// The environment names no folder for the cache.
    #[error("no folder for the hub's cache: neither HF_HOME nor a home folder is set")]
    NoHome,
    /// The list of weight files is unsound.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// What an HTTP status of a hub usually means, in parentheses.
fn meaning(status: u16) -> &'static str {
    match status {
        401 | 403 => " (private or gated?)",
        404 => " (no such repository, revision or file)",
        _ => "",
    }
}
