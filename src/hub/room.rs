//! A place for a fetch in a test, and what must hold there after it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::server::{About, COMMIT, Server, fixture, git_hash, sha256};

/// The three files of the model.
pub(super) const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];
/// The folder of the repository in the cache.
pub(super) const FOLDER: &str = "models--owner--tiny";

/// A folder for a cache, and beside it a file that nobody may touch.
pub(super) struct Room(pub(super) TempDir);

impl Room {
    pub(super) fn new() -> Room {
        let room = Room(tempfile::tempdir().unwrap());
        fs::create_dir_all(room.0.path().join("victim")).unwrap();
        fs::write(room.0.path().join("victim/.bashrc"), "mine").unwrap();
        room
    }

    pub(super) fn cache(&self) -> PathBuf {
        self.0.path().join("home/hub")
    }

    /// A place in the repository's folder.
    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.cache().join(FOLDER).join(path)
    }

    /// All files and links, by their paths relative to the room.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        collect(self.0.path(), self.0.path(), &mut found);
        found
    }

    /// Panics unless everything outside the cache is as it was, and everything in the cache is
    /// either a content under its own hash, a link to one, a part, a note or the lock.
    pub(super) fn is_intact(&self) {
        for (path, content) in self.files() {
            let name = path.rsplit('/').next().unwrap();
            let sound = match path.strip_prefix("home/hub/") {
                None => path == "victim/.bashrc" && content == b"mine",
                Some(".locks/models--owner--tiny/llmzip.lock") => content.is_empty(),
                Some(path) if path.starts_with("models--owner--tiny/blobs/") => {
                    name.ends_with(".llmzip-part")
                        || name == git_hash(&content)
                        || name == sha256(&content)
                }
                Some(path) => {
                    let snapshot = format!("{FOLDER}/snapshots/{COMMIT}/");
                    path == format!("{FOLDER}/refs/main") && content == COMMIT.as_bytes()
                        || path.starts_with(&snapshot) && FILES.contains(&name)
                }
            };
            assert!(sound, "{path}: {}", String::from_utf8_lossy(&content));
        }
    }
}

fn collect(folder: &Path, root: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, root, found),
            false => {
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.insert(name, fs::read(&path).unwrap_or_default());
            }
        }
    }
}

/// The sentence of a fetch that must fail, leave nothing wrong, and succeed once the hub is sound.
pub(super) fn failure(server: &Server) -> String {
    let room = Room::new();
    let error = server.fetch(&room.cache()).unwrap_err().to_string();
    assert!(!error.contains(char::is_control), "{error:?}");
    assert!(error.len() < 400, "{error}");
    room.is_intact();
    is_fetched(&Server::sound(), &room);
    error
}

/// Panics unless the hub's model is fetched and is the right one.
pub(super) fn is_fetched(server: &Server, room: &Room) {
    let folder = server.fetch(&room.cache()).unwrap();
    for name in FILES {
        assert!(
            fs::read(folder.join(name)).unwrap() == fixture(name),
            "{name}"
        );
    }
    room.is_intact();
}

/// How many requests asked this.
pub(super) fn count(server: &Server, about: About) -> usize {
    let requests = server.requests();
    requests.iter().filter(|it| it.about() == about).count()
}

pub(super) fn says(error: &str, part: &str) {
    assert!(error.contains(part), "{error}");
}
