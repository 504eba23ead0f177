//! `model add`: packs a model and keeps it, or writes it to a file.

#[cfg(feature = "convert")]
use std::fmt;
#[cfg(feature = "convert")]
use std::fs::File;
#[cfg(feature = "convert")]
use std::io::{self, Read, Write};
use std::path::Path;

#[cfg(feature = "convert")]
use llmzip::import;
#[cfg(feature = "convert")]
use llmzip::packed::PackedModel;
use llmzip::store::Store;
#[cfg(feature = "convert")]
use llmzip::store::StoreError;

use super::describe::print_added;
#[cfg(feature = "convert")]
use super::describe::print_model;
#[cfg(feature = "convert")]
use super::name;
use crate::cli::failure::Failure;
use crate::cli::meant::AddTo;
#[cfg(feature = "convert")]
use crate::cli::output;

#[cfg(feature = "convert")]
pub(super) fn run(store: &Store, path: &Path, to: AddTo) -> Result<(), Failure> {
    match to {
        AddTo::File(output) => pack_to_file(path, &output),
        AddTo::Store(Some(name)) => add(store, path, &name),
        AddTo::Store(None) => add(store, path, &name::from_path(path)?),
    }
}

#[cfg(not(feature = "convert"))]
pub(super) fn run(store: &Store, path: &Path, to: AddTo) -> Result<(), Failure> {
    let name = match to {
        AddTo::Store(Some(name)) => name,
        AddTo::Store(None) => return Err(Failure::message("give the model a name with --name")),
        AddTo::File(output) => {
            return Err(Failure::Message(format!(
                "this build of llmzip cannot pack a model into {}",
                output.display()
            )));
        }
    };
    let added = store.add_packed(path, &name).map_err(|error| {
        Failure::Message(format!(
            "{}: {error} (this build takes packed models only)",
            path.display()
        ))
    })?;
    print_added(store, &added)
}

/// Packs the model at `path`, or takes it as it is if it is packed, and adds it to the store.
#[cfg(feature = "convert")]
fn add(store: &Store, path: &Path, name: &str) -> Result<(), Failure> {
    store.check_name(name)?;
    let added = if is_packed(path) {
        store.add_packed(path, name)
    } else {
        let file = store.new_file()?;
        import::open(path)
            .and_then(|mut source| source.pack_to_file(file.as_file()))
            .map_err(|error| about(path, &error))?;
        store.add(file, name)
    };
    let added = added.map_err(|error| match error {
        // Users know the path, not yet the name.
        StoreError::Packed { error, .. } => about(path, &error),
        error => error.into(),
    })?;
    print_added(store, &added)
}

/// Packs the model at `path` and writes it to the file `output`.
#[cfg(feature = "convert")]
fn pack_to_file(path: &Path, output: &Path) -> Result<(), Failure> {
    let packed = import::open(path)
        .and_then(|mut source| source.pack())
        .map_err(|error| about(path, &error))?;
    let model = PackedModel::from_bytes(&packed)
        .and_then(|model| model.verify().map(|()| model))
        .map_err(|error| about(path, &error))?;
    write_file(output, &packed)
        .map_err(|error| Failure::Message(format!("{}: {error}", output.display())))?;
    print_model(&output.display().to_string(), &model.identity(), &model)
}

#[cfg(feature = "convert")]
fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(output::folder(path))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Whether the file begins as a packed model does: with the length of a header, and JSON.
#[cfg(feature = "convert")]
fn is_packed(path: &Path) -> bool {
    let mut start = [0; 9];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start[8] == b'{' && start[4..8] == [0; 4]
}

#[cfg(feature = "convert")]
fn about(path: &Path, error: &dyn fmt::Display) -> Failure {
    Failure::Message(format!("{}: {error}", path.display()))
}
