//! How to compress and to decompress.

use std::sync::Arc;

use super::{Model, Models};
use crate::Error;
use crate::codec::Prime;
#[cfg(feature = "encode")]
use crate::codec::plan::TrialModel;
use crate::codec::plan::{Streams, TrialOptions, WantedGain};
use crate::container::{FrameHeader, MAX_BLOCK_LEN, MAX_STREAMS};
use crate::predict::{PREDICTOR_VERSION, Preset, Settings};

/// The longest frame that an encoder can be asked for.
pub const MAX_FRAME_LEN: u64 = 1 << 30;

/// The most original bytes of a frame that is coded at the same time as others, and held for it.
pub(super) const LONGEST_PARALLEL_FRAME: u64 = 64 << 20;

/// The default of [`EncoderOptions::wanted_gain`]. Decompressing with the built-in model `mini`
/// takes about 15 times as long as without a model.
pub const WANTED_GAIN: u16 = 30;

/// How to compress.
///
/// By default there is no language model, all experts code, and every block has a checksum.
///
/// ```
/// use llmzip::EncoderOptions;
///
/// let options = EncoderOptions::new().block_len(64 << 10).independent_blocks(true);
/// assert_eq!(options.block_len, 65_536);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EncoderOptions {
    /// The language model. Without one, the experts code everything.
    pub model: Option<Arc<Model>>,
    /// How much shorter than the experts alone the model must make a block to code it, in
    /// thousandths of the bytes that the experts take: 0 to 1000, by default 30 (3 %). Where it
    /// gains less, the experts code the block, which takes a small part of the time to decompress.
    /// With 0, blocks are as short as they can be, and compression takes longest. It is decided
    /// from lengths alone, so the output is the same on every machine. Without experts or without a
    /// model there is no choice.
    pub wanted_gain: u16,
    /// Whether the adaptive experts help the model. They are switched off only for measurements:
    /// without them, files are larger.
    pub experts: bool,
    /// Which set of experts is used.
    pub preset: Preset,
    /// Whether each block carries a checksum of its original bytes.
    pub checksum: bool,
    /// Whether blocks share no state. Independent blocks make files larger.
    pub independent_blocks: bool,
    /// What each frame begins after: the file compresses as if this had been compressed before it,
    /// and only who has it can decompress the file.
    pub prime: Option<Arc<Prime>>,
    /// The most original bytes in a block, 1 byte to 16 MiB. Memory grows with this length.
    pub block_len: u32,
    /// The original bytes of a frame, up to 1 GiB, if the original is cut into several frames. A
    /// [`SeekableDecoder`](crate::SeekableDecoder) begins to decode at the start of a frame. A
    /// frame ends where a line ends, if one does within an eighth of this length; so an eighth of
    /// it is held in memory. An index follows each frame. Frames share no state, so shorter ones
    /// make files larger.
    pub frame_len: Option<u64>,
    /// Frames that [`compress`](crate::compress) codes at the same time, each on a thread of its
    /// own, if [`frame_len`](EncoderOptions::frame_len) cuts the original into frames of at most
    /// 64 MiB; by default 1. Memory grows with this number. It does not change what is written.
    pub workers: usize,
    /// Streams in each block that the model codes, 1 to 256; fewer in short blocks. With more
    /// streams, decompression is faster and the file larger. `None` leaves the number to a rule on
    /// the block's bytes and the model's size.
    pub streams: Option<usize>,
    /// The most streams in a block, 1 to 256, for a device that predicts so many in one pass. The
    /// number then follows a rule on the block's bytes: many more than a processor wants, while
    /// files hardly grow. It has no effect where [`streams`](EncoderOptions::streams) is given.
    pub device_streams: Option<usize>,
    /// Whether [`Summary::cross_entropy`](crate::Summary::cross_entropy) is computed. It does not
    /// change what is written.
    pub count_cross_entropy: bool,
}

impl Default for EncoderOptions {
    fn default() -> Self {
        EncoderOptions {
            model: None,
            wanted_gain: WANTED_GAIN,
            experts: true,
            preset: Preset::Normal,
            checksum: true,
            independent_blocks: false,
            prime: None,
            block_len: 1 << 20,
            frame_len: None,
            workers: 1,
            streams: None,
            device_streams: None,
            count_cross_entropy: false,
        }
    }
}

impl EncoderOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> EncoderOptions {
        EncoderOptions::default()
    }

    /// Sets [`model`](EncoderOptions::model).
    #[must_use]
    pub fn model(mut self, model: impl Into<Option<Arc<Model>>>) -> EncoderOptions {
        self.model = model.into();
        self
    }

    /// Sets [`wanted_gain`](EncoderOptions::wanted_gain).
    #[must_use]
    pub fn wanted_gain(mut self, thousandths: u16) -> EncoderOptions {
        self.wanted_gain = thousandths;
        self
    }

    /// Sets [`experts`](EncoderOptions::experts).
    #[must_use]
    pub fn experts(mut self, experts: bool) -> EncoderOptions {
        self.experts = experts;
        self
    }

    /// Sets [`preset`](EncoderOptions::preset).
    #[must_use]
    pub fn preset(mut self, preset: Preset) -> EncoderOptions {
        self.preset = preset;
        self
    }

    /// Sets [`checksum`](EncoderOptions::checksum).
    #[must_use]
    pub fn checksum(mut self, checksum: bool) -> EncoderOptions {
        self.checksum = checksum;
        self
    }

    /// Sets [`independent_blocks`](EncoderOptions::independent_blocks).
    #[must_use]
    pub fn independent_blocks(mut self, independent: bool) -> EncoderOptions {
        self.independent_blocks = independent;
        self
    }

    /// Sets [`prime`](EncoderOptions::prime).
    #[must_use]
    pub fn prime(mut self, prime: impl Into<Option<Arc<Prime>>>) -> EncoderOptions {
        self.prime = prime.into();
        self
    }

    /// Sets [`block_len`](EncoderOptions::block_len).
    #[must_use]
    pub fn block_len(mut self, bytes: u32) -> EncoderOptions {
        self.block_len = bytes;
        self
    }

    /// Sets [`frame_len`](EncoderOptions::frame_len).
    #[must_use]
    pub fn frame_len(mut self, bytes: impl Into<Option<u64>>) -> EncoderOptions {
        self.frame_len = bytes.into();
        self
    }

    /// Sets [`workers`](EncoderOptions::workers).
    #[must_use]
    pub fn workers(mut self, workers: usize) -> EncoderOptions {
        self.workers = workers;
        self
    }

    /// Sets [`streams`](EncoderOptions::streams).
    #[must_use]
    pub fn streams(mut self, streams: impl Into<Option<usize>>) -> EncoderOptions {
        self.streams = streams.into();
        self
    }

    /// Sets [`device_streams`](EncoderOptions::device_streams).
    #[must_use]
    pub fn device_streams(mut self, most: impl Into<Option<usize>>) -> EncoderOptions {
        self.device_streams = most.into();
        self
    }

    /// Sets [`count_cross_entropy`](EncoderOptions::count_cross_entropy).
    #[must_use]
    pub fn count_cross_entropy(mut self, count: bool) -> EncoderOptions {
        self.count_cross_entropy = count;
        self
    }

    /// The most streams that a block will have.
    #[must_use]
    pub fn most_streams(&self) -> usize {
        let model_bytes = self.model.as_ref().map_or(0, |model| model.size());
        self.rule_on_streams().most(model_bytes)
    }

    /// How the number of streams in a block is chosen.
    fn rule_on_streams(&self) -> Streams {
        match (self.streams, self.device_streams) {
            (Some(number), _) => Streams::Exactly(number),
            (None, Some(most)) => Streams::ForDevice(most),
            (None, None) => Streams::ForProcessor,
        }
    }

    /// Original bytes of which there may be several copies: a block, and what waits for the end of
    /// a line.
    #[doc(hidden)]
    pub fn held_len(&self) -> u64 {
        u64::from(self.block_len) + self.frame_len.map_or(0, |len| len / 8)
    }

    /// The length of frames that are coded at the same time; `None` if no frames are.
    pub(super) fn parallel_frame_len(&self) -> Option<u64> {
        let len = self.frame_len.filter(|len| *len <= LONGEST_PARALLEL_FRAME);
        len.filter(|_| self.workers > 1)
    }

    /// Original bytes of the longest frame that is coded at the same time as others, or 0.
    #[doc(hidden)]
    pub fn longest_parallel_frame(&self) -> u64 {
        self.parallel_frame_len().map_or(0, |len| len + len / 8)
    }

    /// The settings of the experts.
    pub fn settings(&self) -> Settings {
        Settings {
            experts: self.experts,
            preset: self.preset,
            with_model: self.model.is_some(),
        }
    }

    /// The header of a frame with these options.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if an option is out of range, or options contradict each other.
    pub(super) fn header(&self) -> Result<FrameHeader, Error> {
        if !(1..=MAX_BLOCK_LEN).contains(&self.block_len) {
            return Err(Error::Unsupported("a block has 1 byte to 16 MiB"));
        }
        if !(1..=MAX_FRAME_LEN).contains(&self.frame_len.unwrap_or(1)) {
            return Err(Error::Unsupported("a frame has 1 byte to 1 GiB"));
        }
        let streams = [self.streams, self.device_streams];
        if !(streams.iter().flatten()).all(|number| (1..=MAX_STREAMS).contains(number)) {
            return Err(Error::Unsupported("a block has 1 to 256 streams"));
        }
        if self.wanted_gain > WantedGain::MAX {
            return Err(Error::Unsupported(
                "the wanted gain is 0 to 1000 thousandths",
            ));
        }
        if self.model.is_some() && !cfg!(feature = "encode") {
            return Err(Error::Unsupported(
                "this build compresses without language models only",
            ));
        }
        let preset = self.settings().to_preset();
        Ok(FrameHeader {
            model: self.model.as_ref().map(|model| model.reference()),
            predictor: PREDICTOR_VERSION,
            preset: preset.ok_or(Error::Unsupported(
                "the light preset is of the experts alone, without a model",
            ))?,
            independent_blocks: self.independent_blocks,
            prime: self.prime.as_ref().map(|prime| prime.reference()),
            checksum: self.checksum,
        })
    }

    /// What the codec must know of these options.
    pub(super) fn trials(&self) -> TrialOptions {
        #[cfg(feature = "encode")]
        let model = self.model.as_ref().map(|model| TrialModel {
            runtime: Arc::clone(model.runtime()),
            tokenize: model.tokenize(),
        });
        // Refused by `header`.
        #[cfg(not(feature = "encode"))]
        let model = None;
        TrialOptions {
            settings: self.settings(),
            model,
            wanted_gain: WantedGain::new(self.wanted_gain),
            streams: self.rule_on_streams(),
            independent_blocks: self.independent_blocks,
            prime: self.prime.clone(),
            costs: None,
        }
    }
}

/// How to decompress.
///
/// By default there are no models, and the length of the original has no limit. Functions that take
/// `DecoderOptions` also take [`Models`].
///
/// ```
/// use llmzip::{DecoderOptions, Models};
///
/// let options = DecoderOptions::new(&Models::none()).limit(1 << 30);
/// assert_eq!(options.limit, Some(1 << 30));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DecoderOptions {
    /// Where the models of frames are looked for.
    pub models: Models,
    /// What frames may begin after.
    pub primes: Vec<Arc<Prime>>,
    /// Frames that [`decompress`](crate::decompress) decodes at the same time, each on a thread of
    /// its own; by default 1. With more, frames of up to 64 MiB are read ahead and held, so it
    /// should stay 1 where the input comes slowly. Memory grows with this number.
    pub workers: usize,
    /// The most original bytes; longer data is an error ([`Error::Limit`]). Without a limit, a few
    /// hostile bytes can decompress to terabytes.
    pub limit: Option<u64>,
}

impl Default for DecoderOptions {
    fn default() -> DecoderOptions {
        DecoderOptions {
            models: Models::none(),
            primes: Vec::new(),
            workers: 1,
            limit: None,
        }
    }
}

impl DecoderOptions {
    /// Options with these models and no limit.
    #[must_use]
    pub fn new(models: &Models) -> DecoderOptions {
        DecoderOptions {
            models: models.clone(),
            ..DecoderOptions::default()
        }
    }

    /// Adds a prime, see [`primes`](DecoderOptions::primes).
    #[must_use]
    pub fn prime(mut self, prime: Arc<Prime>) -> DecoderOptions {
        self.primes.push(prime);
        self
    }

    /// Sets [`workers`](DecoderOptions::workers).
    #[must_use]
    pub fn workers(mut self, workers: usize) -> DecoderOptions {
        self.workers = workers;
        self
    }

    /// Sets [`limit`](DecoderOptions::limit).
    #[must_use]
    pub fn limit(mut self, bytes: impl Into<Option<u64>>) -> DecoderOptions {
        self.limit = bytes.into();
        self
    }
}

impl From<&Models> for DecoderOptions {
    fn from(models: &Models) -> DecoderOptions {
        DecoderOptions::new(models)
    }
}

impl From<Models> for DecoderOptions {
    fn from(models: Models) -> DecoderOptions {
        DecoderOptions {
            models,
            ..DecoderOptions::default()
        }
    }
}

impl From<&DecoderOptions> for DecoderOptions {
    fn from(options: &DecoderOptions) -> DecoderOptions {
        options.clone()
    }
}
