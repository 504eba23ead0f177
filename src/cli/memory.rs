//! The most memory that a run needs, and the check that it is allowed.

use llmzip::Model;
use llmzip::report::numbers;

use super::failure::Failure;

const MIB: u64 = 1 << 20;
/// The adaptive experts without a model. (Measured for whole runs: 203 MB.)
const EXPERTS_ALONE: u64 = 256 * MIB;
/// The adaptive experts beside a model, the states recalled from the past included.
const EXPERTS: u64 = 88 * MIB;
/// What they need in addition for each row of the vocabulary: an output bias for each stream.
const EXPERTS_PER_ROW: u64 = 128;
/// Most copies of the experts at one time: those that coded the blocks so far, and one in each of
/// the trials with and without the model.
const COPIES_OF_EXPERTS: u64 = 3;
/// The logits of a slice of a window, and of the next slice, which is computed meanwhile.
const LOGITS: u64 = 2 * 16 * MIB;
/// The program itself, buffers of files, stacks of threads.
const REST: u64 = 16 * MIB;
/// Most copies of a block at one time: the original, its payload and what planning makes of it.
const COPIES_OF_A_BLOCK: u64 = 4;

/// The limit that `-M` sets.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemoryLimit(pub(super) Option<u64>);

impl MemoryLimit {
    /// Refuses a run that would need more, `model` being the model it uses. It holds `held_len`
    /// original bytes at a time.
    pub(super) fn check(
        self,
        model: Option<&Model>,
        held_len: u64,
        streams: usize,
    ) -> Result<(), Failure> {
        self.allow(needed(model, held_len, streams), model.is_some())
    }

    /// Refuses if the limit is too low to decompress any file.
    pub(super) fn check_any_file(self) -> Result<(), Failure> {
        self.allow(EXPERTS + REST, false)
    }

    fn allow(self, needed: u64, with_model: bool) -> Result<(), Failure> {
        let Some(limit) = self.0.filter(|&limit| limit < needed) else {
            return Ok(());
        };
        let hint = if with_model {
            "; a smaller model needs less"
        } else {
            ""
        };
        Err(Failure::Message(format!(
            "needs {} of memory, and -M allows {}{hint}",
            numbers::memory(needed),
            numbers::memory(limit),
        )))
    }
}

/// Most bytes of memory that a run takes.
fn needed(model: Option<&Model>, held_len: u64, streams: usize) -> u64 {
    let blocks = COPIES_OF_A_BLOCK * held_len;
    let Some(model) = model else {
        return EXPERTS_ALONE + blocks + REST;
    };
    let packed = model.runtime().model();
    let config = packed.config();
    let positions = (config.window + config.sinks + llmzip::engine::SLACK) as u64;
    // A key and a value have 8 bits for each element. The activations of all layers take less than
    // the keys and values of one more stream.
    let stream = 2 * positions * (config.layers * config.kv_heads * config.head_dim) as u64;
    let cache = (streams as u64 + 1) * stream;
    let experts = COPIES_OF_EXPERTS * (EXPERTS + EXPERTS_PER_ROW * config.inputs as u64);
    packed.size() as u64 + cache + LOGITS + experts + blocks + REST
}
