//! Time that the coder takes for a token, without the language model.
//!
//!     cargo bench --bench coder -- [--streams N] [--threads N] [--head BYTES] MODEL FILE
//!
//! MODEL is the path of a packed model or the name of a built-in one. The engine predicts the first
//! tokens of FILE once; afterwards a runtime that answers at once gives these predictions again and
//! again, while all of FILE is encoded as one block. Prints nanoseconds a token: of the whole
//! coder, and of two of its parts alone, which threads share in a block of many streams: the
//! distributions, and what they learn. The rest is what one thread does after another: the way to
//! the token, the experts and the range coder.

use std::any::Any;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use llmzip::Model;
use llmzip::codec::encode::{BlockEncoder, Stream};
use llmzip::codec::plan;
use llmzip::codec::{Symbol, learn_by_rounds};
use llmzip::engine::{Engine, EngineError, EngineOptions, Predictions, Runtime, Segment, State};
use llmzip::machine::pool::Pool;
use llmzip::packed::PackedModel;
use llmzip::predict::{ModelSizes, NextToken, Preset, Settings, TokenPredictor};
use llmzip::store::embedded;

/// Predictions that are given again and again.
const REPLAYED: usize = 512;

/// Rounds of which the shared parts are measured alone.
const ROUNDS: usize = 50;

/// Gives predictions that were made before.
#[derive(Debug)]
struct Replay {
    model: Arc<PackedModel>,
    predictions: Predictions,
    pool: Pool,
}

/// How many tokens a stream has seen.
#[derive(Debug)]
struct Seen(u64);

impl State for Seen {
    fn position(&self) -> u64 {
        self.0
    }

    fn fork(&self) -> Result<Box<dyn State>, EngineError> {
        Ok(Box::new(Seen(self.0)))
    }

    fn truncate(&mut self, position: u64) {
        self.0 = position;
    }

    fn reset(&mut self) {
        self.0 = 0;
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

impl Runtime for Replay {
    fn model(&self) -> &Arc<PackedModel> {
        &self.model
    }

    fn new_state(&self) -> Result<Box<dyn State>, EngineError> {
        Ok(Box::new(Seen(0)))
    }

    fn forward(
        &self,
        segments: &mut [Segment<'_>],
        predictions: &mut Predictions,
    ) -> Result<(), EngineError> {
        let config = self.model.config();
        let (vocab, hidden) = (config.vocab, config.hidden);
        let rows = segments.iter().map(|segment| segment.tokens.len()).sum();
        predictions.resize(rows, vocab, vocab, hidden)?;
        let mut row = 0;
        for (number, segment) in segments.iter_mut().enumerate() {
            for _ in segment.tokens {
                let position = segment.state.position();
                // Streams that are at the same position get different predictions.
                let replayed = (position as usize + number * 37) % REPLAYED;
                let replayed = self.predictions.row(replayed);
                predictions.logits_mut()[row * vocab..][..vocab].copy_from_slice(replayed.logits);
                predictions.state_mut(row).copy_from_slice(replayed.state);
                segment.state.truncate(position + 1);
                row += 1;
            }
        }
        Ok(())
    }

    fn row_cost(&self) -> f32 {
        0.0
    }

    fn pool(&self) -> Option<&Pool> {
        Some(&self.pool)
    }
}

struct Arguments {
    streams: usize,
    threads: usize,
    head: usize,
    rest: Vec<String>,
}

fn arguments() -> Arguments {
    let mut arguments = Arguments {
        streams: 64,
        threads: 1,
        head: usize::MAX,
        rest: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|n| n.parse().ok()).expect("a number");
        match word.as_str() {
            "--bench" => {}
            "--streams" => arguments.streams = number(),
            "--threads" => arguments.threads = number(),
            "--head" => arguments.head = number(),
            _ => arguments.rest.push(word),
        }
    }
    arguments
}

fn main() {
    let arguments = arguments();
    let [model, file] = &arguments.rest[..] else {
        println!("a model and a file are needed; see the head of benches/coder.rs");
        return;
    };
    let packed = match embedded::ALL.iter().find(|one| one.name == model) {
        Some(one) => one.open(),
        None => Arc::new(PackedModel::open(model).expect("a packed model")),
    };
    let mut original = std::fs::read(file).expect("a file");
    original.truncate(arguments.head);
    let tokenizer = Model::new(Arc::clone(&packed), EngineOptions::default(), None);
    let tokenizer = tokenizer.expect("a model that runs");
    let symbols = |part: &[u8]| tokenizer.tokenizer().encode(part);
    let streams = plan::cut(&original, arguments.streams).into_iter();
    let streams: Vec<Stream> = streams
        .map(|part| Stream {
            len: part.len(),
            symbols: symbols(&original[part]),
        })
        .collect();
    let runtime = Replay {
        predictions: predict(&packed, &symbols(&original)),
        model: packed,
        pool: Pool::new(arguments.threads),
    };
    let tokens: usize = (streams.iter().flat_map(|stream| &stream.symbols))
        .filter(|symbol| symbol.token().is_some())
        .count();
    let (distributions, learning) = shared(&runtime, streams.len());
    let all = coding(Arc::new(runtime), &streams);
    let each = |time: Duration, tokens: usize| time.as_nanos() / tokens as u128;
    println!("| streams | threads | tokens | coder, ns a token | distributions | learning |");
    println!("|---|---|---|---|---|---|");
    println!(
        "| {} | {} | {tokens} | {} | {} | {} |",
        streams.len(),
        arguments.threads,
        each(all, tokens),
        each(distributions, streams.len() * ROUNDS),
        each(learning, streams.len() * ROUNDS),
    );
}

/// The engine's predictions of the first tokens.
fn predict(packed: &Arc<PackedModel>, symbols: &[Symbol]) -> Predictions {
    let engine = Engine::new(Arc::clone(packed), EngineOptions::default()).expect("an engine");
    let rows: Vec<u32> = (symbols.iter().filter_map(Symbol::token))
        .cycle()
        .take(REPLAYED)
        .collect();
    let mut state = engine.new_state().expect("memory for a state");
    let mut predictions = Predictions::new();
    let segment = Segment {
        state: &mut *state,
        tokens: &rows,
    };
    let run = engine.forward(&mut [segment], &mut predictions);
    run.expect("memory for a pass");
    predictions
}

/// The time of encoding `streams` as one block, without that of predictions.
fn coding(runtime: Arc<dyn Runtime>, streams: &[Stream]) -> Duration {
    let settings = Settings {
        experts: true,
        preset: Preset::Normal,
        with_model: true,
    };
    let mut encoder = BlockEncoder::new(settings, Some(&runtime), None).expect("an encoder");
    let coded = encoder.model(streams, &mut |_, _| ControlFlow::Continue(()));
    coded.expect("a block");
    encoder.take_times().coder
}

/// The time of predicting tokens of `streams` streams, and that of learning them.
fn shared(runtime: &Replay, streams: usize) -> (Duration, Duration) {
    let config = runtime.model.config();
    let sizes = ModelSizes {
        vocabulary: config.vocab,
        inputs: config.inputs,
        hidden: config.hidden,
    };
    let mut predictor = TokenPredictor::new(sizes, true).expect("a predictor");
    let by_rounds = learn_by_rounds(streams);
    predictor.begin_block(if by_rounds { 1 } else { streams }, 0);
    if by_rounds {
        predictor.split(streams).expect("memory for streams");
    }
    let pool = Some(&runtime.pool);
    let (mut distributions, mut learning) = (Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS {
        let next = (0..streams).map(|stream| {
            let prediction = runtime.predictions.row((stream * 37 + round) % REPLAYED);
            NextToken {
                stream,
                logits: prediction.logits,
                state: prediction.state,
            }
        });
        let next: Vec<NextToken<'_>> = next.collect();
        let at_once = if by_rounds { streams } else { 1 };
        for next in next.chunks(at_once) {
            distributions += timed(|| match next {
                [one] if !by_rounds => predictor.predict(*one),
                many => predictor.predict_together(many, pool),
            });
            for NextToken { stream, .. } in next {
                let favourite = favourite(&predictor, *stream);
                learning += timed(|| predictor.learn(*stream, favourite));
            }
        }
        learning += timed(|| predictor.end_round(pool));
    }
    (distributions, learning)
}

/// The most probable token of a stream.
fn favourite(predictor: &TokenPredictor, stream: usize) -> u32 {
    let weights = predictor.distribution(stream).model().rows().iter();
    let favourite = weights.enumerate().max_by_key(|(_, weight)| *weight);
    favourite.map_or(0, |(row, _)| row as u32)
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
