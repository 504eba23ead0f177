//! Decodes the blocks of one frame.

use std::sync::Arc;

use super::Model;
use super::resolver::Resolve;
use crate::Error;
use crate::codec::decode::{self, BlockDecoder};
use crate::codec::{CodecError, Prime, Times};
use crate::container::{Block, ExpectedOriginal, FrameHeader, Mode};
use crate::engine::NUMERICS_VERSION;
use crate::predict::{PREDICTOR_VERSION, Settings};

/// A block as the file has it.
pub(super) struct Coded {
    pub(super) block: Block,
    /// What the file says of its original bytes.
    pub(super) expected: Option<ExpectedOriginal>,
}

/// A frame being decoded.
pub(super) struct FrameDecoder {
    header: FrameHeader,
    settings: Settings,
    prime: Option<Arc<Prime>>,
    /// The model that the header names, once a block has needed it.
    model: Option<Arc<Model>>,
    /// `None` before the first block of a frame, and before each that is independent.
    blocks: Option<BlockDecoder>,
}

impl FrameDecoder {
    /// Begins a frame with this header, which may need one of these primes.
    pub(super) fn new(header: FrameHeader, primes: &[Arc<Prime>]) -> Result<FrameDecoder, Error> {
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

    /// Whether blocks share no state.
    pub(super) fn has_independent_blocks(&self) -> bool {
        self.header.independent_blocks
    }

    /// Asks for what a block of this mode needs beside a prime: the model, or memory for experts.
    ///
    /// # Errors
    ///
    /// If the model cannot be had, or the experts are not admitted.
    pub(super) fn prepare(&mut self, mode: Mode, resolve: Resolve<'_>) -> Result<(), Error> {
        self.need(mode, resolve).map(|_| ())
    }

    /// The model, if a block has needed it.
    pub(super) fn model_mut(&mut self) -> Option<&mut Arc<Model>> {
        self.model.as_mut()
    }

    /// The original bytes of the next block, which have passed their check.
    pub(super) fn decode(
        &mut self,
        coded: Coded,
        resolve: Resolve<'_>,
        progress: decode::OnProgress<'_>,
    ) -> Result<Vec<u8>, Error> {
        let Coded { block, expected } = coded;
        // Before memory is taken for the experts, which learn the prime when they are made.
        let model = self.need(block.mode, resolve)?;
        if let Some(model) = &model {
            resolve.admit_streams(model, block.streams.len())?;
        }
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
            Mode::Experts => blocks.experts(&block.payload, len, block.filter, progress)?,
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
        if let Some(expected) = expected {
            expected.verify(&original)?;
        }
        Ok(original)
    }

    /// The time that decoding has taken since the last call.
    pub(super) fn take_times(&mut self) -> Times {
        let blocks = self.blocks.as_mut();
        blocks.map(BlockDecoder::take_times).unwrap_or_default()
    }

    /// Asks for what a block of this mode needs. Gives the model if it is that.
    fn need(&mut self, mode: Mode, resolve: Resolve<'_>) -> Result<Option<Arc<Model>>, Error> {
        match mode {
            Mode::Model => self.model(resolve).map(Some),
            Mode::Raw if self.prime.is_none() => Ok(None),
            _ => resolve.admit(self.settings).map(|()| None),
        }
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
