//! Models from a hub, through `hf-hub`.
//!
//! `hf-hub` speaks the protocol and keeps the cache (`HF_HOME`); what it hands
//! over is checked here against the size and the hash that the hub announces
//! (SHA-256 for large files, git's blob hash for small ones), because it
//! accepts a short body. All files come from one commit.

use crate::import::SourceError;
use crate::import::folder;
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
        let id = crate::store::short_name(id).unwrap_or(id);
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
            0 => return Ok(crate::store::hex(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    /// What the server does wrong.
    #[derive(Clone, Copy, PartialEq)]
    enum Fault {
        Nothing,
        Forbidden,
        ShortBody,
        LongBody,
        WrongByte,
        NoHash,
        NotJson,
        BadShard,
    }

    /// A server on the loopback address that answers as the hub does: an API
    /// listing, small files directly with git's hash as ETag, large ones by a
    /// redirect that carries the linked SHA-256 and to a place that knows ranges.
    struct Server {
        address: String,
        requests: Arc<Mutex<Vec<String>>>,
    }

    fn fixture(name: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fixture-hf");
        fs::read(folder.join(name)).unwrap()
    }

    fn content(name: &str, fault: Fault) -> Option<Vec<u8>> {
        match name {
            INDEX if fault == Fault::BadShard => {
                Some(br#"{"weight_map": {"a": "../../evil.safetensors"}}"#.to_vec())
            }
            "config.json" | "tokenizer.json" | "model.safetensors" => Some(fixture(name)),
            _ => None,
        }
    }

    impl Server {
        fn start(fault: Fault) -> Server {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            let requests = Arc::new(Mutex::new(Vec::new()));
            let (base, seen) = (address.clone(), Arc::clone(&requests));
            // The thread ends with the process; the tests make a few dozen requests.
            std::thread::spawn(move || {
                for stream in listener.incoming().take(64).flatten() {
                    let _ = answer(stream, fault, &base, &seen);
                }
            });
            Server { address, requests }
        }

        fn fetch(&self, cache: &Path) -> Result<PathBuf, HubError> {
            let hub = Hub::new(&self.address, cache, Some("secret".into()), false).unwrap();
            hub.fetch(&Repository::parse("owner/tiny").unwrap())
        }

        fn requests(&self) -> Vec<String> {
            self.requests.lock().unwrap().clone()
        }
    }

    fn answer(
        mut stream: TcpStream,
        fault: Fault,
        base: &str,
        seen: &Mutex<Vec<String>>,
    ) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut range, mut token) = (None, false);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let header = header.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(bytes) = header.strip_prefix("range: bytes=") {
                let (from, to) = bytes.split_once('-').unwrap_or((bytes, ""));
                range = Some((from.parse().unwrap_or(0), to.parse::<usize>().ok()));
            }
            token |= header == "authorization: bearer secret";
        }
        seen.lock().unwrap().push(path.clone());
        let mut send = |status: &str, headers: &str, length: usize, body: &[u8]| {
            write!(
                stream,
                "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
            )?;
            stream.write_all(body)
        };
        if fault == Fault::Forbidden || !token && !path.starts_with("/cdn/") {
            let body = b"Access to this repository is restricted.";
            return send("403 Forbidden", "", body.len(), body);
        }
        if path == "/api/models/owner/tiny/revision/main" {
            let weights = match fault {
                Fault::BadShard => INDEX,
                _ => "model.safetensors",
            };
            let body = match fault {
                Fault::NotJson => "<html>welcome</html>".to_owned(),
                _ => format!(
                    r#"{{"sha":"{COMMIT}","siblings":[{{"rfilename":"config.json"}},{{"rfilename":"{weights}"}}]}}"#
                ),
            };
            return send("200 OK", "", body.len(), body.as_bytes());
        }
        let direct = format!("/owner/tiny/resolve/{COMMIT}/");
        let (name, cdn) = match (path.strip_prefix(&direct), path.strip_prefix("/cdn/")) {
            (Some(name), _) => (name, false),
            (_, Some(name)) => (name, true),
            _ => return send("404 Not Found", "", 0, b""),
        };
        let Some(mut body) = content(name, fault) else {
            return send("404 Not Found", "", 0, b"");
        };
        let mut git = Sha1::new();
        git.update(format!("blob {}\0", body.len()));
        git.update(&body);
        let mut headers = format!("X-Repo-Commit: {COMMIT}\r\nAccept-Ranges: bytes\r\n");
        let large = name.ends_with(".safetensors");
        if large && !cdn {
            let linked = crate::store::hex(&Sha256::digest(&body));
            headers += &format!(
                "Location: {base}/cdn/{name}\r\nX-Linked-Etag: \"{linked}\"\r\nX-Linked-Size: {}\r\nETag: \"0-0\"\r\n",
                body.len()
            );
            return send("302 Found", &headers, 0, b"");
        }
        let etag = match fault {
            Fault::NoHash => "W/\"v1\"".to_owned(),
            _ => format!("\"{}\"", crate::store::hex(&git.finalize())),
        };
        headers += &format!("ETag: {etag}\r\n");
        let size = body.len();
        let (from, to) = range.unwrap_or((0, None));
        let to = to.map_or(size, |last| size.min(last + 1));
        if fault == Fault::WrongByte && large {
            body[size / 2] ^= 1;
        }
        headers += &format!("Content-Range: bytes {from}-{}/{size}\r\n", to - 1);
        let mut part = body[from..to].to_vec();
        if large && part.len() > 1 {
            match fault {
                Fault::ShortBody => part.truncate(part.len() / 2),
                Fault::LongBody => part.extend_from_slice(b"more"),
                _ => {}
            }
        }
        send("206 Partial Content", &headers, part.len(), &part)
    }

    #[test]
    fn a_sound_repository_is_fetched_once_and_packs_to_the_frozen_bytes() {
        let server = Server::start(Fault::Nothing);
        let cache = tempfile::tempdir().unwrap();
        let folder = server.fetch(cache.path()).unwrap();
        let packed = crate::import::open(&folder).unwrap().pack().unwrap();
        assert!(packed == crate::store::embedded::FIXTURE);

        let downloads = |requests: &[String]| {
            let large = requests.iter().filter(|path| path.starts_with("/cdn/"));
            large.count()
        };
        let first = downloads(&server.requests());
        assert_eq!(server.fetch(cache.path()).unwrap(), folder);
        // The second time only the size is asked for.
        assert_eq!(downloads(&server.requests()), first + 1);

        let offline = Hub::new("http://127.0.0.1:1", cache.path(), None, true).unwrap();
        let commit = Repository::parse(&format!("owner/tiny@{COMMIT}")).unwrap();
        assert_eq!(offline.fetch(&commit).unwrap(), folder);
        let other = Repository::parse("owner/other").unwrap();
        let error = offline.fetch(&other).unwrap_err().to_string();
        assert!(error.contains("HF_HUB_OFFLINE"), "{error}");
    }

    /// The sentence of a failed fetch; nothing wrong may be left in the cache.
    fn failure(fault: Fault) -> String {
        let server = Server::start(fault);
        let cache = tempfile::tempdir().unwrap();
        let error = server.fetch(cache.path()).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error}");
        // A sound server then mends it.
        let again = Server::start(Fault::Nothing);
        let folder = again.fetch(cache.path()).unwrap();
        assert!(
            fs::read(folder.join("model.safetensors")).unwrap() == fixture("model.safetensors")
        );
        error
    }

    #[test]
    fn a_refusal_is_a_sentence_that_names_the_token() {
        let error = failure(Fault::Forbidden);
        assert!(
            error.contains("403") && error.contains("HF_TOKEN"),
            "{error}"
        );
    }

    #[test]
    fn short_long_and_wrong_bodies_are_noticed() {
        let error = failure(Fault::ShortBody);
        assert!(error.contains("bytes arrived of"), "{error}");
        let error = failure(Fault::LongBody);
        assert!(error.contains("bytes arrived of"), "{error}");
        let error = failure(Fault::WrongByte);
        assert!(error.contains("its hash is"), "{error}");
    }

    #[test]
    fn answers_without_sense_are_refused() {
        assert!(failure(Fault::NoHash).contains("no hash"));
        assert!(failure(Fault::NotJson).contains("owner/tiny"));
        assert!(failure(Fault::BadShard).contains("shard name"));
    }

    #[test]
    fn no_network_is_one_sentence() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let cache = tempfile::tempdir().unwrap();
        let hub = Hub::new(&address, cache.path(), None, false).unwrap();
        let error = hub.fetch(&Repository::parse("smollm2-135m").unwrap());
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("cannot reach http://127"), "{error}");
        assert!(error.contains("model add PATH") && !error.contains('\n'));
    }

    #[test]
    fn names_of_repositories() {
        let short = Repository::parse("smollm2-360m").unwrap();
        assert_eq!(
            (&*short.id, &*short.revision),
            ("HuggingFaceTB/SmolLM2-360M", "main")
        );
        let full = Repository::parse("a/b-1.5@refs/pr/1").unwrap();
        assert_eq!((&*full.id, &*full.revision), ("a/b-1.5", "refs/pr/1"));
        for bad in [
            "", "a", "a/", "/b", "a/b/c", "a/..", "a/b@", "a/b@../x", "a b/c",
        ] {
            assert!(Repository::parse(bad).is_err(), "{bad}");
        }
    }
}
