//! What the next token will be: the language model's distribution, and with experts what this file has taught about the
//! model, a bias on each token ([`OutputBias`]) and what followed where the model was in a like state ([`Recall`]).

use crate::engine::Prediction;
use crate::machine::MachineError;
use crate::machine::float_environment::FloatEnvironment;
use crate::machine::instructions::InstructionSet;
use crate::packed::PackedModel;
use crate::predict::kernels::distribution;
use crate::predict::{OutputBias, Recall, TokenFacts, TokenOf};

/// The next token's distribution, token after token of a frame.
pub struct Outlook {
    instructions: InstructionSet,
    /// Only where experts are.
    lessons: Option<Lessons>,
    /// Prefix sums of the weights of the model, bias included, and of those that are coded with.
    model: Vec<u64>,
    mixed: Vec<u64>,
}

/// What the file has taught.
struct Lessons {
    recall: Recall,
    /// What is each stream's own, of the block at hand.
    own: Vec<Own>,
}

/// Of one stream.
#[derive(Clone)]
struct Own {
    /// How its text differs: streams are about other things, and it follows the latest. It learns half as much from the
    /// others' tokens.
    bias: OutputBias,
    /// Its latest token, or the one pending at the beginning of the block.
    last: u32,
}

impl Outlook {
    /// Nothing is known yet. With `experts`, the file teaches.
    pub fn new(model: &PackedModel, experts: bool) -> Result<Outlook, MachineError> {
        let config = model.config();
        let instructions = InstructionSet::choose()?;
        let sums = vec![0; config.vocab + 1];
        let lessons = match experts {
            false => None,
            true => Some(Lessons {
                recall: Recall::new(instructions, config.hidden, config.inputs)?,
                own: vec![Own {
                    bias: OutputBias::new(config.vocab),
                    last: 0,
                }],
            }),
        };
        Ok(Outlook {
            instructions,
            lessons,
            mixed: if experts { sums.clone() } else { Vec::new() },
            model: sums,
        })
    }

    /// A copy that has learned the same.
    pub fn try_clone(&self) -> Result<Outlook, MachineError> {
        let lessons = match &self.lessons {
            None => None,
            Some(Lessons { recall, own }) => Some(Lessons {
                recall: recall.try_clone()?,
                own: own.clone(),
            }),
        };
        Ok(Outlook {
            instructions: self.instructions,
            lessons,
            model: self.model.clone(),
            mixed: self.mixed.clone(),
        })
    }

    /// A block begins, of so many streams; `pending` is the row that the first prediction follows. All of them begin with the
    /// bias of the last stream before.
    pub fn begin_block(&mut self, streams: usize, pending: u32) {
        if let Some(Lessons { own, .. }) = &mut self.lessons
            && let Some(Own { bias, .. }) = own.pop()
        {
            own.clear();
            own.resize(
                streams,
                Own {
                    bias,
                    last: pending,
                },
            );
        }
    }

    /// Looks ahead to the next token of `stream`, for which the model gives `prediction`.
    pub fn look(&mut self, stream: usize, prediction: Prediction<'_>) {
        let _environment = FloatEnvironment::enter();
        let bias = (self.lessons.as_ref()).map(|lessons| lessons.own[stream].bias.values());
        distribution(self.instructions, prediction.logits, bias, &mut self.model);
        if let Some(Lessons { recall, own }) = &mut self.lessons {
            recall.mix(
                own[stream].last,
                prediction.state,
                &self.model,
                &mut self.mixed,
            );
        }
    }

    /// Prefix sums of the weights of the next token, one more than there are tokens.
    pub fn distribution(&self) -> &[u64] {
        match self.lessons {
            Some(_) => &self.mixed,
            None => &self.model,
        }
    }

    /// The same as the model has it, the greatest weight 2^24.
    pub fn of_model(&self) -> &[u64] {
        &self.model
    }

    /// What the experts are told of it.
    pub fn facts(&self) -> TokenFacts {
        TokenFacts::new(&self.model)
    }

    /// `row` has come in `stream`.
    pub fn learn(&mut self, stream: usize, row: u32) {
        if let Some(Lessons { recall, own }) = &mut self.lessons {
            for (index, Own { bias, .. }) in own.iter_mut().enumerate() {
                let token_of = match index == stream {
                    true => TokenOf::ThisStream,
                    false => TokenOf::AnotherStream,
                };
                bias.update(&self.model, row, token_of);
            }
            own[stream].last = row;
            recall.learn(&self.model, row);
        }
    }
}
