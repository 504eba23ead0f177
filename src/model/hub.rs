//! Models from a hub, through `hf-hub`.
//!
//! `hf-hub` speaks the protocol and keeps the cache (`HF_HOME`); what it hands
//! over is checked here against the size and the hash that the hub announces
//! (SHA-256 for large files, git's blob hash for small ones), because it
//! accepts a short body. All files come from one commit.

use super::folder;
use super::source::SourceError;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Why a model could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The name is neither a short name nor `owner/repo[@revision]`.
    #[error(
        "{0:?} is neither owner/repo[@revision] nor one of smollm2-135m, smollm2-360m, smollm2-1.7b"
    )]
    BadName(String),
    /// The hub cannot be reached at all.
    #[error(
        "cannot reach {endpoint} ({reason}); check the network, or add a local file: llmzip model add PATH"
    )]
    Unreachable {
        /// Address of the hub.
        endpoint: String,
        /// What the connection said.
        reason: String,
    },
    /// The hub answered with an error.
    #[error("{what}: the hub answered {status}{hint}")]
    Status {
        /// Repository or file asked for.
        what: String,
        /// HTTP status.
        status: u16,
        /// What might mend it.
        hint: &'static str,
    },
    /// The hub's answer makes no sense.
    #[error("{what}: {reason}")]
    Answer {
        /// Repository or file asked for.
        what: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// A file that arrived is not the one announced.
    #[error("{file}: {reason}; it was discarded, try again")]
    Corrupt {
        /// File name in the repository.
        file: String,
        /// Size or hash, found and expected.
        reason: String,
    },
    /// Nothing may be fetched, and the cache lacks a file.
    #[error("{file} of {repo} is not in the cache, and HF_HUB_OFFLINE forbids fetching it")]
    Offline {
        /// File name in the repository.
        file: String,
        /// The repository.
        repo: String,
    },
    /// The cache cannot be used.
    #[error("hub cache: {0}")]
    Io(#[from] std::io::Error),
    /// Neither `HF_HOME` nor a home folder is set.
    #[error("no folder for the hub's cache: set HF_HOME")]
    NoHome,
    /// The index of shards is broken.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// A repository at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// `owner/repo`.
    pub id: String,
    /// Branch, tag or commit.
    pub revision: String,
}

impl Repository {
    /// Reads `owner/repo[@revision]` or a short name.
    ///
    /// # Errors
    /// [`HubError::BadName`].
    pub fn parse(text: &str) -> Result<Repository, HubError> {
        let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
        let id = super::short_name(id).unwrap_or(id);
        let word = |word: &str| {
            let letters = word
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            letters && !word.is_empty() && !word.starts_with('.') && word.len() <= 96
        };
        let sound = matches!(id.split_once('/'), Some((owner, repo)) if word(owner) && word(repo))
            && revision.split('/').all(word);
        match sound {
            true => Ok(Repository {
                id: id.to_owned(),
                revision: revision.to_owned(),
            }),
            false => Err(HubError::BadName(text.to_owned())),
        }
    }

    fn at(&self, revision: &str) -> Repo {
        Repo::with_revision(self.id.clone(), RepoType::Model, revision.to_owned())
    }
}

/// A hub and the local cache of it.
#[derive(Debug)]
pub struct Hub {
    api: Api,
    cache: Cache,
    endpoint: String,
    offline: bool,
}

impl Hub {
    /// The hub that `HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN` and `HF_HUB_OFFLINE` describe.
    ///
    /// # Errors
    /// [`HubError::NoHome`] without a folder for the cache.
    pub fn of_user() -> Result<Hub, HubError> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = variable("HF_HOME")
            .map(PathBuf::from)
            .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache/huggingface")))
            .or_else(|| {
                variable("USERPROFILE").map(|home| Path::new(&home).join(".cache/huggingface"))
            })
            .ok_or(HubError::NoHome)?;
        let endpoint = variable("HF_ENDPOINT").unwrap_or("https://huggingface.co".to_owned());
        let offline = variable("HF_HUB_OFFLINE").is_some_and(|v| {
            matches!(v.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE")
        });
        Hub::new(&endpoint, &home.join("hub"), variable("HF_TOKEN"), offline)
    }

    /// The hub at `endpoint`, cached in `cache`.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub fn new(
        endpoint: &str,
        cache: &Path,
        token: Option<String>,
        offline: bool,
    ) -> Result<Hub, HubError> {
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        // hf-hub needs an absolute path to link within the cache.
        let cache = Cache::new(std::path::absolute(cache)?);
        let token = token.or_else(|| cache.token());
        let api = ApiBuilder::from_cache(cache.clone())
            .with_endpoint(endpoint.clone())
            .with_token(token)
            .build();
        let api = api.map_err(|error| HubError::Answer {
            what: endpoint.clone(),
            reason: error.to_string(),
        })?;
        Ok(Hub {
            api,
            cache,
            endpoint,
            offline,
        })
    }

    /// Fetches configuration, tokenizer and weights of one commit; the folder
    /// that holds them.
    ///
    /// # Errors
    /// [`HubError`] says in a sentence what failed; nothing wrong stays in the cache.
    pub fn fetch(&self, repository: &Repository) -> Result<PathBuf, HubError> {
        let (revision, sharded) = if self.offline {
            let index = self.cached(repository, &repository.revision, INDEX);
            (repository.revision.clone(), index.is_some())
        } else {
            self.commit(repository)?
        };
        let file = |name: &str| match self.offline {
            true => self.offline_file(repository, &revision, name),
            false => self.file(repository, &revision, name),
        };
        let config = file("config.json")?;
        file("tokenizer.json")?;
        if sharded {
            let index = fs::read(file(INDEX)?)?;
            let index = serde_json::from_slice(&index).map_err(|e| HubError::Answer {
                what: INDEX.to_owned(),
                reason: e.to_string(),
            })?;
            for shard in folder::shards(&index)? {
                file(&shard)?;
            }
        } else {
            file("model.safetensors")?;
        }
        Ok(config.parent().map(Path::to_path_buf).unwrap_or_default())
    }

    /// The commit that a revision stands for, and whether its weights are sharded.
    fn commit(&self, repository: &Repository) -> Result<(String, bool), HubError> {
        let repo = self.api.repo(repository.at(&repository.revision));
        let info = repo
            .info()
            .map_err(|error| self.explain(&repository.id, error))?;
        if info.sha.len() != 40 || !info.sha.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(HubError::Answer {
                what: repository.id.clone(),
                reason: "the hub names no commit".to_owned(),
            });
        }
        let has = |name: &str| info.siblings.iter().any(|file| file.rfilename == name);
        if !has(INDEX) && !has("model.safetensors") {
            return Err(HubError::Answer {
                what: repository.id.clone(),
                reason: "the repository holds no model.safetensors".to_owned(),
            });
        }
        let sharded = has(INDEX) && !has("model.safetensors");
        Ok((info.sha, sharded))
    }

    fn cached(&self, repository: &Repository, revision: &str, name: &str) -> Option<PathBuf> {
        self.cache.repo(repository.at(revision)).get(name)
    }

    fn offline_file(
        &self,
        repository: &Repository,
        revision: &str,
        name: &str,
    ) -> Result<PathBuf, HubError> {
        let path = self.cached(repository, revision, name);
        let path = path.ok_or_else(|| HubError::Offline {
            file: name.to_owned(),
            repo: repository.id.clone(),
        })?;
        // The cache names a blob by its hash; where links are missing (Windows)
        // there is nothing to compare with.
        let blob = path.canonicalize()?;
        match blob.file_name().and_then(|name| name.to_str()) {
            Some(etag) if is_hash(etag) => check(&blob, etag, None)
                .map(|()| path)
                .map_err(|reason| corrupt(name, reason)),
            _ => Ok(path),
        }
    }

    fn file(&self, repository: &Repository, commit: &str, name: &str) -> Result<PathBuf, HubError> {
        let repo = self.api.repo(repository.at(commit));
        let metadata = self
            .api
            .metadata(&repo.url(name))
            .map_err(|error| self.explain(name, error))?;
        let etag = metadata.etag().trim_start_matches("W/");
        if !is_hash(etag) {
            return Err(HubError::Answer {
                what: name.to_owned(),
                reason: "the hub announces no hash for it".to_owned(),
            });
        }
        let size = metadata.size() as u64;
        if let Some(path) = self.cached(repository, commit, name)
            && check(&path, etag, Some(size)).is_ok()
        {
            return Ok(path);
        }
        let blob = self.cache.repo(repository.at(commit)).blob_path(etag);
        let part = blob.with_extension("part");
        let path = repo.download(name).map_err(|error| {
            // A part that is complete could never be resumed.
            if fs::metadata(&part).is_ok_and(|m| m.len() >= size) {
                let _ = fs::remove_file(&part);
            }
            self.explain(name, error)
        })?;
        check(&path, etag, Some(size)).map_err(|reason| {
            for file in [&path, &blob, &part] {
                let _ = fs::remove_file(file);
            }
            corrupt(name, reason)
        })?;
        Ok(path)
    }

    fn explain(&self, what: &str, error: ApiError) -> HubError {
        let unreachable = |reason: String| HubError::Unreachable {
            endpoint: self.endpoint.clone(),
            reason,
        };
        match error {
            ApiError::RequestError(error) => match *error {
                ureq::Error::StatusCode(status) => HubError::Status {
                    what: what.to_owned(),
                    status,
                    hint: match status {
                        401 | 403 => " (private or gated? set HF_TOKEN)",
                        404 => " (no such repository, revision or file)",
                        _ => "",
                    },
                },
                ureq::Error::Json(error) => HubError::Answer {
                    what: what.to_owned(),
                    reason: error.to_string(),
                },
                error => unreachable(error.to_string()),
            },
            ApiError::IoError(error) => unreachable(error.to_string()),
            error => HubError::Answer {
                what: what.to_owned(),
                reason: error.to_string(),
            },
        }
    }
}

const INDEX: &str = "model.safetensors.index.json";

fn is_hash(etag: &str) -> bool {
    matches!(etag.len(), 40 | 64) && etag.bytes().all(|b| b.is_ascii_hexdigit())
}

fn corrupt(file: &str, reason: String) -> HubError {
    HubError::Corrupt {
        file: file.to_owned(),
        reason,
    }
}

/// Compares a file with the size and the hash announced: SHA-256 of the
/// content (64 digits) or git's blob hash (40), SHA-1 over a header and the content.
fn check(path: &Path, etag: &str, size: Option<u64>) -> Result<(), String> {
    let failed = |e: std::io::Error| e.to_string();
    let length = fs::metadata(path).map_err(failed)?.len();
    if let Some(size) = size.filter(|&size| size != length) {
        return Err(format!("{length} bytes arrived of {size}"));
    }
    let mut file = File::open(path).map_err(failed)?;
    let found = match etag.len() {
        64 => digest(Sha256::new(), &mut file),
        _ => {
            let mut hash = Sha1::new();
            hash.update(format!("blob {length}\0"));
            digest(hash, &mut file)
        }
    };
    match found.map_err(failed)? {
        found if found.eq_ignore_ascii_case(etag) => Ok(()),
        found => Err(format!("its hash is {found}, expected {etag}")),
    }
}

fn digest<D: Digest>(mut hash: D, reader: &mut impl Read) -> std::io::Result<String> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(super::store::hex(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}
