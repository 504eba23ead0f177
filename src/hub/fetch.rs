//! Fetches a model's files, and checks them.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hf_hub::Cache;

use super::announced::Announced;
use super::cache::{RepositoryCache, read_short};
use super::client::{Client, Patience};
use super::error::HubError;
use super::hash::{Commit, Hash, check};
use super::part::Part;
use super::repository::Repository;
use crate::import::folder;

/// Lists the files over which large weights are spread.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// Weights in one file.
const WEIGHTS: &str = "model.safetensors";
/// Most files over which weights may be spread. The largest public models have some 200.
const MAX_SHARDS: usize = 1000;

/// Connections for one file, each of which broke: a hub that drips would go on for ever.
const MAX_CONNECTIONS: usize = 10;

/// A hub and its local cache.
#[derive(Debug)]
pub struct Hub {
    client: Client,
    /// Folder of the cache.
    cache: PathBuf,
    offline: bool,
}

impl Hub {
    /// The hub of this user, which the environment variables of `huggingface_hub` describe:
    /// `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`, `HF_TOKEN_PATH` and `HF_HUB_OFFLINE`,
    /// and those for proxies: `HTTPS_PROXY` or `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.
    ///
    /// # Errors
    ///
    /// [`HubError::NoHome`] if the environment names no folder for the cache, and those of
    /// [`Hub::new`].
    pub fn of_user() -> Result<Hub, HubError> {
        Hub::of_environment(&|name| std::env::var_os(name))
    }

    /// As [`Hub::of_user`], in an environment with these variables.
    pub(super) fn of_environment(
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Hub, HubError> {
        let environment = variable;
        let variable = |name| variable(name).filter(|value| !value.is_empty());
        let home = variable("HF_HOME")
            .map(PathBuf::from)
            .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache/huggingface")))
            .or_else(|| {
                variable("USERPROFILE").map(|home| Path::new(&home).join(".cache/huggingface"))
            })
            .ok_or(HubError::NoHome)?;
        let path =
            |name, usual: &str| variable(name).map_or_else(|| home.join(usual), PathBuf::from);
        let endpoint = variable("HF_ENDPOINT").unwrap_or("https://huggingface.co".into());
        let endpoint = endpoint.into_string();
        let endpoint = endpoint.map_err(|bad| HubError::endpoint(&bad.to_string_lossy()))?;
        let token = variable("HF_TOKEN").map(OsString::into_string).transpose();
        let token = match token.map_err(|_| HubError::Token)? {
            Some(token) => Some(token),
            None => kept_token(&path("HF_TOKEN_PATH", "token"))?,
        };
        let offline = variable("HF_HUB_OFFLINE").is_some_and(|value| {
            let value = value.to_string_lossy().to_ascii_uppercase();
            matches!(value.as_str(), "1" | "ON" | "YES" | "TRUE")
        });
        let cache = path("HF_HUB_CACHE", "hub");
        let patience = Patience::default();
        // Offline, nothing is asked, through whatever proxy.
        let nothing = |_: &str| None;
        let environment = if offline { &nothing } else { environment };
        Hub::with_patience(&endpoint, &cache, token, offline, environment, patience)
    }

    /// The hub at the address `endpoint`, with its cache in the folder `cache`. Without a token,
    /// the one that `huggingface_hub` keeps beside that folder is used. Offline, files come from
    /// the cache alone.
    ///
    /// # Errors
    ///
    /// [`HubError`] if `endpoint` or a proxy that the environment names is no address, or the token
    /// cannot be sent.
    pub fn new(
        endpoint: &str,
        cache: &Path,
        token: Option<String>,
        offline: bool,
    ) -> Result<Hub, HubError> {
        let token = match token {
            Some(token) => Some(token),
            None => kept_token(&Cache::new(cache.to_owned()).token_path())?,
        };
        let (environment, patience) = (|name: &str| std::env::var_os(name), Patience::default());
        Hub::with_patience(endpoint, cache, token, offline, &environment, patience)
    }

    /// As [`Hub::new`], without looking for a token.
    pub(super) fn with_patience(
        endpoint: &str,
        cache: &Path,
        token: Option<String>,
        offline: bool,
        environment: &dyn Fn(&str) -> Option<OsString>,
        patience: Patience,
    ) -> Result<Hub, HubError> {
        Ok(Hub {
            client: Client::new(endpoint, token.as_deref(), environment, patience)?,
            cache: cache.to_owned(),
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
        let cache = RepositoryCache::open(&self.cache, repository)?;
        match self.offline {
            true => fetch_offline(repository, &cache),
            false => self.fetch_online(repository, &cache),
        }
    }

    /// Whether all files of the repository are in the cache already.
    pub fn has(&self, repository: &Repository) -> bool {
        let cache = RepositoryCache::open(&self.cache, repository);
        cache.is_ok_and(|cache| fetch_offline(repository, &cache).is_ok())
    }

    fn fetch_online(
        &self,
        repository: &Repository,
        cache: &RepositoryCache,
    ) -> Result<PathBuf, HubError> {
        let (commit, sharded) = self.commit(repository)?;
        let _lock = cache.lock()?;
        every_file(sharded, |name| self.file(repository, cache, &commit, name))?;
        cache.note(&commit)?;
        Ok(cache.snapshot(&commit))
    }

    /// The commit that a revision stands for, and whether its weights lie in several files.
    fn commit(&self, repository: &Repository) -> Result<(Commit, bool), HubError> {
        if repository.pinned.is_some()
            && let Some(commit) = Commit::parse(&repository.revision)
        {
            return Ok((commit, false));
        }
        let wrong = |reason: &str| HubError::answer(&repository.id, reason);
        let listing = self.client.listing(repository)?;
        let commit = listing.commit();
        let commit = commit.ok_or_else(|| wrong("the hub names no commit"))?;
        if Commit::parse(&repository.revision).is_some_and(|asked| asked != commit) {
            return Err(wrong("the hub answers for another commit"));
        }
        match (listing.has(WEIGHTS), listing.has(INDEX)) {
            (true, _) => Ok((commit, false)),
            (false, true) => Ok((commit, true)),
            _ => Err(wrong("the repository holds no model.safetensors")),
        }
    }

    /// The content of a file of one commit, from the cache or from the hub. The hub is asked what
    /// the file is, and that answer alone decides.
    fn file(
        &self,
        repository: &Repository,
        cache: &RepositoryCache,
        commit: &Commit,
        name: &str,
    ) -> Result<PathBuf, HubError> {
        let announced = self.client.announced(repository, commit, name)?;
        let pinned = repository.pinned_file(name);
        if let Some(pinned) = pinned {
            pinned.admit(&announced)?;
        }
        let path = self.announced_file(cache, commit, name, &announced)?;
        match pinned {
            // An announced SHA-256 is the pinned one, and the content has it.
            Some(pinned) if !announced.hash.is_sha256() => pinned.confirm(&path)?,
            _ => {}
        }
        Ok(path)
    }

    /// The announced content of a file.
    fn announced_file(
        &self,
        cache: &RepositoryCache,
        commit: &Commit,
        name: &str,
        announced: &Announced,
    ) -> Result<PathBuf, HubError> {
        let is_right = |path: &Path| check(path, &announced.hash, Some(announced.size)).is_ok();
        if let Some(path) = cache.find(commit, name)
            && is_right(&path)
        {
            return Ok(path);
        }
        let blob = cache.blob(&announced.hash)?;
        if blob.is_symlink() || !is_right(&blob) {
            self.download(name, announced, &blob)?;
        }
        cache.point(commit, name, &announced.hash)?;
        Ok(cache.find(commit, name).unwrap_or(blob))
    }

    /// Fetches an announced file to its place in the cache.
    fn download(&self, name: &str, announced: &Announced, place: &Path) -> Result<(), HubError> {
        let mut part = Part::open(place, announced)?;
        let mut connections = 0;
        while part.missing() > 0 {
            let before = part.length();
            let Err(error) = self.receive(name, announced, &mut part) else {
                break;
            };
            connections += 1;
            // A connection that brought something is worth another.
            let goes_on = can_be_resumed(&error) && part.length() > before;
            if !goes_on || connections == MAX_CONNECTIONS {
                if part.length() == 0 || !can_be_resumed(&error) {
                    part.discard()?;
                }
                return Err(error);
            }
        }
        part.finish(place)?.map_err(|reason| HubError::Corrupt {
            file: name.to_owned(),
            reason,
        })
    }

    /// Receives what is missing of a file: no byte more than that, perhaps less.
    fn receive(
        &self,
        name: &str,
        announced: &Announced,
        part: &mut Part<'_>,
    ) -> Result<(), HubError> {
        let mut incoming = self.client.bytes(name, announced, part.length())?;
        if !incoming.resumed {
            part.restart()?;
        }
        let mut buffer = vec![0; 1 << 16];
        while part.missing() > 0 {
            let room =
                usize::try_from(part.missing()).map_or(buffer.len(), |n| n.min(buffer.len()));
            match incoming.read(&mut buffer[..room])? {
                0 => break,
                count => part.append(&buffer[..count])?,
            }
        }
        Ok(())
    }
}

/// The token that the hub's tools have kept in a file, if they have.
fn kept_token(path: &Path) -> Result<Option<String>, HubError> {
    match read_short(path) {
        Ok(token) => Ok(Some(token).filter(|token| !token.trim().is_empty())),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(HubError::Token),
        Err(_) => Ok(None),
    }
}

/// Checks the files of the model in the cache, and returns the folder that holds them.
fn fetch_offline(repository: &Repository, cache: &RepositoryCache) -> Result<PathBuf, HubError> {
    let absent = |name: &str| HubError::Offline {
        file: name.to_owned(),
        repo: repository.id.clone(),
    };
    let commit = cache.commit().ok_or_else(|| absent("config.json"))?;
    let sharded = cache.find(&commit, WEIGHTS).is_none() && cache.find(&commit, INDEX).is_some();
    every_file(sharded, |name| {
        let path = cache.find(&commit, name).ok_or_else(|| absent(name))?;
        match repository.pinned_file(name) {
            Some(pinned) => pinned.confirm(&path)?,
            None => checked_by_name(&path, name)?,
        }
        Ok(path)
    })?;
    Ok(cache.snapshot(&commit))
}

/// Gets every file that a model consists of, the large ones last, so that a model that cannot be
/// used is refused before they are fetched. `get` returns where the content of a file is.
fn every_file(
    sharded: bool,
    mut get: impl FnMut(&str) -> Result<PathBuf, HubError>,
) -> Result<(), HubError> {
    folder::judge(&get("config.json")?)?;
    get("tokenizer.json")?;
    if !sharded {
        get(WEIGHTS)?;
        return Ok(());
    }
    let index = fs::read(get(INDEX)?)?;
    let index = serde_json::from_slice(&index)
        .map_err(|error| HubError::answer(INDEX, error.to_string()))?;
    let shards = folder::shards(&index)?;
    if shards.len() > MAX_SHARDS {
        let reason = format!(
            "it names {} files, at most {MAX_SHARDS} are read",
            shards.len()
        );
        return Err(HubError::answer(INDEX, reason));
    }
    for shard in shards {
        get(&shard)?;
    }
    Ok(())
}

/// Checks a file of the cache against the hash that is its name. Where there are no links
/// (Windows), no file has such a name, and its hash is not known.
fn checked_by_name(path: &Path, name: &str) -> Result<(), HubError> {
    let hash = path.file_name().and_then(|name| name.to_str());
    let Some(hash) = hash.and_then(Hash::parse) else {
        return Ok(());
    };
    check(path, &hash, None).map_err(|reason| {
        let reason = format!("in the cache, {reason}");
        HubError::answer(name, reason)
    })
}

/// Whether what arrived before an error is worth keeping. It is not where the server refuses to go
/// on from there, or where the disk is full.
fn can_be_resumed(error: &HubError) -> bool {
    match error {
        HubError::Silent { .. } | HubError::Unreachable { .. } => true,
        HubError::Status { status, .. } => *status != 416,
        _ => false,
    }
}
