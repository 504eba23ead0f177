//! Where a report goes: to standard output or to a file.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use llmzip::Model;
use llmzip::report::{Candidate, Provenance};

use super::failure::Failure;
use super::input::{self, OpenInput};
use super::meant::{Input, ReportResult};
use super::needed;
use super::output::{self, Output, SAME_FILE};
use super::print;
use super::text;

/// Where the result of a long measurement goes.
pub(super) struct Destination<'a, T> {
    result: &'a ReportResult<T>,
    /// The file and what messages call it; `None` for standard output.
    file: Option<(String, Output)>,
}

impl<'a, T> Destination<'a, T> {
    /// Opens the file, if there is one, so that one that cannot be written is refused before the
    /// measurement. It must be none of `inputs`.
    pub(super) fn open(
        result: &'a ReportResult<T>,
        inputs: &[Input],
        force: bool,
    ) -> Result<Destination<'a, T>, Failure> {
        let file = match result.file.as_deref() {
            Some(path) => Some(open(path, inputs, force)?),
            None => {
                output::refuse_stdout(inputs)?;
                None
            }
        };
        Ok(Destination { result, file })
    }

    /// Refuses to overwrite a model that is measured.
    pub(super) fn spare_models(&self, candidates: &[Candidate]) -> Result<(), Failure> {
        let models = candidates.iter().filter_map(Candidate::model);
        let models: Vec<Arc<Model>> = models.cloned().collect();
        match self.result.file.as_deref() {
            Some(path) => needed::refuse_models(path, &models),
            None => needed::refuse_streams(&models),
        }
    }

    /// Writes a report.
    pub(super) fn write(self, measured: &T, made: &Provenance) -> Result<(), Failure> {
        let content = (self.result.render)(measured, made);
        let Some((name, mut output)) = self.file else {
            return print::raw_result(&content);
        };
        let content = match output.is_terminal() {
            true => text::printable_lines(&content),
            false => content,
        };
        let written = output.write_all(content.as_bytes());
        let done = written
            .map_err(Failure::from_write)
            .and_then(|()| output.commit(&OpenInput::nothing()));
        done.map(drop).map_err(|failure| failure.about(name))
    }
}

fn open(path: &Path, inputs: &[Input], force: bool) -> Result<(String, Output), Failure> {
    if fs::canonicalize(path).is_ok_and(|path| inputs.iter().any(|input| is_at(input, &path))) {
        return Err(Failure::message(SAME_FILE));
    }
    let output = Output::file(path, &OpenInput::nothing(), force)?;
    Ok((text::path(path), output))
}

fn is_at(input: &Input, path: &Path) -> bool {
    match input {
        Input::Stdin => fs::metadata(path).is_ok_and(|at| input::is_of(input, &at)),
        Input::File(input) => fs::canonicalize(input).is_ok_and(|input| input == path),
    }
}
