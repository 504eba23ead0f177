//! Fetches a model's files, and checks them.

use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::Cache;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError};

use super::error::HubError;
use super::repository::Repository;
use super::verify::{check, is_hash};
use crate::import::folder;

/// Lists the files over which large weights are spread.
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// What the hub says of a file before it is downloaded.
struct Announced {
    /// Its SHA-256 or the hash that git gives it, in hexadecimal digits.
    etag: String,
    /// Its length in bytes.
    size: u64,
}

/// A hub and its local cache.
#[derive(Debug)]
pub struct Hub {
    api: Api,
    cache: Cache,
    endpoint: String,
    offline: bool,
}

impl Hub {
    /// The hub of this user, which the environment variables `HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN`
    /// and `HF_HUB_OFFLINE` describe.
    ///
    /// # Errors
    ///
    /// [`HubError::NoHome`] if the environment names no folder for the cache.
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

    /// The hub at the address `endpoint`, with its cache in the folder `cache`. Offline, files come
    /// from the cache alone.
    ///
    /// # Errors
    ///
    /// [`HubError`] if the client cannot be set up.
    pub fn new(
        endpoint: &str,
        cache: &Path,
        token: Option<String>,
        offline: bool,
    ) -> Result<Hub, HubError> {
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        // hf-hub links files within the cache, and needs an absolute path for that.
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

    /// Fetches configuration, tokenizer and weights of one commit, and returns the folder that
    /// holds them.
    ///
    /// # Errors
    ///
    /// [`HubError`] says what failed. No wrong file stays in the cache.
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

    /// The commit that a revision stands for, and whether its weights lie in several files.
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

    /// The path of a file in the cache, if it is there.
    fn cached(&self, repository: &Repository, revision: &str, name: &str) -> Option<PathBuf> {
        self.cache.repo(repository.at(revision)).get(name)
    }

    /// A file from the cache alone, checked against its hash where the cache knows it.
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
        // The cache names a file by its hash and links to it. Where there are no links (Windows),
        // the hash is not known.
        let blob = path.canonicalize()?;
        match blob.file_name().and_then(|name| name.to_str()) {
            Some(etag) if is_hash(etag) => check(&blob, etag, None)
                .map(|()| path)
                .map_err(|reason| corrupt(name, reason)),
            _ => Ok(path),
        }
    }

    /// A file of one commit, from the cache or from the hub, checked against size and hash.
    fn file(&self, repository: &Repository, commit: &str, name: &str) -> Result<PathBuf, HubError> {
        let Announced { etag, size } = self.announced(repository, commit, name)?;
        if let Some(path) = self.cached(repository, commit, name)
            && check(&path, &etag, Some(size)).is_ok()
        {
            return Ok(path);
        }
        let blob = self.cache.repo(repository.at(commit)).blob_path(&etag);
        let part = blob.with_extension("part");
        let repo = self.api.repo(repository.at(commit));
        let path = repo.download(name).map_err(|error| {
            // hf-hub would try to resume a complete part for ever.
            if fs::metadata(&part).is_ok_and(|m| m.len() >= size) {
                let _ = fs::remove_file(&part);
            }
            self.explain(name, error)
        })?;
        check(&path, &etag, Some(size)).map_err(|reason| {
            for file in [&path, &blob, &part] {
                let _ = fs::remove_file(file);
            }
            corrupt(name, reason)
        })?;
        Ok(path)
    }

    /// Asks the hub for the size and the hash of a file.
    fn announced(
        &self,
        repository: &Repository,
        commit: &str,
        name: &str,
    ) -> Result<Announced, HubError> {
        let url = self.api.repo(repository.at(commit)).url(name);
        let metadata = self.api.metadata(&url);
        let metadata = metadata.map_err(|error| self.explain(name, error))?;
        let etag = metadata.etag().trim_start_matches("W/");
        if !is_hash(etag) {
            return Err(HubError::Answer {
                what: name.to_owned(),
                reason: "the hub announces no hash for it".to_owned(),
            });
        }
        Ok(Announced {
            etag: etag.to_owned(),
            size: metadata.size() as u64,
        })
    }

    /// Turns an error of `hf-hub` about `what` into one of ours.
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

fn corrupt(file: &str, reason: String) -> HubError {
    HubError::Corrupt {
        file: file.to_owned(),
        reason,
    }
}
