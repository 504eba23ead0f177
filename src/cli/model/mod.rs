//! `model`: adds, fetches, lists, verifies, removes and checks packed models.

mod add;
#[cfg(feature = "convert")]
mod check;
mod describe;
mod list;
#[cfg(feature = "convert")]
mod name;
mod pull;

use llmzip::store::{Store, StoreError};

use super::advice;
use super::failure::Failure;
use super::meant::ModelJob;
use super::print;

pub(super) fn run(job: ModelJob) -> Result<bool, Failure> {
    let store = Store::of_user();
    match job {
        ModelJob::Add { paths, to, wide } => add::run(&store, &paths, to, wide)?,
        ModelJob::Pull { repository, name } => pull::run(&store, &repository, name)?,
        ModelJob::List { json } => list::run(&store, json)?,
        ModelJob::Verify { names } => verify(&store, &names)?,
        ModelJob::Remove { names } => remove(&store, &names)?,
        #[cfg(feature = "convert")]
        ModelJob::Check(job) => check::run(&store, &job)?,
    }
    Ok(true)
}

/// Verifies the models of these names, or all if there are none.
fn verify(store: &Store, names: &[String]) -> Result<(), Failure> {
    let all = store.names()?;
    if let Some(unknown) = names.iter().find(|name| !all.contains(name)) {
        return Err(StoreError::Unknown(unknown.clone()).into());
    }
    let mut failures = Vec::new();
    let is_wanted = |name: &&String| names.is_empty() || names.contains(name);
    for name in all.iter().filter(is_wanted) {
        let verified = store.installed(name).and_then(|model| store.verify(&model));
        match verified {
            Ok(()) => print::result(&format!("{name}: ok\n"))?,
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
