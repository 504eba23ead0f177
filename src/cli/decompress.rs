//! `decompress`, `cat` and `test`: frames to files, to standard output, to nothing.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use llmzip::container::MAX_STREAMS;
use llmzip::{OnProgress, Summary};

use super::estimate;
use super::failure::Failure;
use super::files::{self, Forecast, Work};
use super::info::Contents;
use super::input::Opened;
use super::meant::{Decompress, SUFFIX};
use super::models::Models;
use super::output::Content;

pub(super) fn run(meant: Decompress) -> Result<bool, Failure> {
    let mut models = Models::new(meant.means);
    if let Some(name) = &meant.model {
        models.prefer(name)?;
    }
    let mut work = Decompressing {
        look_ahead: meant.files.talk.progress,
        models,
    };
    files::run(&meant.files, &mut work)
}

struct Decompressing {
    models: Models,
    /// Whether it is worth reading through the file beforehand.
    look_ahead: bool,
}

impl Work for Decompressing {
    const PRODUCES: Content = Content::Original;

    fn output_path(&self, input: &Path) -> Result<PathBuf, Failure> {
        // Names need not be UTF-8. A name that begins with its only dot has no extension.
        match input.extension() {
            Some(extension) if extension == &SUFFIX[1..] => Ok(input.with_extension("")),
            _ => Err(Failure::Said(format!(
                "has no {SUFFIX} at the end of its name; name the output with -o"
            ))),
        }
    }

    fn forecast(&mut self, input: &Opened) -> Result<Forecast, Failure> {
        self.models.check_memory_at_all()?;
        self.models.expect_streams(MAX_STREAMS);
        let look_ahead = self.look_ahead || self.models.is_limited();
        let (Some(path), Some(_), true) = (input.path(), input.len(), look_ahead) else {
            return Ok(Forecast::default());
        };
        // What is wrong with the file is for the decoder to say.
        let Some(contents) = File::open(path)
            .ok()
            .and_then(|file| Contents::read(file).ok())
        else {
            return Ok(Forecast::default());
        };
        self.models.expect_streams(contents.streams());
        if contents
            .frames
            .iter()
            .any(|frame| frame.header.model.is_none())
        {
            self.models.check_memory(None, 0, 1)?;
        }
        let time = if self.look_ahead {
            estimate::decompression(&contents, &mut self.models)
        } else {
            None
        };
        Ok(Forecast {
            original_len: Some(contents.totals.original_len),
            time,
        })
    }

    fn code(
        &mut self,
        reader: &mut dyn Read,
        writer: &mut dyn Write,
        progress: OnProgress<'_>,
    ) -> Result<Summary, Failure> {
        let models = &mut self.models;
        let result = llmzip::decompress(
            reader,
            writer,
            &mut |wanted| models.resolve(wanted),
            progress,
        );
        match (result, models.refusal.take()) {
            (Err(_), Some(refusal)) => Err(Failure::Said(refusal)),
            (result, _) => Ok(result?),
        }
    }
}
