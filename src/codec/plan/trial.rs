//! Which mode a block gets, found by coding it.
//!
//! A trial codes a run with an encoder of its own. The best result becomes the block, and its
//! encoder, which has learned from the run, codes the next one; the others are dropped. The best
//! one is the model's if that reaches the wanted gain, otherwise the experts', or the run itself if
//! that is shorter. A trial makes its own [`Block`], so a block is always labelled with the mode
//! that coded it.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::classify::is_nearly_random;
use super::gain::{Course, WantedGain, Watch};
use super::{Class, SAMPLE, Streams, Verdict, cut, sample, verdict};
use crate::codec::cost::CostRecorder;
use crate::codec::encode::{BlockEncoder, OnProgress, Stream};
use crate::codec::{CodecError, Prime, Symbol, Times};
use crate::container::{Block, BranchFilter, Mode};
use crate::engine::Runtime;
use crate::predict::Settings;

/// The first run of a frame is coded in every mode if it has at most this many bytes.
const TRY_ALL: usize = 64 << 10;
/// A shorter run may end up longer than it was, because the coder's last word costs a few bytes.
const SHORT_RUN: usize = 4 << 10;

/// Cuts bytes into symbols that concatenate to them: tokens, and bytes that no token covers.
pub type Tokenize = dyn Fn(&[u8]) -> Vec<Symbol> + Send + Sync;

/// The language model of a frame, with the tokenizer that belongs to it.
#[derive(Clone)]
pub struct TrialModel {
    /// Runs the model.
    pub runtime: Arc<dyn Runtime>,
    /// Cuts text into the model's tokens.
    pub tokenize: Arc<Tokenize>,
}

impl fmt::Debug for TrialModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrialModel").finish_non_exhaustive()
    }
}

/// How the blocks of a frame are coded.
#[derive(Clone, Debug)]
pub struct TrialOptions {
    /// The predictor's settings.
    pub settings: Settings,
    /// The language model; without one, the experts code everything.
    pub model: Option<TrialModel>,
    /// How much the model must gain to code a block.
    pub wanted_gain: WantedGain,
    /// Streams in a block that the model codes.
    pub streams: Streams,
    /// Whether each block starts afresh.
    pub independent_blocks: bool,
    /// What the frame begins after, if anything.
    pub prime: Option<Arc<Prime>>,
    /// An empty recorder if costs are to be recorded.
    pub costs: Option<CostRecorder>,
}

/// A run as a block, with the time and the cost of coding it.
#[derive(Debug)]
pub struct CodedRun {
    /// The block.
    pub block: Block,
    /// How long coding took, trials not counted.
    pub times: Times,
    /// What the block costs, if [`TrialOptions::costs`] asks for it.
    pub costs: Option<CostRecorder>,
}

/// Codes the runs of a frame in order, each in the mode that is best for it.
pub struct Trials {
    options: TrialOptions,
    /// The encoder that coded the blocks so far; `None` before the first.
    encoder: Option<BlockEncoder>,
}

impl fmt::Debug for Trials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trials").finish_non_exhaustive()
    }
}

impl Trials {
    /// Trials for a new frame.
    pub fn new(options: TrialOptions) -> Trials {
        Trials {
            options,
            encoder: None,
        }
    }

    /// Codes `bytes`, the next run of the frame, which has at least one byte.
    ///
    /// # Errors
    ///
    /// [`CodecError`]; the frame cannot go on then.
    pub fn code(
        &mut self,
        bytes: &[u8],
        class: Class,
        progress: OnProgress<'_>,
    ) -> Result<CodedRun, CodecError> {
        if self.options.independent_blocks {
            self.encoder = None;
        }
        let model = self.options.model.clone();
        let model = model.filter(|_| class == Class::Text);
        let block = if class == Class::Incompressible {
            self.store(bytes)?
        } else if self.encoder.is_none() && bytes.len() <= TRY_ALL {
            self.try_all(bytes, class.filter(), model.as_ref(), progress)?
        } else {
            self.try_likely(bytes, class.filter(), model.as_ref(), progress)?
        };
        let encoder = self.encoder.as_mut();
        let (times, costs) = encoder.map_or_else(Default::default, |encoder| {
            (encoder.take_times(), encoder.take_costs())
        });
        Ok(CodedRun {
            block,
            times,
            costs,
        })
    }

    /// Codes the first run of a frame in every mode. `filter` is for the experts alone.
    fn try_all(
        &mut self,
        bytes: &[u8],
        filter: Option<BranchFilter>,
        model: Option<&TrialModel>,
        progress: OnProgress<'_>,
    ) -> Result<Block, CodecError> {
        let trial = match model {
            None => Trial::experts(self.new_encoder()?, bytes, filter, progress)?,
            Some(model) => {
                let encoders = (self.new_encoder()?, self.new_encoder()?);
                self.try_both(encoders, model, None, bytes, progress)?
            }
        };
        match trial.len() < bytes.len() {
            true => Ok(self.keep(trial)),
            false => self.store(bytes),
        }
    }

    /// Codes a run in the mode that a sample recommends, or in both modes where it recommends none.
    fn try_likely(
        &mut self,
        bytes: &[u8],
        filter: Option<BranchFilter>,
        model: Option<&TrialModel>,
        progress: OnProgress<'_>,
    ) -> Result<Block, CodecError> {
        let judged = match model {
            Some(model) => Some((model, self.judge(model, bytes, progress)?)),
            None => None,
        };
        // Experts need hardly more than 8 bits for any byte. A model that nothing corrects may need
        // far more.
        let may_grow = bytes.len() < SHORT_RUN
            || is_nearly_random(bytes)
            || (model.is_some() && !self.options.settings.experts);
        // What has seen nothing is made anew.
        let before = match &self.encoder {
            Some(encoder) if may_grow => Some(encoder.fork()?),
            _ => None,
        };
        let encoder = self.take_encoder()?;
        let trial = match judged {
            None | Some((_, (Verdict::Experts, _))) => {
                Trial::experts(encoder, bytes, filter, progress)?
            }
            Some((model, (Verdict::Model, streams))) => {
                Trial::model(encoder, model, streams, bytes, progress)?
            }
            Some((model, (Verdict::Open, streams))) => {
                let encoders = (encoder.fork()?, encoder);
                self.try_both(encoders, model, Some(streams), bytes, progress)?
            }
        };
        if may_grow && trial.len() >= bytes.len() {
            drop(trial);
            self.encoder = before;
            return self.store(bytes);
        }
        Ok(self.keep(trial))
    }

    /// Codes a sample of `text` with and without the model, by encoders that have seen what came
    /// before. Returns what the sample recommends, and the number of streams for all of `text` if
    /// the model codes it.
    fn judge(
        &self,
        model: &TrialModel,
        text: &[u8],
        progress: OnProgress<'_>,
    ) -> Result<(Verdict, usize), CodecError> {
        // A sample is no progress, but it can be cancelled.
        let mut unheard = |_, _| progress(0, 0);
        let sample = sample(text);
        // The rule on streams is about experts that have seen nothing.
        let new = Trial::experts(self.new_encoder()?, &sample, None, &mut unheard)?.len();
        let text_len = new as u64 * text.len() as u64 / sample.len() as u64;
        let streams = self.streams(model, text_len);
        if !self.options.settings.experts {
            return Ok((Verdict::Model, streams));
        }
        if text.len() <= SAMPLE {
            return Ok((Verdict::Open, streams));
        }
        let (experts, for_model) = match &self.encoder {
            None => (new, self.new_encoder()?),
            Some(encoder) => {
                let experts = Trial::experts(encoder.fork()?, &sample, None, &mut unheard)?;
                (experts.len(), encoder.fork()?)
            }
        };
        let with_model = Trial::model(for_model, model, 1, &sample, &mut unheard)?.len();
        Ok((
            verdict(self.options.wanted_gain, experts, with_model),
            streams,
        ))
    }

    /// Streams for a run that the experts alone code in `experts_len` bytes.
    fn streams(&self, model: &TrialModel, experts_len: u64) -> usize {
        let model_bytes = model.runtime.model().size();
        self.options.streams.number(model_bytes, experts_len)
    }

    /// Codes a run with the experts alone and then with the model, by two encoders that have seen
    /// the same. Keeps the model if it reaches the wanted gain, or if the experts are switched off.
    /// Without `streams`, the number follows from what the experts need.
    fn try_both(
        &self,
        (for_experts, for_model): (BlockEncoder, BlockEncoder),
        model: &TrialModel,
        streams: Option<usize>,
        bytes: &[u8],
        progress: OnProgress<'_>,
    ) -> Result<Trial, CodecError> {
        let mut course = Course::default();
        let experts = Trial::experts(for_experts, bytes, None, &mut |original, coded| {
            course.note(original, coded);
            progress(0, 0)
        })?;
        let streams = streams.unwrap_or_else(|| self.streams(model, experts.len() as u64));
        if !self.options.settings.experts {
            return Trial::model(for_model, model, streams, bytes, progress);
        }
        let wanted = self.options.wanted_gain;
        let mut watch = Watch::new(wanted, bytes.len(), experts.len(), course, streams);
        let watched = &mut |original, coded| match watch.ends(original, coded) {
            true => ControlFlow::Break(()),
            false => progress(original, coded),
        };
        match Trial::model(for_model, model, streams, bytes, watched) {
            Ok(trial) if wanted.is_reached(experts.len(), trial.len()) => Ok(trial),
            Ok(_) => Ok(experts),
            Err(CodecError::Cancelled) if watch.has_ended() => Ok(experts),
            Err(error) => Err(error),
        }
    }

    fn keep(&mut self, trial: Trial) -> Block {
        self.encoder = Some(trial.encoder);
        trial.block
    }

    fn store(&mut self, bytes: &[u8]) -> Result<Block, CodecError> {
        let mut encoder = self.take_encoder()?;
        encoder.pass_raw(bytes)?;
        self.encoder = Some(encoder);
        Ok(Block::raw(bytes.to_vec()))
    }

    fn take_encoder(&mut self) -> Result<BlockEncoder, CodecError> {
        match self.encoder.take() {
            Some(encoder) => Ok(encoder),
            None => self.new_encoder(),
        }
    }

    /// An encoder that has seen nothing but the prime.
    fn new_encoder(&self) -> Result<BlockEncoder, CodecError> {
        let runtime = self.options.model.as_ref().map(|model| &model.runtime);
        let settings = self.options.settings;
        let prime = self.options.prime.as_ref();
        let mut encoder = BlockEncoder::new(settings, runtime, prime)?;
        if let Some(costs) = &self.options.costs {
            encoder.record_costs(costs.clone());
        }
        Ok(encoder)
    }
}

/// A run coded in one mode, and the encoder that coded it.
struct Trial {
    encoder: BlockEncoder,
    block: Block,
}

impl Trial {
    /// Codes `bytes` with the experts alone, rewritten by `filter` if that is given.
    fn experts(
        mut encoder: BlockEncoder,
        bytes: &[u8],
        filter: Option<BranchFilter>,
        progress: OnProgress<'_>,
    ) -> Result<Trial, CodecError> {
        let coded = encoder.experts(bytes, filter, progress)?;
        // A run lies in a block, whose length fits.
        let block = Block::coded(Mode::Experts, bytes.len() as u32, coded).filtered(filter);
        Ok(Trial { encoder, block })
    }

    /// Codes `bytes` with the model, in at most `streams` streams.
    fn model(
        mut encoder: BlockEncoder,
        model: &TrialModel,
        streams: usize,
        bytes: &[u8],
        progress: OnProgress<'_>,
    ) -> Result<Trial, CodecError> {
        let streams: Vec<Stream> = (cut(bytes, streams).into_iter())
            .map(|part| Stream {
                len: part.len(),
                symbols: (model.tokenize)(&bytes[part]),
            })
            .collect();
        let coded = encoder.model(&streams, progress)?;
        let lens: Vec<u32> = streams.iter().map(|stream| stream.len as u32).collect();
        let block = Block::in_streams(Mode::Model, &lens, coded);
        Ok(Trial { encoder, block })
    }

    /// Coded bytes.
    fn len(&self) -> usize {
        self.block.payload.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, EngineOptions};
    use crate::packed::PackedModel;
    use crate::predict::Preset;

    fn unheard(_: usize, _: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn settings(with_model: bool) -> Settings {
        Settings {
            experts: true,
            preset: Preset::Normal,
            with_model,
        }
    }

    fn model() -> TrialModel {
        let bytes = include_bytes!("../../../fixtures/fixture.llmzmodel");
        let packed = Arc::new(PackedModel::from_bytes(bytes).unwrap());
        let options = EngineOptions {
            threads: 1,
            ..EngineOptions::default()
        };
        let vocabulary = Arc::clone(&packed);
        let spell = move |byte: &u8| match vocabulary.tokens().find(&[*byte]) {
            Some(row) => Symbol::Token(row),
            None => Symbol::Byte(*byte),
        };
        TrialModel {
            runtime: Arc::new(Engine::new(packed, options).unwrap()),
            tokenize: Arc::new(move |bytes| bytes.iter().map(&spell).collect()),
        }
    }

    #[test]
    fn a_model_that_codes_nothing_is_an_error_and_no_block() {
        let encoder = BlockEncoder::new(settings(false), None, None).unwrap();
        let trial = Trial::model(encoder, &model(), 1, b"some text", &mut unheard);
        assert!(matches!(trial.err(), Some(CodecError::NoModel)));
    }

    #[test]
    fn a_block_has_the_mode_that_coded_it() {
        let encoder = |model: &TrialModel| {
            BlockEncoder::new(settings(true), Some(&model.runtime), None).unwrap()
        };
        let (model, text) = (model(), b"some text, and some more text");
        let experts = Trial::experts(encoder(&model), text, None, &mut unheard).unwrap();
        let with_model = Trial::model(encoder(&model), &model, 2, text, &mut unheard).unwrap();
        assert_eq!(experts.block.mode, Mode::Experts);
        assert_eq!(with_model.block.mode, Mode::Model);
        assert_eq!(with_model.block.streams.len(), 2);
        for block in [experts.block, with_model.block] {
            assert_eq!(block.original_len as usize, text.len());
        }
    }

    fn trials(model: Option<TrialModel>, wanted_gain: u16) -> Trials {
        Trials::new(TrialOptions {
            settings: settings(model.is_some()),
            model,
            wanted_gain: WantedGain::new(wanted_gain),
            streams: Streams::default(),
            independent_blocks: false,
            prime: None,
            costs: None,
        })
    }

    /// Coded bytes of `text` with the experts alone and with the model, by copies of `encoder`.
    fn lens(encoder: &BlockEncoder, model: &TrialModel, text: &[u8]) -> (usize, usize) {
        let fork = || encoder.fork().unwrap();
        let experts = Trial::experts(fork(), text, None, &mut unheard).unwrap();
        let with_model = Trial::model(fork(), model, 1, text, &mut unheard).unwrap();
        (experts.len(), with_model.len())
    }

    /// Whole thousandths that the model gains, if it gains any.
    fn gain((experts, with_model): (usize, usize)) -> u16 {
        ((experts - with_model) * 1000 / experts) as u16
    }

    /// Two texts that the fixture model makes shorter.
    const FIRST: &[u8] = include_bytes!("../../../tests/golden/text.txt");
    const SECOND: &[u8] = include_bytes!("../../../LICENSE-MIT");

    #[test]
    fn a_block_goes_to_the_experts_where_the_model_gains_less_than_is_wanted() {
        let model = model();
        let new = BlockEncoder::new(settings(true), Some(&model.runtime), None).unwrap();
        let (experts, with_model) = lens(&new, &model, FIRST);
        let gain = gain((experts, with_model));
        assert!(gain > 0, "{experts} {with_model}");
        for (wanted, mode, len) in [
            (0, Mode::Model, with_model),
            (gain, Mode::Model, with_model),
            (gain + 1, Mode::Experts, experts),
            (1000, Mode::Experts, experts),
        ] {
            let mut trials = trials(Some(model.clone()), wanted);
            let block = trials.code(FIRST, Class::Text, &mut unheard).unwrap().block;
            assert_eq!((block.mode, block.payload.len()), (mode, len), "{wanted}");
        }
    }

    #[test]
    fn a_later_block_is_judged_by_what_the_encoder_has_learned() {
        let model = model();
        let new = BlockEncoder::new(settings(true), Some(&model.runtime), None).unwrap();
        let (experts, with_model) = lens(&new, &model, SECOND);
        assert!(with_model < experts, "{experts} {with_model}");
        for (first, second) in [(FIRST, SECOND), (SECOND, FIRST)] {
            let learned = Trial::model(new.fork().unwrap(), &model, 1, first, &mut unheard);
            let (experts, with_model) = lens(&learned.unwrap().encoder, &model, second);
            // After the first text, the experts alone need less for the second one.
            assert!(
                second == FIRST || experts < with_model,
                "{experts} {with_model}"
            );
            let (mode, len) = match with_model < experts {
                true => (Mode::Model, with_model),
                false => (Mode::Experts, experts),
            };
            let mut trials = trials(Some(model.clone()), 0);
            let block = trials.code(first, Class::Text, &mut unheard).unwrap().block;
            assert_eq!(block.mode, Mode::Model);
            let block = trials
                .code(second, Class::Text, &mut unheard)
                .unwrap()
                .block;
            assert_eq!((block.mode, block.payload.len()), (mode, len));
        }
    }

    #[test]
    fn an_encoder_without_experts_keeps_to_the_model() {
        let mut options = trials(Some(model()), 1000).options;
        options.settings.experts = false;
        let mut trials = Trials::new(options);
        for text in [FIRST, SECOND] {
            let block = trials.code(text, Class::Text, &mut unheard).unwrap().block;
            assert_eq!(block.mode, Mode::Model);
        }
    }

    #[test]
    fn what_a_model_alone_makes_longer_is_stored() {
        let mut options = trials(Some(model()), 0).options;
        options.settings.experts = false;
        let mut trials = Trials::new(options);
        let mut state = 1u32;
        let rare: Vec<u8> = (0..8_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                b"\x1b\x0cQXZ\xc3\x9f~"[(state >> 29) as usize]
            })
            .collect();
        for text in [FIRST, &rare, &rare, SECOND] {
            let block = trials.code(text, Class::Text, &mut unheard).unwrap().block;
            let stored = block.mode == Mode::Raw;
            assert_eq!(stored, text == rare);
            assert!(block.payload.len() <= text.len());
        }
    }

    #[test]
    fn the_shortest_mode_is_kept_and_what_grows_is_stored() {
        let mut trials = trials(None, 0);
        let mut mode = |bytes: &[u8]| {
            let run = trials.code(bytes, Class::Binary, &mut unheard).unwrap();
            (run.block.mode, run.block.payload.len())
        };
        assert_eq!(mode(b"x"), (Mode::Raw, 1));
        let (coded, len) = mode(&b"ab".repeat(500));
        assert!(coded == Mode::Experts && len < 100);
        assert_eq!(mode(&[0xf3, 0x17]), (Mode::Raw, 2));
    }

    #[test]
    fn a_progress_callback_cancels() {
        let bytes = b"some words, ".repeat(3_000);
        let encoder = BlockEncoder::new(settings(false), None, None).unwrap();
        let trial = Trial::experts(encoder, &bytes, None, &mut |_, _| ControlFlow::Break(()));
        assert!(matches!(trial.err(), Some(CodecError::Cancelled)));
    }
}
