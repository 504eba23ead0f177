//! Frames to bytes.

use std::io::{BufReader, Read, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::codec::decode::{self, BlockDecoder};
use crate::codec::{CodecError, Drafts};
use crate::container::{
    Block, ContainerError, FrameHeader, FramePart, FrameReader, Mode, ModelRef,
};
use crate::engine::NUMERICS_VERSION;
use crate::predict::{PREDICTOR_VERSION, Settings};
use crate::{Error, Model, OnProgress, Progress, Summary};

/// Reads a compressed file from `input` and writes the original to `output`.
///
/// `resolve` is asked for the model of each frame that names one. Memory does not grow with the
/// input: one block at a time is held. No byte is written before its block has passed its checks.
///
/// # Errors
///
/// Any [`Error`]. What has been written by then is the beginning of the original.
pub fn decompress(
    input: impl Read,
    mut output: impl Write,
    resolve: &mut dyn FnMut(&ModelRef) -> Result<Arc<Model>, Error>,
    progress: OnProgress<'_>,
) -> Result<Summary, Error> {
    let mut reader = FrameReader::new(BufReader::new(input));
    let mut summary = Summary::default();
    let mut frame: Option<FrameDecoder> = None;
    while let Some(item) = reader.next().map_err(reading)? {
        match item {
            FramePart::Header(header) => frame = Some(FrameDecoder::new(header, resolve)?),
            FramePart::Block(block) => {
                let frame = frame.as_mut().ok_or(CodecError::NoModel)?;
                let before = summary.original_len;
                let compressed = reader.offset();
                let mode = block.mode;
                let original = frame.decode(block, &mut |done| {
                    progress(Progress {
                        original: before + done as u64,
                        compressed,
                    });
                    ControlFlow::Continue(())
                })?;
                summary.times += frame.blocks.take_times();
                reader.verify_block(&original)?;
                output.write_all(&original).map_err(Error::Write)?;
                summary.original_len += original.len() as u64;
                summary.modes.add(mode, original.len() as u64);
                progress(Progress {
                    original: summary.original_len,
                    compressed,
                });
            }
            FramePart::End(_) => frame = None,
        }
    }
    summary.compressed_len = reader.offset();
    output.flush().map_err(Error::Write)?;
    Ok(summary)
}

/// A resolver for those who have no models: any frame that names one is an error.
pub fn no_models(model: &ModelRef) -> Result<Arc<Model>, Error> {
    Err(Error::MissingModel {
        identity: model.identity,
        name: model.name.clone(),
    })
}

struct FrameDecoder {
    header: FrameHeader,
    settings: Settings,
    model: Option<Arc<Model>>,
    blocks: BlockDecoder,
}

impl FrameDecoder {
    fn new(
        header: FrameHeader,
        resolve: &mut dyn FnMut(&ModelRef) -> Result<Arc<Model>, Error>,
    ) -> Result<FrameDecoder, Error> {
        check_version("predictor", header.predictor, PREDICTOR_VERSION)?;
        let settings = Settings::from_preset(header.preset, header.model.is_some())
            .ok_or(Error::Unsupported("the predictor preset is unknown"))?;
        let model = match &header.model {
            None => None,
            Some(wanted) => {
                check_version("numerics", wanted.numerics, NUMERICS_VERSION)?;
                let model = resolve(wanted)?;
                if model.reference().window_log2 != wanted.window_log2 {
                    return Err(Error::Unsupported(
                        "the file's attention window is not the model's",
                    ));
                }
                Some(model)
            }
        };
        Ok(FrameDecoder {
            blocks: block_decoder(settings, model.as_deref())?,
            header,
            settings,
            model,
        })
    }

    fn decode(&mut self, block: Block, progress: decode::OnProgress<'_>) -> Result<Vec<u8>, Error> {
        if self.header.independent_blocks {
            self.blocks = block_decoder(self.settings, self.model.as_deref())?;
        }
        let len = block.original_len as usize;
        Ok(match block.mode {
            Mode::Raw => {
                self.blocks.pass_raw(&block.payload);
                block.payload
            }
            Mode::Experts => self.blocks.experts(&block.payload, len, progress)?,
            Mode::Model => {
                let streams: Vec<_> = (block.stream_parts())
                    .map(|(original, coded)| (original.len(), coded))
                    .collect();
                self.blocks.model(&streams, progress)?
            }
        })
    }
}

fn block_decoder(settings: Settings, model: Option<&Model>) -> Result<BlockDecoder, CodecError> {
    match model {
        None => BlockDecoder::new(settings, None, Drafts::default()),
        Some(model) => BlockDecoder::new(settings, Some(model.runtime()), model.drafts()),
    }
}

fn check_version(what: &'static str, got: u8, expected: u8) -> Result<(), Error> {
    if got == expected {
        Ok(())
    } else {
        Err(Error::Version {
            what,
            got,
            expected,
        })
    }
}

fn reading(error: ContainerError) -> Error {
    match error {
        ContainerError::Io(error) => Error::Read(error),
        other => Error::Container(other),
    }
}
