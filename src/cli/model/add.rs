//! `model add`: packs a model and keeps it, or writes it to a file.

#[cfg(feature = "convert")]
use std::fmt;
#[cfg(feature = "convert")]
use std::fs::{self, File};
#[cfg(feature = "convert")]
use std::io::{self, Read, Seek};
#[cfg(feature = "convert")]
use std::path::Path;
use std::path::PathBuf;
#[cfg(feature = "convert")]
use std::sync::Arc;

#[cfg(feature = "convert")]
use llmzip::check::{CheckError, sampled};
#[cfg(feature = "convert")]
use llmzip::import::{self, Source, SourceError};
#[cfg(feature = "convert")]
use llmzip::machine::regular_file::{self, CopyError};
#[cfg(feature = "convert")]
use llmzip::packed::{PackedError, PackedModel};
use llmzip::store::Store;
#[cfg(feature = "convert")]
use llmzip::store::StoreError;

use super::describe::print_added;
#[cfg(feature = "convert")]
use super::describe::{print_loss, print_model};
#[cfg(feature = "convert")]
use super::name;
use crate::cli::failure::Failure;
#[cfg(feature = "convert")]
use crate::cli::input::{self, OpenInput};
use crate::cli::meant::AddTo;
#[cfg(feature = "convert")]
use crate::cli::meant::{Accept, DASH, Input};
#[cfg(feature = "convert")]
use crate::cli::output::{self, Output};
#[cfg(feature = "convert")]
use crate::cli::progress::StepLine;
use crate::cli::text;

#[cfg(feature = "convert")]
pub(super) fn run(
    store: &Store,
    paths: &[PathBuf],
    to: AddTo,
    wide: Option<bool>,
) -> Result<(), Failure> {
    let sources: Vec<Input> = paths.iter().cloned().map(Input::File).collect();
    output::refuse_stdout(&sources)?;
    match to {
        AddTo::File { path: output, .. } if output == Path::new(DASH) => Err(Failure::message(
            "a packed model is not written to standard output; name a file, or ./-",
        )),
        AddTo::File {
            path: output,
            force,
        } => pack_to_file(paths, &output, force, wide),
        AddTo::Store(Some(name)) => add(store, paths, &name, wide),
        AddTo::Store(None) => add(store, paths, &name::from_path(&paths[0])?, wide),
    }
}

/// The model at `paths`, with one or two levels for activations if `wide` says which.
#[cfg(feature = "convert")]
fn open(paths: &[PathBuf], wide: Option<bool>) -> Result<Source, SourceError> {
    let mut source = import::open_all(paths)?;
    if let Some(wide) = wide {
        source.set_wide(wide);
    }
    Ok(source)
}

#[cfg(not(feature = "convert"))]
pub(super) fn run(
    store: &Store,
    paths: &[PathBuf],
    to: AddTo,
    wide: Option<bool>,
) -> Result<(), Failure> {
    let ([path], None) = (paths, wide) else {
        return Err(Failure::message(
            "this build of llmzip takes packed models only, each from one file",
        ));
    };
    let name = match to {
        AddTo::Store(Some(name)) => name,
        AddTo::Store(None) => return Err(Failure::message("give the model a name with --name")),
        AddTo::File { .. } => {
            return Err(Failure::message(
                "this build of llmzip cannot pack a model into a file",
            ));
        }
    };
    let added = store.add_packed(path, &name).map_err(|error| {
        Failure::Message(format!(
            "{}: {error} (this build takes packed models only)",
            text::path(path)
        ))
    })?;
    print_added(store, &added)
}

/// Packs the model at `paths`, or takes it as it is if it is packed, and adds it to the store.
#[cfg(feature = "convert")]
fn add(store: &Store, paths: &[PathBuf], name: &str, wide: Option<bool>) -> Result<(), Failure> {
    store.check_name(name)?;
    let path = &paths[0];
    let failed = |error| match error {
        // Users know the path, not yet the name.
        StoreError::Packed { error, .. } => about(path, &error),
        error => error.into(),
    };
    if is_packed(paths) {
        let added = store.add_packed(path, name).map_err(failed)?;
        return print_added(store, &added);
    }
    let file = store.new_file()?;
    let mut source = open(paths, wide).map_err(|error| about(path, &error))?;
    let mut line = StepLine::new();
    let sampled = sampled::pack_to_file(&mut source, file.file(), &mut line.step("packing"));
    let sampled = sampled.map_err(|error| packing_failed(text::path(path), error))?;
    line.clear();
    let (added, model) = store.add(file, name).map_err(failed)?;
    print_added(store, &added)?;
    print_loss(name, &sampled, model)
}

/// Packs the model at `paths` and writes it to the file `output`.
#[cfg(feature = "convert")]
fn pack_to_file(
    paths: &[PathBuf],
    output: &Path,
    force: bool,
    wide: Option<bool>,
) -> Result<(), Failure> {
    let path = &paths[0];
    let mut file = output_beside(paths, output, force)?;
    // What is no regular file cannot be read again: the model is packed beside it.
    let packed = file
        .written()
        .map_or_else(tempfile::tempfile, File::try_clone);
    let mut packed = packed.map_err(Failure::from_write)?;
    let sampled = if is_packed(paths) {
        let from = regular_file::open(path).map_err(|error| about(path, &error))?;
        regular_file::copy(from, &mut packed).map_err(|error| match error {
            CopyError::Read(error) => about(path, &error),
            CopyError::Write(error) => Failure::from_write(error),
        })?;
        None
    } else {
        let mut source = open(paths, wide).map_err(|error| about(path, &error))?;
        let mut line = StepLine::new();
        let sampled = sampled::pack_to_file(&mut source, &packed, &mut line.step("packing"));
        Some(sampled.map_err(|error| packing_failed(text::path(path), error))?)
    };
    let model = PackedModel::from_file(&packed).map_err(|error| about(path, &error))?;
    if file.written().is_none() {
        packed.rewind().map_err(Failure::from_write)?;
        io::copy(&mut packed, &mut file).map_err(Failure::from_write)?;
    }
    file.commit(&OpenInput::nothing())?;
    print_model(
        &text::path(output),
        &model.identity(),
        model.config(),
        model.size() as u64,
    )?;
    match sampled {
        Some(sampled) => print_loss(&text::path(output), &sampled, Arc::new(model)),
        None => Ok(()),
    }
}

/// The file for the packed model, which must not be a part of the model at `paths`.
#[cfg(feature = "convert")]
fn output_beside(paths: &[PathBuf], output: &Path, force: bool) -> Result<Output, Failure> {
    let is_part = |path: &PathBuf| match (fs::canonicalize(path), fs::canonicalize(output)) {
        (Ok(model), Ok(output)) => output.starts_with(model),
        _ => false,
    };
    if paths.iter().any(is_part) {
        return Err(Failure::message("the output is a part of the model"));
    }
    let source = input::open(&Input::File(paths[0].clone()), Accept::Links);
    Output::file(
        output,
        &source.unwrap_or_else(|_| OpenInput::nothing()),
        force,
    )
}

/// Whether it is one file that begins as a packed model does: with the length of a header, and the
/// key of the configuration.
#[cfg(feature = "convert")]
pub(super) fn is_packed(paths: &[PathBuf]) -> bool {
    const KEY: &[u8] = br#"{"__metadata__":{"llmzip":"#;
    let [path] = paths else {
        return false;
    };
    let mut start = [0; 8 + KEY.len()];
    let read = regular_file::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start.ends_with(KEY)
}

/// A failure to pack the model `what`. What is read says of which tensor it is, so a failure of the
/// system alone is one to write.
#[cfg(feature = "convert")]
pub(super) fn packing_failed(what: impl fmt::Display, error: CheckError) -> Failure {
    match error {
        CheckError::Packed(PackedError::Io(error)) => Failure::from_write(error),
        error => Failure::Message(format!("{what}: {error}")),
    }
}

#[cfg(feature = "convert")]
fn about(path: &Path, error: &dyn fmt::Display) -> Failure {
    Failure::Message(format!("{}: {error}", text::path(path)))
}

#[cfg(all(test, feature = "convert"))]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_not_the_models_fault() {
        let told = |error: PackedError| match packing_failed("model.gguf", error.into()) {
            Failure::Message(message) => message,
            _ => panic!("not a message"),
        };
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let message = told(full.into());
        assert!(message.starts_with("cannot write: "), "{message}");
        let missing = PackedError::Source {
            name: "head".to_owned(),
            reason: "missing".to_owned(),
        };
        let message = told(missing);
        assert!(message.starts_with("model.gguf: "), "{message}");
    }
}
