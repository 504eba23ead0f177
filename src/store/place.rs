//! What users write of a place on the hub: `owner/repo[@revision][:file]`.

use super::pin::is_file_name;

/// The parts of what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// `owner/repo`, or the short name of a model.
    pub repository: &'a str,
    /// Branch, tag or commit.
    pub revision: Option<&'a str>,
    /// The name of a file, or a part of it.
    pub file: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// The parts of `text`, whatever they are.
    pub fn split(text: &'a str) -> Place<'a> {
        let (place, file) = match text.split_once(':') {
            Some((place, file)) => (place, Some(file)),
            None => (text, None),
        };
        let (repository, revision) = match place.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision)),
            None => (place, None),
        };
        Place {
            repository,
            revision,
            file,
        }
    }

    /// Whether a hub could have such a place: each part is made of letters, digits and some marks.
    pub fn is_sound(&self) -> bool {
        let word = |word: &str| {
            let letters = word
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            letters && !word.is_empty() && !word.starts_with('.') && word.len() <= 96
        };
        // Folders of the cache have -- where the name has a slash; no hub allows it in a name.
        let part = |name: &str| word(name) && !name.contains("--");
        let named = self.repository.split_once('/');
        named.is_some_and(|(owner, repo)| part(owner) && part(repo))
            && self.revision.is_none_or(|it| it.split('/').all(word))
            && self.file.is_none_or(is_file_name)
    }
}
