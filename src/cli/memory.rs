//! The most memory that a run needs, and the check that it is allowed.

use llmzip::codec::{bytes_of_logits, bytes_of_streams};
use llmzip::engine::recurrent_state_len;
use llmzip::predict::Settings;
use llmzip::report::numbers;
use llmzip::{EncoderOptions, Model, Preset};

use super::failure::Failure;

const MIB: u64 = 1 << 20;
/// All adaptive experts without a model, and the light ones.
const EXPERTS_ALONE: u64 = 212 * MIB;
const LIGHT_EXPERTS: u64 = 24 * MIB;
/// The adaptive experts beside a model, the states recalled from the past included.
const EXPERTS: u64 = 88 * MIB;
/// What they need in addition for each row of the vocabulary: an output bias for each stream of a
/// block of few.
const EXPERTS_PER_ROW: u64 = 128;
/// Most copies of the experts at one time: those that coded the blocks so far, and one in each of
/// the trials with and without the model.
const COPIES_OF_EXPERTS: u64 = 3;
/// The same without a model: those that coded the blocks so far, and those that code a block that
/// may be stored instead.
const COPIES_OF_EXPERTS_ALONE: u64 = 2;
/// The program itself, buffers of files, stacks of threads.
const REST: u64 = 12 * MIB;
/// Most frames in the hands of a worker and in line before and behind it: the original or the
/// compressed bytes of two, and the original bytes of the one that it codes.
const FRAMES_PER_WORKER: u64 = 3;
/// Most copies of a block at one time: the original, its payload and what planning makes of it.
const COPIES_OF_A_BLOCK: u64 = 4;

/// The limit that `-M` sets.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemoryLimit(pub(super) Option<u64>);

/// What a run uses.
pub(super) struct Use<'a> {
    pub(super) model: Option<&'a Model>,
    /// The experts.
    pub(super) settings: Settings,
    /// Original bytes that it holds at a time.
    pub(super) held_len: u64,
    /// Most streams of a block.
    pub(super) streams: usize,
    /// Bytes of primes, if there are any.
    pub(super) primes: u64,
    /// Frames that are coded at the same time.
    pub(super) workers: usize,
    /// Original bytes of the longest frame, if frames are coded at the same time.
    pub(super) frame_len: u64,
}

impl MemoryLimit {
    /// Refuses a run that would need more.
    pub(super) fn check(self, run: &Use<'_>) -> Result<(), Failure> {
        self.allow("", run.memory(), run.model.is_some())
    }

    /// As many frames at the same time as `run` has workers and this limit allows, at least one.
    pub(super) fn most_workers(self, run: &Use<'_>) -> usize {
        let fits = |workers: &usize| {
            let run = Use {
                workers: *workers,
                ..*run
            };
            self.0.is_none_or(|limit| run.memory() <= limit)
        };
        (2..=run.workers).rev().find(fits).unwrap_or(1)
    }

    /// Refuses if the limit is too low to decompress any file.
    pub(super) fn check_any_file(self) -> Result<(), Failure> {
        self.allow("at least ", REST, false)
    }

    fn allow(self, least: &str, needed: u64, with_model: bool) -> Result<(), Failure> {
        let Some(limit) = self.0.filter(|&limit| limit < needed) else {
            return Ok(());
        };
        let hint = if with_model {
            "; a smaller model needs less"
        } else {
            ""
        };
        Err(Failure::Message(format!(
            "needs {least}{} MB of memory, and -M allows {}{hint}",
            // Whoever allows as much as is shown here allows enough.
            needed.div_ceil(1_000_000),
            numbers::size(limit),
        )))
    }
}

impl<'a> Use<'a> {
    /// What compressing uses.
    pub(super) fn compressing(options: &'a EncoderOptions) -> Use<'a> {
        Use {
            model: options.model.as_deref(),
            settings: options.settings(),
            held_len: options.held_len(),
            streams: options.most_streams(),
            primes: options
                .prime
                .as_ref()
                .map_or(0, |prime| prime.size() as u64),
            workers: options.workers,
            frame_len: options.longest_parallel_frame(),
        }
    }

    /// What the experts use when decompressing, whatever a model beside them uses.
    pub(super) fn experts(settings: Settings, primes: u64) -> Use<'a> {
        Use {
            model: None,
            settings,
            // Blocks are no longer than they were when they were compressed, which is not known.
            held_len: 0,
            streams: 1,
            primes,
            workers: 1,
            frame_len: 0,
        }
    }

    /// Most bytes of memory that the run takes.
    fn memory(&self) -> u64 {
        let workers = self.workers as u64;
        // What waits for a worker or for the writer, original or compressed.
        let frames = match self.workers {
            0 | 1 => 0,
            _ => (FRAMES_PER_WORKER * workers + 1) * self.frame_len,
        };
        let model = self.model.map_or(0, Model::size) as u64;
        model + self.primes + frames + workers * self.memory_of_a_worker() + REST
    }

    /// What one of several frames takes, beside what they share.
    fn memory_of_a_worker(&self) -> u64 {
        let blocks = COPIES_OF_A_BLOCK * self.held_len;
        let experts = experts(self.settings, self.model);
        // The experts that have learned the primes stay, too.
        let primed = |experts| if self.primes > 0 { experts } else { 0 };
        let Some(model) = self.model else {
            let copies = match self.held_len {
                0 => 1,
                _ => COPIES_OF_EXPERTS_ALONE,
            };
            return copies * experts + primed(experts) + blocks;
        };
        // A frame whose only block does not use the model is coded anew by the experts alone.
        let alone = match self.held_len {
            0 => 0,
            _ => {
                let settings = Settings {
                    with_model: false,
                    ..self.settings
                };
                let alone = self::experts(settings, None);
                alone + primed(alone)
            }
        };
        let packed = model.runtime().model();
        let config = packed.config();
        let positions = (config.window + config.sinks + llmzip::engine::SLACK) as u64;
        // A key and a value have 8 bits for each element. The activations of all layers take less
        // than what one more stream keeps.
        let recurrent = config.block.recurrent.as_ref();
        let recurrent_layers = recurrent.map_or(0, |recurrent| recurrent.layers.len());
        let layers = config.layers - recurrent_layers;
        let stream = 2 * positions * (layers * config.kv_heads * config.head_dim) as u64
            + recurrent_layers as u64 * recurrent.map_or(0, recurrent_state_len);
        let cache = (self.streams as u64 + 1) * stream;
        let copies = alone.max(COPIES_OF_EXPERTS * experts);
        let logits = bytes_of_logits(&**model.runtime(), self.streams) as u64;
        // The experts have at most one block in the works.
        let streams = bytes_of_streams(config.vocab, self.streams) as u64;
        cache + logits + streams + copies + primed(experts) + blocks
    }
}

/// Bytes of a copy of the experts, beside this model if there is one.
fn experts(settings: Settings, model: Option<&Model>) -> u64 {
    let rows = model.map_or(0, |model| model.runtime().model().config().inputs as u64);
    match settings {
        Settings { experts: false, .. } => 0,
        Settings {
            with_model: true, ..
        } => EXPERTS + EXPERTS_PER_ROW * rows,
        Settings {
            preset: Preset::Light,
            ..
        } => LIGHT_EXPERTS,
        _ => EXPERTS_ALONE,
    }
}
