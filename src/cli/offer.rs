//! Offers to fetch a model that was asked for and is not installed.

use std::path::Path;

use llmzip::Error;
use llmzip::store::{EXTENSION, Place, catalogue};

use super::failure::Failure;
#[cfg(feature = "hub")]
use super::model;
#[cfg(feature = "hub")]
use super::print;
#[cfg(feature = "hub")]
use super::question;
#[cfg(feature = "hub")]
use super::text;

/// Whether `name` may be that of a model on the hub: a short name, or a repository if there is no
/// such path, which has the same form.
fn is_on_hub(name: &str) -> bool {
    let place = Place::split(name);
    let owner = place.repository.split('/').next().unwrap_or_default();
    let extension = Path::new(name).extension();
    let is_path = || extension.is_some_and(|it| it == EXTENSION) || Path::new(owner).exists();
    catalogue::entry(name).is_some() || place.is_sound() && !is_path()
}

/// Fetches the model called `name`, which could not be opened because of `error`, if it is on the
/// hub and the user wants it. Returns the name under which it is kept.
#[cfg(feature = "hub")]
pub(super) fn fetch(name: &str, error: Error) -> Result<String, Failure> {
    if !is_on_hub(name) {
        return Err(error.into());
    }
    if !question::can_be_asked() || !question::ask(&question(name)) {
        return Err(Failure::Message(format!(
            "no model {name}; llmzip model pull {name} fetches it"
        )));
    }
    let added = model::pull(name)?;
    print::note_unless_quiet(&format!("fetched {name}; it is called {added}"));
    Ok(added)
}

/// What is to be confirmed before a model is fetched.
#[cfg(feature = "hub")]
fn question(name: &str) -> String {
    let Some(entry) = catalogue::entry(name) else {
        return format!("model {name} is not installed; fetch it from Hugging Face?");
    };
    let size = text::size(entry.download());
    let gate = match entry.gated {
        true => ", to be accepted there first",
        false => "",
    };
    format!(
        "model {name} is not installed; fetch about {size} (licence {}{gate}) from {}?",
        entry.license, entry.repository
    )
}

#[cfg(not(feature = "hub"))]
pub(super) fn fetch(name: &str, error: Error) -> Result<String, Failure> {
    match is_on_hub(name) {
        true => Err(Failure::Message(format!(
            "no model {name}, and this build of llmzip cannot fetch it"
        ))),
        false => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_and_repositories_are_told_from_paths() {
        for name in ["smollm2-135m", "owner/repo", "Qwen/Qwen3-0.6B", "a/b:Q8_0"] {
            assert!(is_on_hub(name), "{name}");
        }
        let paths = [
            "mini",
            "src/absent",
            "./a/b",
            "/a/b",
            "a/b/c",
            "a/b.llmzmodel",
            "a/",
            "../b",
        ];
        for path in paths {
            assert!(!is_on_hub(path), "{path}");
        }
    }
}
