//! Which model to fetch.

use hf_hub::{Repo, RepoType};

use super::error::HubError;
use super::pinned::{Pinned, PinnedFile, of_repository};
use crate::store::repository_of;

/// A repository at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// `owner/repo`.
    pub id: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// The files that it must have, if a short name stands for it.
    pub(super) pinned: Option<&'static Pinned>,
}

/// `owner/repo[@revision]` from the address of a page of the hub, with or without `https://`.
fn of_page(text: &str) -> Option<String> {
    let text = text.strip_prefix("https://").unwrap_or(text);
    let hosts = ["huggingface.co/", "www.huggingface.co/", "hf.co/"];
    let path = hosts.iter().find_map(|host| text.strip_prefix(host))?;
    let path = path.trim_end_matches('/');
    Some(match path.split_once("/tree/") {
        Some((id, revision)) => format!("{id}@{revision}"),
        None => path.to_owned(),
    })
}

impl Repository {
    /// Parses `owner/repo[@revision]`, the address of its page, or a short name such as
    /// `smollm2-135m`. The default revision is `main`. A short name without a revision stands for
    /// one commit and the files of it.
    ///
    /// # Errors
    ///
    /// [`HubError::BadName`] if `text` is neither.
    pub fn parse(text: &str) -> Result<Repository, HubError> {
        let page = of_page(text);
        let text = page.as_deref().unwrap_or(text);
        let pinned = repository_of(text).and_then(of_repository);
        let default = pinned.map_or("main", |pinned| pinned.commit);
        let (id, revision) = text.split_once('@').unwrap_or((text, default));
        let id = repository_of(id).unwrap_or(id);
        let word = |word: &str| {
            let letters = word
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            letters && !word.is_empty() && !word.starts_with('.') && word.len() <= 96
        };
        // Folders of the cache have -- where the name has a slash; no hub allows it in a name.
        let part = |name: &str| word(name) && !name.contains("--");
        let sound = matches!(id.split_once('/'), Some((owner, repo)) if part(owner) && part(repo))
            && revision.split('/').all(word);
        match sound {
            true => Ok(Repository {
                id: id.to_owned(),
                revision: revision.to_owned(),
                pinned,
            }),
            false => Err(HubError::BadName(text.to_owned())),
        }
    }

    /// What a file must be, if a short name stands for it.
    pub(super) fn pinned_file(&self, name: &str) -> Option<&'static PinnedFile> {
        let files = self.pinned?.files;
        files.iter().find(|file| file.name == name)
    }

    /// The same as a repository of the cache.
    pub(super) fn for_cache(&self) -> Repo {
        Repo::with_revision(self.id.clone(), RepoType::Model, self.revision.clone())
    }
}
