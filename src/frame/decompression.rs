//! Frames to original bytes, a block at a time.

use std::io::{BufReader, Read};
use std::sync::Arc;

use super::Model;
use super::summary::{OnProgress, Progress, Summary};
use crate::Error;
use crate::codec::decode::{self, BlockDecoder};
use crate::codec::{CodecError, Drafts};
use crate::container::{Block, FrameHeader, FramePart, FrameReader, Mode, ModelRef};
use crate::engine::NUMERICS_VERSION;
use crate::predict::{PREDICTOR_VERSION, Settings};

/// Finds the model that a frame names.
pub type Resolve<'a> = &'a mut dyn FnMut(&ModelRef) -> Result<Arc<Model>, Error>;

/// A run that decompresses.
pub(super) struct Decompression<R: Read> {
    reader: FrameReader<BufReader<R>>,
    /// The frame being read.
    frame: Option<FrameDecoder>,
    /// The most original bytes that are allowed.
    limit: Option<u64>,
    summary: Summary,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Reading,
    /// All frames are complete.
    Complete,
    /// An earlier call failed.
    Broken,
}

impl<R: Read> Decompression<R> {
    pub(super) fn new(reader: R, limit: Option<u64>) -> Decompression<R> {
        Decompression {
            reader: FrameReader::new(BufReader::new(reader)),
            frame: None,
            limit,
            summary: Summary::default(),
            state: State::Reading,
        }
    }

    /// The original bytes of the next block, which has passed its checks; `None` when all frames
    /// are complete. A block of an empty frame has none.
    pub(super) fn next_block(
        &mut self,
        resolve: Resolve<'_>,
        progress: OnProgress<'_>,
    ) -> Result<Option<Vec<u8>>, Error> {
        match self.state {
            State::Complete => return Ok(None),
            State::Broken => return Err(Error::Broken),
            State::Reading => {}
        }
        self.state = State::Broken;
        let block = self.read_block(resolve, progress)?;
        self.state = match block {
            Some(_) => State::Reading,
            None => State::Complete,
        };
        Ok(block)
    }

    fn read_block(
        &mut self,
        resolve: Resolve<'_>,
        progress: OnProgress<'_>,
    ) -> Result<Option<Vec<u8>>, Error> {
        while let Some(part) = self.reader.next().map_err(Error::reading)? {
            self.summary.compressed_len = self.reader.offset();
            match part {
                FramePart::Header(header) => self.frame = Some(FrameDecoder::new(header, resolve)?),
                FramePart::Block(block) => return self.decode(block, progress).map(Some),
                FramePart::End(_) => self.frame = None,
            }
        }
        self.summary.compressed_len = self.reader.offset();
        Ok(None)
    }

    fn decode(&mut self, block: Block, progress: OnProgress<'_>) -> Result<Vec<u8>, Error> {
        let before = self.summary.original_len;
        let after = before + u64::from(block.original_len);
        if let Some(limit) = self.limit.filter(|&limit| after > limit) {
            return Err(Error::Limit { limit });
        }
        let frame = self.frame.as_mut().ok_or(CodecError::NoModel)?;
        let compressed = self.reader.offset();
        let mode = block.mode;
        let mut tell = |original| {
            progress(Progress {
                original,
                compressed,
            })
        };
        let original = frame.decode(block, &mut |done| tell(before + done as u64))?;
        self.summary.times += frame.blocks.take_times();
        self.reader.verify_block(&original)?;
        self.summary.original_len = after;
        self.summary.modes.add(mode, original.len() as u64);
        match tell(after).is_break() {
            true => Err(Error::Cancelled),
            false => Ok(original),
        }
    }

    /// The totals so far.
    pub(super) fn summary(&self) -> Summary {
        self.summary
    }

    pub(super) fn reader(&self) -> &R {
        self.reader.get_ref().get_ref()
    }

    pub(super) fn reader_mut(&mut self) -> &mut R {
        self.reader.get_mut().get_mut()
    }

    pub(super) fn into_reader(self) -> R {
        self.reader.into_inner().into_inner()
    }
}

struct FrameDecoder {
    header: FrameHeader,
    settings: Settings,
    model: Option<Arc<Model>>,
    blocks: BlockDecoder,
}

impl FrameDecoder {
    fn new(header: FrameHeader, resolve: Resolve<'_>) -> Result<FrameDecoder, Error> {
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
