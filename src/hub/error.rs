//! Why a model could not be fetched.

use std::io;
use std::time::Duration;

use crate::import::SourceError;

/// Why a model could not be fetched. Text that a server chose is quoted, so that it has no control
/// characters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The name is neither a short name nor `owner/repo[@revision][:file]`.
    #[error("{0:?} is neither owner/repo[@revision][:file] nor the short name of a model")]
    BadName(String),
    /// The address of the hub is not one.
    #[error("the address of the hub, {0:?}, is not http://HOST[:PORT] or https://HOST[:PORT]")]
    Endpoint(String),
    /// A variable of the environment should name a proxy, and does not.
    #[error("{0} is not the address of a proxy, such as http://HOST:PORT or socks5h://HOST:PORT")]
    Proxy(String),
    /// A variable of the environment should name a file of certificates, and does not.
    #[error("{0} names no file of certificates in PEM")]
    Certificates(String),
    /// The token cannot be sent.
    #[error("the token holds characters that HTTP cannot send")]
    Token,
    /// A server cannot be reached.
    #[error("cannot reach {server} ({reason})")]
    Unreachable {
        /// Its address.
        server: String,
        /// The error of the connection.
        reason: String,
    },
    /// A server kept silent, or sent so little that the fetch would not end.
    #[error("{what}: {reason}")]
    Silent {
        /// Repository or file asked for.
        what: String,
        /// For how long.
        reason: String,
    },
    /// The hub answered with an error.
    #[error("{what}: the hub answered {status}{}{}", meaning(*status), waiting(*retry_after))]
    Status {
        /// Repository or file asked for.
        what: String,
        /// HTTP status.
        status: u16,
        /// After how long the hub wants to be asked again, if it says so.
        retry_after: Option<Duration>,
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
    /// Which of several models is meant is not clear.
    #[error("{repo}: it holds several GGUF models{}", listed(models))]
    Several {
        /// The repository.
        repo: String,
        /// The names of their files.
        models: Vec<String>,
    },
    /// The hub has another file than the one that a short name stands for.
    #[error("{file}: {reason}; it is not the file that the short name stands for")]
    Pinned {
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

impl HubError {
    /// The address of the hub is not one. The error does not show a name and a password before the
    /// server's name.
    pub(super) fn endpoint(text: &str) -> HubError {
        let (scheme, rest) = text.split_at(text.find("://").map_or(0, |at| at + 3));
        let server = rest.rsplit('@').next().unwrap_or_default();
        HubError::Endpoint(format!("{scheme}{server}"))
    }

    /// An answer about `what` that makes no sense.
    pub(super) fn answer(what: &str, reason: impl Into<String>) -> HubError {
        HubError::Answer {
            what: what.to_owned(),
            reason: reason.into(),
        }
    }
}

/// How long a hub asks to wait, if it says so in seconds.
fn waiting(retry_after: Option<Duration>) -> String {
    let retry_after = retry_after.filter(|wait| *wait != Duration::MAX);
    retry_after.map_or_else(String::new, |wait| {
        format!(", and asks to wait {} s", wait.as_secs())
    })
}

/// What an HTTP status of a hub usually means, in parentheses.
fn meaning(status: u16) -> &'static str {
    match status {
        304 => " (not modified, which nobody asked)",
        401 | 403 => " (private or gated?)",
        404 => " (no such repository, revision or file)",
        416 => " (no such part of the file)",
        429 => " (too many requests)",
        500..=599 => " (a fault of the hub)",
        _ => "",
    }
}

/// The names of models in an error, a few at most.
pub(super) fn listed(models: &[impl AsRef<str>]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<&str> = models.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match (shown.is_empty(), models.len().saturating_sub(SHOWN)) {
        (true, _) => String::new(),
        (false, 0) => format!(": {}", shown.join(", ")),
        (false, more) => format!(": {} and {more} more", shown.join(", ")),
    }
}
