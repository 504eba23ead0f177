//! `model pull`: fetches a model, packs it and keeps it.

#[cfg(feature = "hub")]
use std::sync::Arc;

#[cfg(feature = "hub")]
use llmzip::check::{CheckError, Sampled, sampled};
#[cfg(feature = "hub")]
use llmzip::hub::{Fetched, Hub, Repository};
#[cfg(feature = "hub")]
use llmzip::import;
#[cfg(feature = "hub")]
use llmzip::packed::PackedModel;
use llmzip::store::Store;
#[cfg(feature = "hub")]
use llmzip::store::catalogue::{self, Entry};
#[cfg(feature = "hub")]
use llmzip::store::{Installed, StoreError};

#[cfg(feature = "hub")]
use super::add::packing_failed;
#[cfg(feature = "hub")]
use super::describe::{print_added, print_loss};
#[cfg(feature = "hub")]
use super::name;
use crate::cli::failure::Failure;
#[cfg(feature = "hub")]
use crate::cli::print;
#[cfg(feature = "hub")]
use crate::cli::progress::StepLine;

#[cfg(feature = "hub")]
pub(super) fn run(store: &Store, text: &str, name: Option<String>) -> Result<(), Failure> {
    let pulled = pull(store, text, name)?;
    print_added(store, &pulled.added)?;
    pulled.warn();
    print_loss(&pulled.added.name, &pulled.sampled, pulled.model)
}

/// A model that was fetched and added to the store.
#[cfg(feature = "hub")]
pub(in crate::cli) struct Pulled {
    pub(in crate::cli) added: Installed,
    sampled: Sampled,
    model: Arc<PackedModel>,
    /// Why its origin could not be noted. The model can be used all the same.
    unnoted: Option<StoreError>,
}

#[cfg(feature = "hub")]
impl Pulled {
    /// Warns if the origin of the model could not be noted.
    pub(in crate::cli) fn warn(&self) {
        if let Some(error) = &self.unnoted {
            let name = &self.added.name;
            print::warning(&format!("{name}: its origin could not be noted: {error}"));
        }
    }
}

/// Fetches the model that `text` names and adds it to the store. What it came from is noted, and a
/// short name is pinned to what was fetched for it.
#[cfg(feature = "hub")]
pub(in crate::cli) fn pull(
    store: &Store,
    text: &str,
    name: Option<String>,
) -> Result<Pulled, Failure> {
    let entry = catalogue::entry(text);
    let mut repository = Repository::parse(text)?;
    if let Some(entry) = entry
        && let Some(pin) = store.pinned(entry)?
    {
        repository = repository.pinned_to(pin);
    }
    let short = text.split('@').next().unwrap_or(text);
    let name = match name {
        Some(name) => name,
        None if catalogue::entry(short).is_some() => short.to_owned(),
        None => name::from_repository(&repository.id, repository.file.as_deref())?,
    };
    store.check_name(&name)?;
    let hub = Hub::of_user()?;
    // What would be fetched could not be kept, unless it is the same model again.
    if store.names()?.contains(&name)
        && !hub.has(&repository)
        && !is_same(store, &name, &repository)
    {
        return Err(Failure::Message(format!(
            "a model is already called {name}; choose another name with --name"
        )));
    }
    // Before all is fetched, a store that cannot be written is refused.
    let file = store.new_file()?;
    let mut line = StepLine::new();
    let mut watch = |file: &str, done, all| line.update(file, done, all);
    let fetched = hub.fetch(&repository, &mut watch)?;
    let failed = |error: CheckError| packing_failed(text, error);
    let mut source = import::open(&fetched.path).map_err(|error| failed(error.into()))?;
    let sampled = sampled::pack_to_file(&mut source, file.file(), &mut line.step("packing"));
    let sampled = sampled.map_err(failed)?;
    line.clear();
    let (added, model) = store
        .add(file, &name)
        .map_err(|error| Failure::from(error).about(text))?;
    let unnoted = note(store, entry, &added, fetched).err();
    Ok(Pulled {
        added,
        sampled,
        model,
        unnoted,
    })
}

/// Whether the model called `name` came from this repository, at this commit if one is named.
#[cfg(feature = "hub")]
fn is_same(store: &Store, name: &str, repository: &Repository) -> bool {
    let installed = store.installed(name).ok();
    let origin = installed.and_then(|installed| store.origin(&installed.identity));
    origin.is_some_and(|it| it.repository == repository.id && it.commit == repository.revision)
}

/// Notes where a model came from, and what a short name stands for.
#[cfg(feature = "hub")]
fn note(
    store: &Store,
    entry: Option<&Entry>,
    added: &Installed,
    fetched: Fetched,
) -> Result<(), StoreError> {
    store.note_origin(&added.identity, &fetched.origin)?;
    match (entry, fetched.pin) {
        (Some(entry), Some(pin)) if entry.pin().is_none() => store.pin(entry, &pin),
        _ => Ok(()),
    }
}

#[cfg(not(feature = "hub"))]
pub(super) fn run(_: &Store, _: &str, _: Option<String>) -> Result<(), Failure> {
    Err(Failure::message("this build of llmzip cannot fetch models"))
}
