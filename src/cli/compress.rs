//! `compress`: files to frames.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use llmzip::{CompressOptions, OnProgress, Summary};

use super::estimate;
use super::failure::Failure;
use super::files::{self, Forecast, Work};
use super::input::Opened;
use super::meant::{Compress, SUFFIX};
use super::models::Models;
use super::output::Content;

pub(super) fn run(meant: Compress) -> Result<bool, Failure> {
    let models = Models::new(meant.means);
    let model = models.choose(&meant.model)?;
    let options = CompressOptions {
        model,
        experts: meant.experts,
        preset: meant.preset,
        checksum: meant.checksum,
        independent_blocks: meant.independent_blocks,
        block_len: meant.block_len,
        streams: meant.streams,
        count_cross_entropy: false,
    };
    models.check_memory(
        options.model.as_deref(),
        options.block_len,
        options.most_streams(),
    )?;
    let mut work = Compressing {
        estimate: meant.files.talk.progress,
        options,
    };
    files::run(&meant.files, &mut work)
}

struct Compressing {
    options: CompressOptions,
    estimate: bool,
}

impl Work for Compressing {
    const PRODUCES: Content = Content::Compressed;

    fn output_path(&self, input: &Path) -> Result<PathBuf, Failure> {
        let mut name = input.as_os_str().to_owned();
        name.push(SUFFIX);
        Ok(PathBuf::from(name))
    }

    fn forecast(&mut self, input: &Opened) -> Result<Forecast, Failure> {
        let original_len = input.len();
        let time = match (input.path(), original_len) {
            (Some(path), Some(len)) if self.estimate => {
                estimate::compression(path, len, &self.options)
            }
            _ => None,
        };
        Ok(Forecast { original_len, time })
    }

    fn code(
        &mut self,
        reader: &mut dyn Read,
        writer: &mut dyn Write,
        progress: OnProgress<'_>,
    ) -> Result<Summary, Failure> {
        Ok(llmzip::compress(reader, writer, &self.options, progress)?)
    }
}
