//! Frames to original bytes, a block at a time.

use std::io::{BufReader, Read};
use std::sync::Arc;

use super::Model;
use super::summary::{OnProgress, Progress, Summary};
use crate::Error;
use crate::codec::CodecError;
use crate::codec::decode::{self, BlockDecoder};
use crate::container::{Block, FrameHeader, FramePart, FrameReader, Mode, ModelRef};
use crate::engine::NUMERICS_VERSION;
use crate::machine::pages::{self, Keep};
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
    /// Many small frames use the same tables.
    _tables: Keep,
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
            _tables: pages::keep(),
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
                FramePart::Header(header) => self.frame = Some(FrameDecoder::new(header)?),
                FramePart::Block(block) => return self.decode(block, resolve, progress).map(Some),
                FramePart::End(_) => self.frame = None,
            }
        }
        self.summary.compressed_len = self.reader.offset();
        Ok(None)
    }

    fn decode(
        &mut self,
        block: Block,
        resolve: Resolve<'_>,
        progress: OnProgress<'_>,
    ) -> Result<Vec<u8>, Error> {
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
        let original = frame.decode(block, resolve, &mut |done| tell(before + done as u64))?;
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
    /// The model that the header names, once a block has needed it.
    model: Option<Arc<Model>>,
    blocks: BlockDecoder,
}

impl FrameDecoder {
    fn new(header: FrameHeader) -> Result<FrameDecoder, Error> {
        check_version("predictor", header.predictor, PREDICTOR_VERSION)?;
        if let Some(model) = &header.model {
            check_version("numerics", model.numerics, NUMERICS_VERSION)?;
        }
        let settings = Settings::from_preset(header.preset, header.model.is_some())
            .ok_or(Error::Unsupported("the predictor preset is unknown"))?;
        Ok(FrameDecoder {
            blocks: BlockDecoder::new(settings),
            header,
            settings,
            model: None,
        })
    }

    fn decode(
        &mut self,
        block: Block,
        resolve: Resolve<'_>,
        progress: decode::OnProgress<'_>,
    ) -> Result<Vec<u8>, Error> {
        if self.header.independent_blocks {
            self.blocks = BlockDecoder::new(self.settings);
        }
        let len = block.original_len as usize;
        Ok(match block.mode {
            Mode::Raw => {
                self.blocks.pass_raw(&block.payload)?;
                block.payload
            }
            Mode::Experts => self.blocks.experts(&block.payload, len, progress)?,
            Mode::Model => {
                let model = self.model(resolve)?;
                self.blocks.set_model(model.runtime(), model.drafts());
                let streams: Vec<_> = (block.stream_parts())
                    .map(|(original, coded)| (original.len(), coded))
                    .collect();
                self.blocks.model(&streams, progress)?
            }
        })
    }

    /// The model that the header names.
    fn model(&mut self, resolve: Resolve<'_>) -> Result<Arc<Model>, Error> {
        if let Some(model) = &self.model {
            return Ok(Arc::clone(model));
        }
        let wanted = self.header.model.as_ref().ok_or(CodecError::NoModel)?;
        let model = resolve(wanted)?;
        if model.reference().window_log2 != wanted.window_log2 {
            return Err(Error::Unsupported(
                "the file's attention window is not the model's",
            ));
        }
        Ok(Arc::clone(self.model.insert(model)))
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
