//! The distribution over the next token: the language model's distribution, corrected by output
//! bias and recall.

use super::{OutputBias, Recall, TokenOf};
use crate::machine::MachineError;
use crate::machine::float_environment::FloatEnvironment;
use crate::machine::instructions::InstructionSet;
use crate::predict::TokenFacts;
use crate::predict::kernels::distribution;

/// Sizes of a language model.
#[derive(Clone, Copy, Debug)]
pub struct ModelSizes {
    /// Tokens that can be predicted.
    pub vocabulary: usize,
    /// Tokens that can be fed.
    pub inputs: usize,
    /// Numbers in a state.
    pub hidden: usize,
}

/// Predicts token after token of a frame.
pub struct TokenPredictor {
    instructions: InstructionSet,
    /// What has been learned from the file; `None` without experts.
    learned: Option<Learned>,
    /// Prefix sums of the model's weights, biases included.
    model: Vec<u64>,
    /// The same mixed with what recall finds; empty without experts.
    mixed: Vec<u64>,
}

impl std::fmt::Debug for TokenPredictor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenPredictor").finish_non_exhaustive()
    }
}

/// What has been learned from the file.
struct Learned {
    recall: Recall,
    /// For each stream of the block.
    streams: Vec<StreamLearned>,
}

/// What belongs to one stream.
#[derive(Clone)]
struct StreamLearned {
    bias: OutputBias,
    /// Its latest token, or the one pending at the beginning of the block.
    last: u32,
}

impl TokenPredictor {
    /// A predictor that has seen nothing. Without `experts` it passes on the model's distribution.
    ///
    /// # Errors
    /// If there is no memory, or `LLMZIP_KERNELS` names instructions that cannot be had.
    pub fn new(sizes: ModelSizes, experts: bool) -> Result<TokenPredictor, MachineError> {
        let instructions = InstructionSet::choose()?;
        let sums = vec![0; sizes.vocabulary + 1];
        let learned = match experts {
            false => None,
            true => Some(Learned {
                recall: Recall::new(instructions, sizes.hidden, sizes.inputs)?,
                streams: vec![StreamLearned {
                    bias: OutputBias::new(sizes.vocabulary),
                    last: 0,
                }],
            }),
        };
        Ok(TokenPredictor {
            instructions,
            learned,
            mixed: if experts { sums.clone() } else { Vec::new() },
            model: sums,
        })
    }

    /// A copy that has learned the same.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn try_clone(&self) -> Result<TokenPredictor, MachineError> {
        let learned = match &self.learned {
            None => None,
            Some(Learned { recall, streams }) => Some(Learned {
                recall: recall.try_clone()?,
                streams: streams.clone(),
            }),
        };
        Ok(TokenPredictor {
            instructions: self.instructions,
            learned,
            model: self.model.clone(),
            mixed: self.mixed.clone(),
        })
    }

    /// Begins a block of `streams` streams; `pending` is the token that the first prediction
    /// follows. Every stream begins with the bias of the last stream of the block before.
    pub fn begin_block(&mut self, streams: usize, pending: u32) {
        let Some(learned) = &mut self.learned else {
            return;
        };
        if let Some(mut last) = learned.streams.pop() {
            last.last = pending;
            learned.streams.clear();
            learned.streams.resize(streams, last);
        }
    }

    /// Predicts the next token of `stream` from the language model's `logits`, in log2 units of
    /// 2^-16, and its `state`.
    pub fn predict(&mut self, stream: usize, logits: &[i32], state: &[i8]) {
        let _environment = FloatEnvironment::enter();
        let learned = self.learned.as_ref();
        let bias = learned.map(|learned| learned.streams[stream].bias.values());
        distribution(self.instructions, logits, bias, &mut self.model);
        if let Some(Learned { recall, streams }) = &mut self.learned {
            recall.mix(streams[stream].last, state, &self.model, &mut self.mixed);
        }
    }

    /// The distribution of the token predicted last: exclusive prefix sums of weights, one more
    /// than there are tokens.
    pub fn distribution(&self) -> &[u64] {
        match self.learned {
            Some(_) => &self.mixed,
            None => &self.model,
        }
    }

    /// The model's own distribution, biases included: its largest weight is 2^24.
    pub fn model_distribution(&self) -> &[u64] {
        &self.model
    }

    /// The properties of the distribution that the experts are told.
    pub fn facts(&self) -> TokenFacts {
        TokenFacts::new(&self.model)
    }

    /// Learns that the token predicted last, of `stream`, is `row`.
    pub fn learn(&mut self, stream: usize, row: u32) {
        let Some(Learned { recall, streams }) = &mut self.learned else {
            return;
        };
        for (index, other) in streams.iter_mut().enumerate() {
            // The streams of a block are about different things, but not quite.
            let token_of = match index == stream {
                true => TokenOf::ThisStream,
                false => TokenOf::AnotherStream,
            };
            other.bias.update(&self.model, row, token_of);
        }
        streams[stream].last = row;
        recall.learn(&self.model, row);
    }
}
