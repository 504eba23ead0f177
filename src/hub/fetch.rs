//! Fetches a model's files, and checks them.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use hf_hub::Cache;

use super::announced::Announced;
use super::cache::{RepositoryCache, read_short};
use super::client::{Client, Patience};
use super::error::HubError;
use super::hash::{Commit, Hash, check};
use super::model::Model;
use super::part::Part;
use super::pinned::{admit, confirm};
use super::repository::Repository;
use crate::import::gguf;
use crate::store::{Origin, Pin, PinnedFile};

/// How much of a GGUF file must be there to judge its architecture, in bytes.
const GGUF_START: u64 = 64 << 10;

/// Connections for one file, each of which broke: a hub that drips would go on for ever.
const MAX_CONNECTIONS: usize = 10;

/// Is told while a file arrives: its name, how many bytes are there, and how many it has.
pub type Watch<'a> = dyn FnMut(&str, u64, u64) + 'a;

/// A model that was fetched.
#[derive(Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The folder with its files, or the GGUF file, or the first of a set.
    pub path: PathBuf,
    /// Where it came from.
    pub origin: Origin,
    /// The commit and all files, if the hash of each is known.
    pub pin: Option<Pin>,
}

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

    /// Fetches the files of a model, all from one commit. `watch` is told while they arrive.
    ///
    /// # Errors
    ///
    /// [`HubError`] says what failed. No wrong file stays in the cache.
    pub fn fetch(
        &self,
        repository: &Repository,
        watch: &mut Watch<'_>,
    ) -> Result<Fetched, HubError> {
        let cache = RepositoryCache::open(&self.cache, repository)?;
        match self.offline {
            true => fetch_offline(repository, &cache),
            false => self.fetch_online(repository, &cache, watch),
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
        watch: &mut Watch<'_>,
    ) -> Result<Fetched, HubError> {
        let (commit, model) = self.commit(repository)?;
        let _lock = cache.lock()?;
        let mut files = Vec::new();
        model.every_file(|name| {
            let (path, file) = self.file(repository, cache, &commit, name, watch)?;
            files.push(file);
            Ok(path)
        })?;
        cache.note(&commit)?;
        Ok(fetched(repository, cache, &commit, &model, Some(files)))
    }

    /// The commit that a revision stands for, and the model in it.
    fn commit(&self, repository: &Repository) -> Result<(Commit, Model), HubError> {
        if let Some(pinned) = pinned(repository)? {
            return Ok(pinned);
        }
        let wrong = |reason: &str| HubError::answer(&repository.id, reason);
        let listing = self.client.listing(repository)?;
        let commit = listing.commit();
        let commit = commit.ok_or_else(|| wrong("the hub names no commit"))?;
        if Commit::parse(&repository.revision).is_some_and(|asked| asked != commit) {
            return Err(wrong("the hub answers for another commit"));
        }
        Ok((commit, Model::choose(&listing.names(), repository)?))
    }

    /// The content of a file of one commit, from the cache or from the hub. The hub is asked what
    /// the file is, and that answer alone decides.
    fn file(
        &self,
        repository: &Repository,
        cache: &RepositoryCache,
        commit: &Commit,
        name: &str,
        watch: &mut Watch<'_>,
    ) -> Result<(PathBuf, PinnedFile), HubError> {
        let announced = self.client.announced(repository, commit, name)?;
        let pinned = repository.pinned_file(name);
        if let Some(pinned) = pinned {
            admit(pinned, &announced)?;
        }
        let path = self.announced_file(cache, commit, name, &announced, watch)?;
        match pinned {
            // An announced SHA-256 is the pinned one, and the content has it.
            Some(pinned) if pinned.hash != announced.hash.as_str() => confirm(pinned, &path)?,
            _ => {}
        }
        let file = PinnedFile {
            name: name.to_owned(),
            size: announced.size,
            hash: announced.hash.as_str().to_owned(),
        };
        Ok((path, file))
    }

    /// The announced content of a file.
    fn announced_file(
        &self,
        cache: &RepositoryCache,
        commit: &Commit,
        name: &str,
        announced: &Announced,
        watch: &mut Watch<'_>,
    ) -> Result<PathBuf, HubError> {
        let is_right = |path: &Path| check(path, &announced.hash, Some(announced.size)).is_ok();
        if let Some(path) = cache.find(commit, name)
            && is_right(&path)
        {
            return Ok(path);
        }
        let blob = cache.blob(&announced.hash)?;
        if blob.is_symlink() || !is_right(&blob) {
            self.download(name, announced, &blob, watch)?;
        }
        cache.point(commit, name, &announced.hash)?;
        Ok(cache.find(commit, name).unwrap_or(blob))
    }

    /// Fetches an announced file to its place in the cache.
    fn download(
        &self,
        name: &str,
        announced: &Announced,
        place: &Path,
        watch: &mut Watch<'_>,
    ) -> Result<(), HubError> {
        let mut part = Part::open(place, announced)?;
        let mut connections = 0;
        while part.missing() > 0 {
            let before = part.length();
            let Err(error) = self.receive(name, announced, &mut part, watch) else {
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
        watch: &mut Watch<'_>,
    ) -> Result<(), HubError> {
        let mut judged = !name.ends_with(".gguf");
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
            watch(name, part.length(), announced.size);
            if !judged && (part.length() >= GGUF_START || part.missing() == 0) {
                gguf::judge_start(&part.start(GGUF_START)?)?;
                judged = true;
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

/// The commit and the model that a repository is pinned to.
fn pinned(repository: &Repository) -> Result<Option<(Commit, Model)>, HubError> {
    let Some(pin) = &repository.pin else {
        return Ok(None);
    };
    let bad = || {
        HubError::answer(
            &repository.id,
            "what its short name is pinned to is no commit",
        )
    };
    let commit = Commit::parse(&pin.commit).ok_or_else(bad)?;
    let names: Vec<&str> = pin.files.iter().map(|file| &*file.name).collect();
    Ok(Some((commit, Model::choose(&names, repository)?)))
}

/// What is known of a model whose files are in the cache.
fn fetched(
    repository: &Repository,
    cache: &RepositoryCache,
    commit: &Commit,
    model: &Model,
    files: Option<Vec<PinnedFile>>,
) -> Fetched {
    let text = || commit.as_str().to_owned();
    Fetched {
        path: model.path(cache.snapshot(commit)),
        origin: Origin {
            repository: repository.id.clone(),
            commit: text(),
            file: model.gguf().map(str::to_owned),
        },
        pin: files.map(|files| Pin {
            commit: text(),
            files,
        }),
    }
}

/// Checks the files of the model in the cache.
fn fetch_offline(repository: &Repository, cache: &RepositoryCache) -> Result<Fetched, HubError> {
    let absent = |name: &str| HubError::Offline {
        file: name.to_owned(),
        repo: repository.id.clone(),
    };
    let (commit, model) = match pinned(repository)? {
        Some(pinned) => pinned,
        None => {
            let commit = cache.commit().ok_or_else(|| absent("config.json"))?;
            let names = cache.names(&commit);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let model = Model::choose(&names, repository).map_err(|error| match error {
                HubError::Answer { .. } => absent(repository.file.as_deref().unwrap_or("a model")),
                error => error,
            });
            (commit, model?)
        }
    };
    let mut files = Vec::new();
    model.every_file(|name| {
        let path = cache.find(&commit, name).ok_or_else(|| absent(name))?;
        match repository.pinned_file(name) {
            Some(pinned) => confirm(pinned, &path)?,
            None => checked_by_name(&path, name)?,
        }
        files.push(file_in_cache(&path, name));
        Ok(path)
    })?;
    let files = files.into_iter().collect();
    Ok(fetched(repository, cache, &commit, &model, files))
}

/// What a file of the cache is, if its name is its hash.
fn file_in_cache(path: &Path, name: &str) -> Option<PinnedFile> {
    let hash = Hash::parse(path.file_name()?.to_str()?)?;
    Some(PinnedFile {
        name: name.to_owned(),
        size: path.metadata().ok()?.len(),
        hash: hash.as_str().to_owned(),
    })
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
