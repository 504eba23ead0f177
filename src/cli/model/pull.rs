//! `model pull`: fetches a model, packs it and keeps it.

#[cfg(feature = "hub")]
use llmzip::check::{CheckError, sampled};
#[cfg(feature = "hub")]
use llmzip::hub::{Hub, Repository};
#[cfg(feature = "hub")]
use llmzip::import;
use llmzip::store::Store;
#[cfg(feature = "hub")]
use llmzip::store::{StoreError, repository_of};

#[cfg(feature = "hub")]
use super::describe::{print_added, print_loss};
#[cfg(feature = "hub")]
use super::name;
use crate::cli::failure::Failure;

#[cfg(feature = "hub")]
pub(super) fn run(store: &Store, text: &str, name: Option<String>) -> Result<(), Failure> {
    let repository = Repository::parse(text)?;
    let short = text.split('@').next().unwrap_or(text);
    let name = match name {
        Some(name) => name,
        None if repository_of(short).is_some() => short.to_owned(),
        None => name::from_repository(&repository.id)?,
    };
    store.check_name(&name)?;
    let hub = Hub::of_user()?;
    // What would be fetched could not be kept, unless it is the same model again.
    if store.names()?.contains(&name) && !hub.has(&repository) {
        return Err(StoreError::Taken(name).into());
    }
    let folder = hub.fetch(&repository)?;
    let file = store.new_file()?;
    let failed = |error: CheckError| Failure::Message(format!("{text}: {error}"));
    let mut source = import::open(&folder).map_err(|error| failed(error.into()))?;
    let sampled = sampled::pack_to_file(&mut source, file.file()).map_err(failed)?;
    let (added, model) = store
        .add(file, &name)
        .map_err(|error| Failure::from(error).about(text))?;
    print_added(store, &added)?;
    print_loss(&name, &sampled, model)
}

#[cfg(not(feature = "hub"))]
pub(super) fn run(_: &Store, _: &str, _: Option<String>) -> Result<(), Failure> {
    Err(Failure::message("this build of llmzip cannot fetch models"))
}
