//! Which model to fetch.

use hf_hub::{Repo, RepoType};

use super::error::HubError;
use crate::store::{Pin, PinnedFile, Place, catalogue};

/// A repository at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// `owner/repo`.
    pub id: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// The GGUF model that is meant: the name of its file, or the end of it, such as `Q8_0`.
    pub file: Option<String>,
    /// The files that it must have, if a short name stands for it.
    pub(super) pin: Option<Pin>,
}

/// `owner/repo[@revision][:file]` from the address of a page of the hub, with or without
/// `https://`.
fn of_page(text: &str) -> Option<String> {
    let text = text.strip_prefix("https://").unwrap_or(text);
    let hosts = ["huggingface.co/", "www.huggingface.co/", "hf.co/"];
    let path = hosts.iter().find_map(|host| text.strip_prefix(host))?;
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let path = path.trim_end_matches('/');
    if let Some((id, revision)) = path.split_once("/tree/") {
        return Some(format!("{id}@{revision}"));
    }
    let mut files = ["/blob/", "/resolve/"].into_iter();
    let file = files.find_map(|kind| path.split_once(kind));
    Some(
        match file.and_then(|(id, file)| Some((id, file.rsplit_once('/')?))) {
            Some((id, (revision, file))) => format!("{id}@{revision}:{file}"),
            None => path.to_owned(),
        },
    )
}

impl Repository {
    /// Parses `owner/repo[@revision][:file]`, the address of its page, or a short name such as
    /// `smollm2-135m`. The default revision is `main`. A short name without a revision stands for
    /// one commit and the files of it, if they are known in advance.
    ///
    /// # Errors
    ///
    /// [`HubError::BadName`] if `text` is neither.
    pub fn parse(text: &str) -> Result<Repository, HubError> {
        let page = of_page(text);
        let text = page.as_deref().unwrap_or(text);
        let pin = catalogue::entry(text).and_then(catalogue::Entry::pin);
        let mut place = Place::split(text);
        if let Some(entry) = catalogue::entry(place.repository) {
            place.repository = entry.repository;
        }
        let revision = place.revision.unwrap_or("main");
        let revision = pin.as_ref().map_or(revision, |pin| &pin.commit);
        match place.is_sound() {
            true => Ok(Repository {
                id: place.repository.to_owned(),
                revision: revision.to_owned(),
                file: place.file.map(str::to_owned),
                pin,
            }),
            false => Err(HubError::BadName(text.to_owned())),
        }
    }

    /// The same repository at the commit of `pin`, with the files that it names.
    #[must_use]
    pub fn pinned_to(self, pin: Pin) -> Repository {
        Repository {
            revision: pin.commit.clone(),
            pin: Some(pin),
            ..self
        }
    }

    /// What a file must be, if a short name stands for it.
    pub(super) fn pinned_file(&self, name: &str) -> Option<&PinnedFile> {
        let files = &self.pin.as_ref()?.files;
        files.iter().find(|file| file.name == name)
    }

    /// The same as a repository of the cache.
    pub(super) fn for_cache(&self) -> Repo {
        Repo::with_revision(self.id.clone(), RepoType::Model, self.revision.clone())
    }
}
