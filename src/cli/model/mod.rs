//! `model`: adds, fetches, lists, verifies, removes and checks packed models.

mod add;
#[cfg(feature = "hub")]
mod available;
#[cfg(feature = "convert")]
mod check;
mod describe;
mod list;
#[cfg(feature = "convert")]
mod name;
mod pull;

use llmzip::store::{Store, StoreError, is_path};

use super::advice;
use super::failure::Failure;
use super::meant::{Input, ModelJob};
use super::output;
use super::print;

pub(super) fn run(job: ModelJob) -> Result<bool, Failure> {
    let store = Store::of_user();
    match job {
        ModelJob::Add { paths, to, wide } => add::run(&store, &paths, to, wide)?,
        ModelJob::Pull { repository, name } => pull::run(&store, &repository, name)?,
        ModelJob::List { json } => list::run(&store, json)?,
        #[cfg(feature = "hub")]
        ModelJob::Available { json } => available::run(&store, json)?,
        ModelJob::Verify { names } => verify(&store, &names)?,
        ModelJob::Remove { names } => remove(&store, &names)?,
        #[cfg(feature = "convert")]
        ModelJob::Check(job) => check::run(&store, &job)?,
    }
    Ok(true)
}

/// Fetches the model that `text` names, and returns the name under which it is kept.
#[cfg(feature = "hub")]
pub(super) fn pull(text: &str) -> Result<String, Failure> {
    let pulled = pull::pull(&Store::of_user(), text, None)?;
    pulled.warn();
    Ok(pulled.added.name)
}

/// Verifies the models of these names and paths, or all that are known if there are none.
fn verify(store: &Store, names: &[String]) -> Result<(), Failure> {
    let all = store.names()?;
    let is_unknown = |name: &&String| !is_path(name) && !all.contains(name);
    if let Some(unknown) = names.iter().find(is_unknown) {
        return Err(StoreError::Unknown(unknown.clone()).into());
    }
    let paths = names.iter().filter(|name| is_path(name));
    let paths: Vec<Input> = paths.map(|path| Input::File(path.into())).collect();
    output::refuse_stdout(&paths)?;
    let mut failures = Vec::new();
    for name in if names.is_empty() { &all } else { names } {
        let verified = match is_path(name) {
            // What has no known identity is read and checked when it is opened.
            true => store.find(name).map(drop),
            false => store.installed(name).and_then(|model| store.verify(&model)),
        };
        match verified {
            Ok(()) => print::raw_result(&format!("{name}: ok\n"))?,
            Err(error) => failures.push(advice::store(&error)),
        }
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(Failure::Message(failures.join("; "))),
    }
}

fn remove(store: &Store, names: &[String]) -> Result<(), Failure> {
    for name in names {
        store.remove(name)?;
        print::result(&format!("{name}: removed\n"))?;
    }
    Ok(())
}
