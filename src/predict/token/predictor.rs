//! The distribution over the next token: the language model's distribution, corrected by output
//! bias and recall.

use super::bias::{self, ModelWeights, OutputBias, TokenOf};
use super::{Recall, Recalled, Weights};
use crate::machine::float_environment::FloatEnvironment;
use crate::machine::instructions::InstructionSet;
use crate::machine::pool::{self, Pool};
use crate::machine::{MachineError, memory};
use crate::predict::TokenFacts;
use crate::predict::kernels::distribution::GROUP;

/// What memory is asked for.
const WHAT: &str = "the streams of a block";

/// Rows of the vocabulary whose steps a thread sums at a time.
const ROWS_AT_ONCE: usize = 256 * GROUP;

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

/// What the language model says of the next token of a stream.
#[derive(Clone, Copy, Debug)]
pub struct NextToken<'a> {
    /// The number of the stream.
    pub stream: usize,
    /// In log2 units of 2^-16, one for each output row.
    pub logits: &'a [i32],
    /// The model's state.
    pub state: &'a [i8],
}

/// The distribution over the next token: the model's weights with what recall adds to them.
#[derive(Clone, Copy, Debug)]
pub struct Distribution<'a> {
    model: &'a Weights,
    recalled: Option<&'a Recalled>,
}

impl<'a> Distribution<'a> {
    /// The model's weights alone.
    pub fn new(model: &'a Weights) -> Distribution<'a> {
        Distribution {
            model,
            recalled: None,
        }
    }

    /// The sum of the weights of all rows below `row`.
    pub fn sum_below(self, row: usize) -> u64 {
        let added = self.recalled.map_or(0, |found| found.sum_below(row));
        self.model.sum_below(row) + added
    }

    /// The model's weights, biases included. The largest is 2^24.
    pub fn model(self) -> &'a Weights {
        self.model
    }
}

/// Predicts token after token of a frame.
///
/// In a block of few streams, the streams learn turn by turn: each token is predicted with all that
/// the tokens before it have taught. In a block of many streams they learn by rounds: what a token
/// teaches is learned at the end of its round. So the tokens of a round can be predicted by several
/// threads, and what they teach the streams in common is summed once.
pub struct TokenPredictor {
    instructions: InstructionSet,
    vocabulary: usize,
    /// What has been learned from the file; `None` without experts.
    learned: Option<Learned>,
    /// The latest token of each stream if they learn by rounds; otherwise the latest of all.
    turns: Vec<Turn>,
    by_rounds: bool,
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
    /// The sum of the steps that the tokens of a round ask for; empty unless streams learn by
    /// rounds.
    steps: Vec<i32>,
}

/// What belongs to one stream.
#[derive(Clone)]
struct StreamLearned {
    bias: OutputBias,
    /// Its latest token, or the one pending at the beginning of the block.
    last: u32,
}

/// A token that has been predicted.
#[derive(Clone)]
struct Turn {
    /// The model's distribution, biases included.
    model: ModelWeights,
    recalled: Recalled,
    /// The token that came, from when it is known until it is learned.
    row: Option<u32>,
}

impl Turn {
    fn new(vocabulary: usize) -> Result<Turn, MachineError> {
        Ok(Turn {
            model: ModelWeights::new(vocabulary)?,
            recalled: Recalled::default(),
            row: None,
        })
    }

    /// Predicts the token that `next` describes.
    fn predict(
        &mut self,
        instructions: InstructionSet,
        learned: Option<&Learned>,
        next: NextToken<'_>,
    ) {
        let NextToken { logits, state, .. } = next;
        let Some(learned) = learned else {
            (self.model).set(|weights| weights.set(instructions, logits, None));
            return;
        };
        let StreamLearned { bias, last } = &learned.streams[next.stream];
        let bias = Some(bias.values());
        let chain = Some(learned.recall.choose(*last, &mut self.recalled));
        (self.model).set(|weights| weights.set_and_follow(instructions, logits, bias, chain));
        let total = self.model.weights().total();
        (learned.recall).find(state, total, &mut self.recalled);
    }
}

impl TokenPredictor {
    /// A predictor that has seen nothing. Without `experts` it passes on the model's distribution.
    ///
    /// # Errors
    /// If there is no memory, or `LLMZIP_KERNELS` names instructions that cannot be had.
    pub fn new(sizes: ModelSizes, experts: bool) -> Result<TokenPredictor, MachineError> {
        let instructions = InstructionSet::choose()?;
        let learned = match experts {
            false => None,
            true => Some(Learned {
                recall: Recall::new(instructions, sizes.hidden, sizes.inputs)?,
                streams: vec![StreamLearned {
                    bias: OutputBias::new(sizes.vocabulary)?,
                    last: 0,
                }],
                steps: Vec::new(),
            }),
        };
        Ok(TokenPredictor {
            instructions,
            vocabulary: sizes.vocabulary,
            learned,
            turns: vec![Turn::new(sizes.vocabulary)?],
            by_rounds: false,
        })
    }

    /// A copy that has learned the same.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn try_clone(&self) -> Result<TokenPredictor, MachineError> {
        let learned = match &self.learned {
            None => None,
            Some(Learned {
                recall,
                streams,
                steps,
            }) => Some(Learned {
                recall: recall.try_clone()?,
                streams: streams.clone(),
                steps: steps.clone(),
            }),
        };
        Ok(TokenPredictor {
            learned,
            turns: self.turns.clone(),
            ..*self
        })
    }

    /// Begins a block of `streams` streams that learn turn by turn; `pending` is the token that the
    /// first prediction follows. Every stream begins with the bias of the last stream of the block
    /// before.
    pub fn begin_block(&mut self, streams: usize, pending: u32) {
        if let Some(learned) = &mut self.learned
            && let Some(mut last) = learned.streams.pop()
        {
            last.last = pending;
            learned.streams.resize(streams, last);
        }
    }

    /// Splits the only stream of a block into `streams` streams that learn by rounds. Every stream
    /// begins with what the only one has learned.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn split(&mut self, streams: usize) -> Result<(), MachineError> {
        self.by_rounds = true;
        for _ in 1..streams {
            self.turns.push(Turn::new(self.vocabulary)?);
            if let Some(learned) = &mut self.learned {
                let StreamLearned { bias, last } = &learned.streams[0];
                let (bias, last) = (bias.try_clone()?, *last);
                learned.streams.push(StreamLearned { bias, last });
            }
        }
        if let Some(learned) = &mut self.learned {
            learned.steps = memory::filled(WHAT, self.vocabulary, 0)?;
        }
        Ok(())
    }

    /// Ends a block. Of what its streams have learned each for itself, only that of the last stays.
    pub fn end_block(&mut self) {
        self.turns.truncate(1);
        self.by_rounds = false;
        if let Some(learned) = &mut self.learned {
            learned.streams.drain(..learned.streams.len() - 1);
            learned.steps = Vec::new();
        }
    }

    /// Bytes that a stream which learns by rounds takes, for a vocabulary of `vocabulary` tokens.
    pub fn bytes_of_stream(vocabulary: usize) -> usize {
        ModelWeights::bytes(vocabulary) + vocabulary * size_of::<i32>()
    }

    /// Predicts the next token of a stream, where streams learn turn by turn.
    pub fn predict(&mut self, next: NextToken<'_>) {
        let _environment = FloatEnvironment::enter();
        self.turns[0].predict(self.instructions, self.learned.as_ref(), next);
    }

    /// Predicts the next tokens of several streams, in ascending order, where streams learn by
    /// rounds. The threads of `pool` share the work.
    pub fn predict_together(&mut self, next: &[NextToken<'_>], pool: Option<&Pool>) {
        let _environment = FloatEnvironment::enter();
        let mut wanted = next.iter().peekable();
        let turns = self.turns.iter_mut().enumerate();
        let mut turns: Vec<_> = turns
            .filter_map(|(stream, turn)| {
                let next = wanted.next_if(|next| next.stream == stream)?;
                Some((turn, *next))
            })
            .collect();
        debug_assert_eq!(turns.len(), next.len());
        let (instructions, learned) = (self.instructions, self.learned.as_ref());
        pool::for_each(pool, &mut turns, |(turn, next)| {
            turn.predict(instructions, learned, *next);
        });
    }

    fn turn(&self, stream: usize) -> &Turn {
        &self.turns[if self.by_rounds { stream } else { 0 }]
    }

    /// The distribution of the token predicted last for `stream`.
    pub fn distribution(&self, stream: usize) -> Distribution<'_> {
        let Turn {
            model, recalled, ..
        } = self.turn(stream);
        Distribution {
            model: model.weights(),
            recalled: self.learned.as_ref().map(|_| recalled),
        }
    }

    /// The properties of that distribution that the experts are told.
    pub fn facts(&self, stream: usize) -> TokenFacts {
        TokenFacts::new(self.turn(stream).model.weights().total())
    }

    /// Takes note that the token predicted last for `stream` is `row`, and learns it, unless
    /// streams learn by rounds.
    pub fn learn(&mut self, stream: usize, row: u32) {
        if self.by_rounds {
            self.turns[stream].row = Some(row);
            return;
        }
        let Some(Learned {
            recall, streams, ..
        }) = &mut self.learned
        else {
            return;
        };
        let Turn {
            model, recalled, ..
        } = &self.turns[0];
        for (index, other) in streams.iter_mut().enumerate() {
            // The streams of a block are about different things, but not quite.
            let token_of = match index == stream {
                true => TokenOf::ThisStream,
                false => TokenOf::AnotherStream,
            };
            other.bias.update(self.instructions, model, row, token_of);
        }
        streams[stream].last = row;
        recall.learn(recalled, model.weight(row), row);
    }

    /// Ends a round: learns what has come since the round before. The threads of `pool` share the
    /// work.
    pub fn end_round(&mut self, pool: Option<&Pool>) {
        if let Some(learned) = self.learned.as_mut().filter(|_| self.by_rounds) {
            learned.learn_round(self.instructions, &self.turns, pool);
        }
        self.turns.iter_mut().for_each(|turn| turn.row = None);
    }
}

impl Learned {
    /// Learns from the tokens of a round.
    fn learn_round(&mut self, instructions: InstructionSet, turns: &[Turn], pool: Option<&Pool>) {
        let coded = turns
            .iter()
            .filter_map(|turn| Some((&turn.model, turn.row?)));
        let coded: Vec<(&ModelWeights, u32)> = coded.collect();
        let mut parts: Vec<_> = self.steps.chunks_mut(ROWS_AT_ONCE).enumerate().collect();
        pool::for_each(pool, &mut parts, |(part, steps)| {
            bias::sum_round(instructions, *part * ROWS_AT_ONCE, steps, &coded);
        });
        let (steps, count) = (&self.steps, self.streams.len());
        let mut streams: Vec<_> = self.streams.iter_mut().zip(turns).collect();
        pool::for_each(pool, &mut streams, |(stream, turn)| {
            stream.bias.take_steps(instructions, steps, count);
            if let Some(row) = turn.row {
                let this = TokenOf::ThisStream;
                (stream.bias).update(instructions, &turn.model, row, this);
                stream.last = row;
            }
        });
        for turn in turns {
            if let Some(row) = turn.row {
                (self.recall).learn(&turn.recalled, turn.model.weight(row), row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAMS: usize = 21;
    const SIZES: ModelSizes = ModelSizes {
        // More rows than one thread sums at a time.
        vocabulary: ROWS_AT_ONCE + 100,
        inputs: ROWS_AT_ONCE + 100,
        hidden: 8,
    };

    /// Pseudo-random numbers below `limit`.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(11);
            (self.0 >> 33) % limit
        }
    }

    /// What a model might say: a few probable rows among many.
    fn prediction(random: &mut Random) -> (Vec<i32>, Vec<i8>) {
        let mut logits: Vec<i32> = (0..SIZES.vocabulary)
            .map(|_| random.below(9 << 16) as i32)
            .collect();
        for _ in 0..5 {
            logits[random.below(SIZES.vocabulary as u64) as usize] += 10 << 16;
        }
        let state = (0..SIZES.hidden).map(|_| random.below(255) as i8);
        (logits, state.collect())
    }

    /// The stream of a token, what was predicted, and its row.
    type Token = (usize, (Weights, Recalled), u32);

    /// Learning by rounds as docs/PREDICTOR.md has it.
    struct Plain {
        biases: Vec<Vec<i64>>,
        lasts: Vec<u32>,
        recall: Recall,
    }

    impl Plain {
        fn predict(&self, stream: usize, logits: &[i32], state: &[i8]) -> (Weights, Recalled) {
            let logits = logits.iter().zip(&self.biases[stream]);
            let sums: Vec<i32> = logits.map(|(l, b)| l + *b as i32).collect();
            let mut model = Weights::new(sums.len()).unwrap();
            model.set(InstructionSet::PORTABLE, &sums, None);
            let mut recalled = Recalled::default();
            (self.recall.choose(self.lasts[stream], &mut recalled)).follow(usize::MAX);
            self.recall.find(state, model.total(), &mut recalled);
            (model, recalled)
        }

        fn learn(&mut self, tokens: &[Token]) {
            let rate = 9455;
            let step = |model: &Weights, row: usize| {
                let unit = (rate << 32) / model.total();
                ((u64::from(model.rows()[row]) * unit) >> 32) as i64
            };
            let bounded = |value: i64| value.clamp(-(1 << 20), 1 << 20);
            for row in 0..SIZES.vocabulary {
                let steps = tokens.iter().map(|(_, (model, _), came)| {
                    let came = *came as usize == row;
                    step(model, row) - if came { rate as i64 } else { 0 }
                });
                let sum: i64 = steps.sum();
                for bias in &mut self.biases {
                    bias[row] = bounded(bias[row] - (sum >> ((STREAMS - 1).ilog2() - 3)));
                }
            }
            for (stream, (model, recalled), row) in tokens {
                let bias = &mut self.biases[*stream];
                for (row, value) in bias.iter_mut().enumerate() {
                    *value = bounded(*value - step(model, row));
                }
                bias[*row as usize] = bounded(bias[*row as usize] + rate as i64);
                self.lasts[*stream] = *row;
                let weight = u64::from(model.rows()[*row as usize]);
                self.recall.learn(recalled, weight, *row);
            }
        }
    }

    #[test]
    fn rounds_teach_what_the_plain_rule_says_with_any_number_of_threads() {
        let pools = [None, Some(Pool::new(1)), Some(Pool::new(3))];
        let mut predictors: Vec<TokenPredictor> = (pools.iter())
            .map(|_| {
                let mut predictor = TokenPredictor::new(SIZES, true).unwrap();
                predictor.begin_block(1, 3);
                predictor.split(STREAMS).unwrap();
                predictor
            })
            .collect();
        let mut plain = Plain {
            biases: vec![vec![0; SIZES.vocabulary]; STREAMS],
            lasts: vec![3; STREAMS],
            recall: Recall::new(InstructionSet::PORTABLE, SIZES.hidden, SIZES.inputs).unwrap(),
        };
        let mut random = Random(5);
        for round in 0..8 {
            // In each round another stream is complete.
            let streams = (0..STREAMS).filter(|stream| *stream != round);
            let asked: Vec<_> = streams
                .map(|stream| (stream, prediction(&mut random)))
                .collect();
            let next: Vec<NextToken<'_>> = (asked.iter())
                .map(|(stream, (logits, state))| NextToken {
                    stream: *stream,
                    logits,
                    state,
                })
                .collect();
            let mut tokens = Vec::new();
            for next in &next {
                let predicted = plain.predict(next.stream, next.logits, next.state);
                // Few rows, so that recall finds something; at times a turn has no token.
                let row = random.below(4) as u32;
                if row > 0 || round % 2 == 0 {
                    tokens.push((next.stream, predicted, row));
                }
            }
            for (predictor, pool) in predictors.iter_mut().zip(&pools) {
                // As two groups of streams.
                let (first, second) = next.split_at(9);
                predictor.predict_together(first, pool.as_ref());
                predictor.predict_together(second, pool.as_ref());
                for (stream, (model, recalled), row) in &tokens {
                    let found = predictor.distribution(*stream);
                    let rows = model.rows();
                    assert!(
                        found.model().rows() == rows,
                        "round {round}, stream {stream}"
                    );
                    for row in 0..=rows.len() {
                        let sum = model.sum_below(row) + recalled.sum_below(row);
                        assert_eq!(found.sum_below(row), sum, "round {round}");
                    }
                    predictor.learn(*stream, *row);
                }
                predictor.end_round(pool.as_ref());
            }
            plain.learn(&tokens);
        }
    }
}
