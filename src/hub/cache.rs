//! The hub's cache on this machine, in the layout that `huggingface_hub` and `hf-hub` share:
//!
//! ```text
//! models--OWNER--REPO/blobs/HASH              contents
//! models--OWNER--REPO/snapshots/COMMIT/NAME   links to them
//! models--OWNER--REPO/refs/REVISION           the commit that a branch or tag stood for
//! .locks/models--OWNER--REPO/                 held while files are fetched
//! ```
//!
//! Paths are made of the names of a [`Repository`], of a [`Commit`], of a [`Hash`] and of plain
//! file names, none of which can leave a folder. A link in the cache is followed only to a place in
//! the cache. Whatever is put into the cache is complete and checked, and appears at once.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use hf_hub::{Cache, CacheRepo};

use super::hash::{Commit, Hash};
use super::repository::Repository;
use crate::machine::regular_file;

/// The part of the cache that belongs to one repository.
pub(super) struct RepositoryCache {
    /// The folder of the whole cache, without links.
    root: PathBuf,
    repo: CacheRepo,
    /// The folder of the repository, relative to the root.
    folder: String,
    revision: String,
}

/// Held while files of a repository are fetched, so that two processes never write the same one.
pub(super) struct Lock {
    /// Closing it ends the lock.
    _file: File,
}

impl RepositoryCache {
    /// Makes the folder of the cache if it is absent.
    pub(super) fn open(cache: &Path, repository: &Repository) -> io::Result<RepositoryCache> {
        fs::create_dir_all(cache)?;
        let root = cache.canonicalize()?;
        let repo = repository.for_cache();
        Ok(RepositoryCache {
            folder: repo.folder_name(),
            revision: repository.revision.clone(),
            repo: Cache::new(root.clone()).repo(repo),
            root,
        })
    }

    /// Waits until no other process fetches files of this repository. Where the file system knows
    /// no locks, nothing is waited for.
    pub(super) fn lock(&self) -> io::Result<Option<Lock>> {
        let path = self.folder(&[".locks", &self.folder])?.join("llmzip.lock");
        let file = regular_file::open_or_create(&self.inside(path)?)?;
        match file.lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The commit that the revision stands for, as far as the cache knows: the revision itself, or
    /// what a tool noted when it last asked the hub.
    pub(super) fn commit(&self) -> Option<Commit> {
        let noted = || {
            let path = self.root.join(&self.folder).join("refs");
            let path = self.inside(path.join(&self.revision)).ok()?;
            Commit::parse(read_short(&path).ok()?.trim())
        };
        Commit::parse(&self.revision).or_else(noted)
    }

    /// Notes the commit that the revision stands for.
    pub(super) fn note(&self, commit: &Commit) -> io::Result<()> {
        if self.revision == commit.as_str() {
            return Ok(());
        }
        let mut parts = vec![&*self.folder, "refs"];
        parts.extend(self.revision.split('/'));
        let name = parts.pop().unwrap_or_default();
        let folder = self.folder(&parts)?;
        appear(&folder.join(name), |new| fs::write(new, commit.as_str()))
    }

    /// The folder with the files of a commit.
    pub(super) fn snapshot(&self, commit: &Commit) -> PathBuf {
        self.repo.pointer_path(commit.as_str())
    }

    /// The names of the files of a commit that are in the cache.
    pub(super) fn names(&self, commit: &Commit) -> Vec<String> {
        let entries = fs::read_dir(self.snapshot(commit)).into_iter().flatten();
        let names = entries.flatten().map(|entry| entry.file_name());
        names.filter_map(|name| name.into_string().ok()).collect()
    }

    /// Where the content of a file of a commit is, links followed, if it is in the cache.
    pub(super) fn find(&self, commit: &Commit, name: &str) -> Option<PathBuf> {
        let path = self.snapshot(commit).join(name).canonicalize().ok()?;
        (path.starts_with(&self.root) && path.is_file()).then_some(path)
    }

    /// Where the content with this hash belongs. Makes the folder.
    pub(super) fn blob(&self, hash: &Hash) -> io::Result<PathBuf> {
        Ok(self.folder(&[&self.folder, "blobs"])?.join(hash.as_str()))
    }

    /// Makes `name` of a commit mean the content with this hash, which is in the cache.
    pub(super) fn point(&self, commit: &Commit, name: &str, hash: &Hash) -> io::Result<()> {
        let folder = self.folder(&[&self.folder, "snapshots", commit.as_str()])?;
        let path = folder.join(name);
        let target = Path::new("../../blobs").join(hash.as_str());
        if fs::read_link(&path).is_ok_and(|old| old == target) {
            return Ok(());
        }
        match appear(&path, |new| symlink(&target, new)) {
            // The file systems of Windows have no links for everybody. There the file itself is
            // what a snapshot holds.
            Err(_) if cfg!(windows) => fs::rename(self.blob(hash)?, path),
            result => result,
        }
    }

    /// Makes a folder of the cache, one part after the other, so that no link leads elsewhere.
    fn folder(&self, parts: &[&str]) -> io::Result<PathBuf> {
        let mut path = self.root.clone();
        for part in parts {
            path.push(part);
            match fs::create_dir(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => path = self.inside(path)?,
            }
        }
        Ok(path)
    }

    /// A path in the cache with its links followed, if they lead to a place in the cache.
    fn inside(&self, path: PathBuf) -> io::Result<PathBuf> {
        let real = match path.canonicalize() {
            // What is absent is made where the path says; a broken link would be made elsewhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
                return Ok(path);
            }
            real => real?,
        };
        match real.starts_with(&self.root) {
            true => Ok(real),
            false => Err(io::Error::other(format!(
                "{} is a link that leads out of the cache",
                path.display()
            ))),
        }
    }
}

/// The beginning of a regular file, which is all of it where the file is what it should be.
pub(super) fn read_short(path: &Path) -> io::Result<String> {
    /// Longer than any revision or token.
    const MAX_LEN: u64 = 64 << 10;
    let mut text = String::new();
    let file = regular_file::open(path)?;
    file.take(MAX_LEN).read_to_string(&mut text)?;
    Ok(text)
}

/// Puts what `make` makes at `path`, instead of what is there. Whoever does this holds the lock, so
/// the name under which it is made belongs to nobody else, and what an interrupted process left
/// there goes with the next one.
fn appear(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".llmzip-new");
    let new = Path::new(&new);
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let made = make(new).and_then(|()| fs::rename(new, path));
    if made.is_err() {
        let _ = fs::remove_file(new);
    }
    made
}

#[cfg(unix)]
fn symlink(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(windows)]
fn symlink(target: &Path, path: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, path)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
