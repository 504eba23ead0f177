//! Which model to fetch.

use hf_hub::{Repo, RepoType};

use super::error::HubError;
use crate::store::repository_of;

/// A repository at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// `owner/repo`.
    pub id: String,
    /// Branch, tag or commit.
    pub revision: String,
}

impl Repository {
    /// Parses `owner/repo[@revision]`, or a short name such as `smollm2-135m`. The default revision
    /// is `main`.
    ///
    /// # Errors
    ///
    /// [`HubError::BadName`] if `text` is neither.
    pub fn parse(text: &str) -> Result<Repository, HubError> {
        let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
        let id = repository_of(id).unwrap_or(id);
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

    /// The repository at another revision, in the words of `hf-hub`.
    pub(super) fn at(&self, revision: &str) -> Repo {
        Repo::with_revision(self.id.clone(), RepoType::Model, revision.to_owned())
    }
}
