//! Frames to original bytes, a block at a time.

use std::io::{BufReader, Read, Seek};
use std::sync::Arc;

use super::summary::{OnProgress, Progress, Summary};
use super::{DecoderOptions, Model};
use crate::Error;
use crate::codec::decode::{self, BlockDecoder};
use crate::codec::{CodecError, Prime, Times};
use crate::container::{Block, FrameHeader, FramePart, FrameReader, Mode, ModelRef};
use crate::engine::NUMERICS_VERSION;
use crate::machine::pages::{self, Keep};
use crate::predict::{PREDICTOR_VERSION, Settings};

/// What decompressing asks its caller. A function that finds models is one, and admits everything.
pub trait Resolver {
    /// Finds the model that a frame names.
    ///
    /// # Errors
    ///
    /// If it cannot be had.
    fn model(&mut self, wanted: &ModelRef) -> Result<Arc<Model>, Error>;

    /// Admits experts with these settings, before memory is taken for them.
    ///
    /// # Errors
    ///
    /// If that is not wanted.
    fn admit(&mut self, experts: Settings) -> Result<(), Error> {
        let _ = experts;
        Ok(())
    }
}

impl<F: FnMut(&ModelRef) -> Result<Arc<Model>, Error>> Resolver for F {
    fn model(&mut self, wanted: &ModelRef) -> Result<Arc<Model>, Error> {
        self(wanted)
    }
}

/// Whom to ask.
pub type Resolve<'a> = &'a mut dyn Resolver;

/// A run that decompresses.
pub(super) struct Decompression<R: Read> {
    reader: FrameReader<BufReader<R>>,
    /// The frame being read.
    frame: Option<FrameDecoder>,
    /// The most original bytes that are allowed.
    limit: Option<u64>,
    primes: Vec<Arc<Prime>>,
    /// Blocks before this place of the original are not decoded where that is possible.
    skip_to: u64,
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
    /// `options` but its models.
    pub(super) fn new(reader: R, options: &DecoderOptions) -> Decompression<R> {
        Decompression {
            reader: FrameReader::new(BufReader::new(reader)),
            frame: None,
            limit: options.limit,
            primes: options.primes.clone(),
            skip_to: 0,
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
                FramePart::Header(header) => {
                    self.frame = Some(FrameDecoder::new(header, &self.primes)?);
                }
                FramePart::Block(block) if self.can_skip(&block) => {
                    self.summary.original_len += u64::from(block.original_len);
                }
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
        self.summary.times += frame.take_times();
        self.reader.verify_block(&original)?;
        self.summary.original_len = after;
        self.summary.modes.add(mode, original.len() as u64);
        match tell(after).is_break() {
            true => Err(Error::Cancelled),
            false => Ok(original),
        }
    }

    /// From now on does not decode what nobody needs of the original before `offset`, which counts
    /// from where this run began.
    pub(super) fn skip_to(&mut self, offset: u64) {
        self.skip_to = offset;
    }

    /// Whether the block lies before what is wanted, and no other block needs it.
    fn can_skip(&self, block: &Block) -> bool {
        let frame = self.frame.as_ref();
        frame.is_some_and(|frame| frame.header.independent_blocks)
            && block.original_len > 0
            && self.summary.original_len + u64::from(block.original_len) <= self.skip_to
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

impl<R: Read + Seek> Decompression<R> {
    /// Begins again at `offset` of the input, where a data frame begins.
    pub(super) fn restart(&mut self, offset: u64) -> Result<(), Error> {
        self.state = State::Broken;
        self.reader.restart(offset).map_err(Error::Read)?;
        self.frame = None;
        self.skip_to = 0;
        self.summary = Summary::default();
        self.state = State::Reading;
        Ok(())
    }
}

struct FrameDecoder {
    header: FrameHeader,
    settings: Settings,
    prime: Option<Arc<Prime>>,
    /// The model that the header names, once a block has needed it.
    model: Option<Arc<Model>>,
    /// `None` before the first block of a frame, and before each that is independent.
    blocks: Option<BlockDecoder>,
}

impl FrameDecoder {
    fn new(header: FrameHeader, primes: &[Arc<Prime>]) -> Result<FrameDecoder, Error> {
        check_version("predictor", header.predictor, PREDICTOR_VERSION)?;
        if let Some(model) = &header.model {
            check_version("numerics", model.numerics, NUMERICS_VERSION)?;
        }
        let settings = Settings::from_preset(header.preset, header.model.is_some())
            .ok_or(Error::Unsupported("the predictor preset is unknown"))?;
        let prime = match header.prime {
            None => None,
            Some(identity) => {
                let mut primes = primes.iter();
                let found = primes.find(|prime| prime.reference() == identity);
                Some(Arc::clone(found.ok_or(Error::MissingPrime { identity })?))
            }
        };
        Ok(FrameDecoder {
            header,
            settings,
            prime,
            model: None,
            blocks: None,
        })
    }

    fn decode(
        &mut self,
        block: Block,
        resolve: Resolve<'_>,
        progress: decode::OnProgress<'_>,
    ) -> Result<Vec<u8>, Error> {
        // Before memory is taken for the experts, which learn the prime when they are made.
        let model = match block.mode {
            Mode::Model => Some(self.model(resolve)?),
            Mode::Raw if self.prime.is_none() => None,
            _ => {
                resolve.admit(self.settings)?;
                None
            }
        };
        let mut blocks = match self.blocks.take() {
            Some(blocks) if !self.header.independent_blocks => blocks,
            _ => BlockDecoder::new(self.settings, self.prime.as_ref())?,
        };
        let len = block.original_len as usize;
        let original = match block.mode {
            Mode::Raw => {
                blocks.pass_raw(&block.payload)?;
                block.payload
            }
            Mode::Experts => blocks.experts(&block.payload, len, progress)?,
            Mode::Model => {
                let model = model.ok_or(CodecError::NoModel)?;
                blocks.set_model(model.runtime(), model.drafts());
                let streams: Vec<_> = (block.stream_parts())
                    .map(|(original, coded)| (original.len(), coded))
                    .collect();
                blocks.model(&streams, progress)?
            }
        };
        self.blocks = Some(blocks);
        Ok(original)
    }

    /// The time that decoding has taken since the last call.
    fn take_times(&mut self) -> Times {
        let blocks = self.blocks.as_mut();
        blocks.map(BlockDecoder::take_times).unwrap_or_default()
    }

    /// The model that the header names.
    fn model(&mut self, resolve: Resolve<'_>) -> Result<Arc<Model>, Error> {
        if let Some(model) = &self.model {
            return Ok(Arc::clone(model));
        }
        let wanted = self.header.model.as_ref().ok_or(CodecError::NoModel)?;
        let model = resolve.model(wanted)?;
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
