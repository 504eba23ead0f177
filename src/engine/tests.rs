//! Every runtime equals the reference, bit for bit, however its tokens are fed.

use std::any::Any;
use std::sync::Arc;

use proptest::prelude::*;

use super::reference::{self, Output, Reference};
use super::*;
use crate::arch::Block;
use crate::arch::block::{Activation, Local, Mixture, Norm, Norms, Recurrent, Wide};
use crate::arch::config::{Config, TILE, tests::tiny};
use crate::machine::instructions::InstructionSet;
use crate::packed::{PackedModel, random};
use crate::predict::Weights;

/// Models of every shape that the engine has a case for.
pub(crate) fn config() -> impl Strategy<Value = Config> {
    let heads = prop_oneof![
        Just((4, 2, 20)),
        Just((3, 3, 64)),
        Just((6, 1, 80)),
        Just((1, 1, 2)),
        Just((2, 1, 130)),
    ];
    let window = (16usize..70, prop_oneof![Just(0usize), 1usize..=16]);
    let flags = any::<[bool; 3]>();
    let sizes = (1usize..140, 1usize..140, 1usize..4);
    let parts = (heads, window, flags, sizes, block());
    let mixture = prop::option::of((1usize..9, 1usize..9, any::<bool>(), 0usize..3));
    let recurrent = prop::option::of(recurrent());
    (parts, mixture, recurrent).prop_map(|(parts, mixture, recurrent)| {
        let mut config = sizes_and_options(parts);
        if let Some(mixture) = mixture {
            config = with_experts(&config, mixture);
        }
        if let Some(recurrent) = recurrent {
            config = with_recurrence(config, recurrent);
        }
        config
    })
}

/// A recurrence of any shape, in any layers.
fn recurrent() -> impl Strategy<Value = Recurrent> {
    let layers = prop::sample::subsequence(vec![0usize, 1, 2], 1..=3);
    let heads = (1usize..4, 1usize..4);
    let sizes = (1usize..40, 1usize..70, 1usize..=8);
    (layers, heads, sizes).prop_map(|(layers, heads, sizes)| Recurrent {
        layers,
        key_heads: heads.0,
        value_heads: heads.0 * heads.1,
        key_dim: sizes.0,
        value_dim: sizes.1,
        taps: sizes.2,
    })
}

/// The same model with a recurrence in some layers.
fn with_recurrence(mut config: Config, recurrent: Recurrent) -> Config {
    config.block.positions = 0;
    if config.block.norms == Norms::After {
        config.block.norms = Norms::Around;
    }
    config.block.recurrent = Some(Recurrent {
        layers: below(&recurrent.layers, config.layers),
        ..recurrent
    });
    config
}

/// The same model with experts, of which each row takes some.
fn with_experts(config: &Config, experts: (usize, usize, bool, usize)) -> Config {
    let (count, used, normalised, shared) = experts;
    let norms = match config.block.norms {
        Norms::After => Norms::Around,
        other => other,
    };
    Config {
        hidden: config.hidden.next_multiple_of(TILE),
        intermediate: config.intermediate.next_multiple_of(TILE),
        block: Block {
            norms,
            feed_forward_bias: false,
            mixture: Some(Mixture {
                count,
                used: used.min(count),
                normalised,
                shared,
            }),
            ..config.block.clone()
        },
        ..config.clone()
    }
}

type Parts = (
    (usize, usize, usize),
    (usize, usize),
    [bool; 3],
    (usize, usize, usize),
    Block,
);

fn sizes_and_options((heads, window, flags, sizes, block): Parts) -> Config {
    Config {
        arch: "every part".into(),
        heads: heads.0,
        kv_heads: heads.1,
        head_dim: heads.2,
        window: window.0,
        sinks: window.1.min(window.0),
        qk_norm: flags[0],
        attention_bias: flags[1],
        tied: flags[2],
        hidden: sizes.0,
        intermediate: sizes.1,
        layers: sizes.2,
        block: Block {
            // Numbers of layers that this model has.
            unrotated: below(&block.unrotated, sizes.2),
            local: block.local.map(|local| Local {
                layers: below(&local.layers, sizes.2),
                window: local.window.min(window.0),
                ..local
            }),
            ..block
        },
        ..tiny()
    }
}

fn below(numbers: &[usize], end: usize) -> Vec<usize> {
    numbers
        .iter()
        .copied()
        .filter(|number| *number < end)
        .collect()
}

/// Half of the time the plain block, otherwise any options.
fn block() -> impl Strategy<Value = Block> {
    let norm = prop_oneof![Just(Norm::RootMeanSquare), Just(Norm::Layer)];
    let norms = prop_oneof![Just(Norms::Before), Just(Norms::After), Just(Norms::Around)];
    let activation = prop_oneof![
        Just(Activation::Silu),
        Just(Activation::Gelu),
        Just(Activation::GeluTanh),
        Just(Activation::Relu),
        Just(Activation::ReluSquared),
    ];
    let cap = || prop_oneof![Just(0.0f32), Just(5.0f32)];
    let layers = || prop::sample::subsequence(vec![0usize, 1, 2], 0..=3);
    let local = (1usize..40, layers(), any::<bool>());
    let local = local.prop_map(|(window, layers, own_steps)| Local {
        window,
        layers,
        own_steps,
    });
    let local = prop::option::of(local);
    let flags = any::<[bool; 13]>();
    let positions = prop_oneof![Just(0usize), Just(32usize), Just(64usize)];
    let any = (
        norm,
        norms,
        activation,
        (cap(), cap(), positions),
        local,
        layers(),
        flags,
    );
    let any = any.prop_map(
        |(norm, norms, activation, caps, local, unrotated, flags)| Block {
            positions: caps.2,
            mixture: None,
            recurrent: None,
            attention_gate: flags[12],
            norm,
            norms,
            activation,
            score_cap: caps.0,
            logit_cap: caps.1,
            local,
            unrotated,
            parallel: flags[0],
            joint_qk_norm: flags[1],
            out_bias: flags[2],
            feed_forward_bias: flags[3],
            head_bias: flags[4],
            ungated: flags[5],
            wide: Wide {
                qkv: flags[6],
                queries: flags[7],
                out: flags[8],
                gate_up: flags[9],
                down: flags[10],
                head: flags[11],
            },
        },
    );
    prop_oneof![Just(Block::default()), any]
}

pub(crate) fn packed(config: &Config) -> Arc<PackedModel> {
    Arc::new(PackedModel::from_bytes(&random::model(config)).unwrap())
}

fn engine(model: &Arc<PackedModel>, instructions: InstructionSet, threads: usize) -> Engine {
    let options = EngineOptions {
        instructions: Some(instructions),
        threads,
    };
    Engine::new(Arc::clone(model), options).unwrap()
}

pub(crate) fn tokens(config: &Config, len: usize, seed: u64) -> Vec<u32> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32 % config.inputs as u32
    };
    (0..len).map(|_| next()).collect()
}

/// What the reference says behind each of `tokens`.
pub(crate) fn expected(reference: &Reference, tokens: &[u32]) -> Vec<Output> {
    let mut stream = reference.new_stream();
    let step = |token: &u32| reference.forward(&mut stream, *token);
    tokens.iter().map(step).collect()
}

/// Feeds `tokens` to one state.
pub(crate) fn feed(runtime: &dyn Runtime, state: &mut dyn State, tokens: &[u32]) -> Vec<Output> {
    let mut predictions = Predictions::new();
    let segment = Segment { state, tokens };
    runtime.forward(&mut [segment], &mut predictions).unwrap();
    outputs(&predictions)
}

pub(crate) fn outputs(predictions: &Predictions) -> Vec<Output> {
    let output = |row| {
        let Prediction { logits, state } = predictions.row(row);
        Output {
            logits: logits.to_vec(),
            state: state.to_vec(),
        }
    };
    (0..predictions.len()).map(output).collect()
}

/// Feeds `tokens` in chunks of these lengths, over and over.
pub(crate) fn feed_in_chunks(
    runtime: &dyn Runtime,
    tokens: &[u32],
    chunks: &[usize],
) -> Vec<Output> {
    let mut state = runtime.new_state().unwrap();
    let (mut outputs, mut lengths) = (Vec::new(), chunks.iter().cycle());
    while outputs.len() < tokens.len() {
        let len = (*lengths.next().unwrap()).min(tokens.len() - outputs.len());
        let chunk = &tokens[outputs.len()..][..len];
        outputs.extend(feed(runtime, &mut *state, chunk));
    }
    assert_eq!(state.position(), tokens.len() as u64);
    outputs
}

/// The first place where two runs differ.
pub(crate) fn difference(left: &[Output], right: &[Output]) -> Option<usize> {
    assert_eq!(left.len(), right.len());
    (0..left.len()).find(|&i| left[i] != right[i])
}

/// Feeds several streams in common passes, in steps of these lengths over and over.
pub(crate) fn streams_equal_the_reference(
    runtime: &dyn Runtime,
    lens: &[usize],
    steps: &[usize],
) -> Result<(), TestCaseError> {
    let config = runtime.model().config();
    let reference = Reference::new(runtime.model()).unwrap();
    let streams: Vec<Vec<u32>> = (0u64..)
        .zip(lens)
        .map(|(seed, len)| tokens(config, *len, seed))
        .collect();
    let mut states: Vec<_> = lens.iter().map(|_| runtime.new_state().unwrap()).collect();
    let mut found = vec![Vec::new(); streams.len()];
    let mut predictions = Predictions::new();
    let mut step = steps.iter().cycle();
    while found
        .iter()
        .zip(lens)
        .any(|(found, len)| found.len() < *len)
    {
        // Some segments are empty, and together they may be longer than a pass.
        let parts: Vec<&[u32]> = (streams.iter().zip(&found))
            .map(|(tokens, found)| {
                let left = &tokens[found.len()..];
                &left[..left.len().min(1 + step.next().unwrap())]
            })
            .collect();
        let mut segments: Vec<_> = (states.iter_mut().zip(&parts))
            .map(|(state, tokens)| Segment {
                state: &mut **state,
                tokens,
            })
            .collect();
        runtime.forward(&mut segments, &mut predictions).unwrap();
        let mut rows = outputs(&predictions).into_iter();
        for (found, part) in found.iter_mut().zip(&parts) {
            found.extend(rows.by_ref().take(part.len()));
        }
        prop_assert!(rows.next().is_none());
    }
    for (tokens, found) in streams.iter().zip(&found) {
        prop_assert_eq!(difference(&expected(&reference, tokens), found), None);
    }
    Ok(())
}

/// Feeds drafts of which the last tokens are taken back: so many that stay and so many that do not.
pub(crate) fn taken_back_equals_the_reference(
    runtime: &dyn Runtime,
    drafts: Vec<(usize, usize)>,
    seed: u64,
) -> Result<(), TestCaseError> {
    let config = runtime.model().config();
    let most = match config.block.recurrent {
        Some(_) => RECURRENT_SLACK,
        None => SLACK,
    };
    let reference = Reference::new(runtime.model()).unwrap();
    let (mut state, mut stream) = (runtime.new_state().unwrap(), reference.new_stream());
    for (index, (kept, rejected)) in (0u64..).zip(drafts) {
        let rejected = rejected % (most + 1);
        let fed = tokens(config, kept + rejected, seed ^ index);
        let found = feed(runtime, &mut *state, &fed);
        let step = |token: &u32| reference.forward(&mut stream, *token);
        let want: Vec<Output> = fed.iter().map(step).collect();
        prop_assert_eq!(difference(&want, &found), None);
        state.truncate(state.position() - rejected as u64);
        stream.truncate(stream.position() - rejected);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_engine_equals_the_reference(
        config in config(),
        len in 1usize..230,
        seed in any::<u64>(),
        threads in 1usize..4,
        chunks in prop::collection::vec(prop_oneof![4 => 1usize..20, 1 => 1usize..300], 1..6),
    ) {
        let model = packed(&config);
        let tokens = tokens(&config, len, seed);
        let reference = expected(&Reference::new(&model).unwrap(), &tokens);
        for instructions in InstructionSet::available() {
            let engine = engine(&model, instructions, threads);
            let found = feed_in_chunks(&engine, &tokens, &chunks);
            prop_assert_eq!(difference(&reference, &found), None, "{} {:?}", instructions.name(), config);
        }
    }

    #[test]
    fn streams_in_one_pass_equal_the_reference(
        config in config(),
        lens in prop::collection::vec(0usize..150, 1..6),
        steps in prop::collection::vec(0usize..90, 1..9),
    ) {
        let model = packed(&config);
        let engine = engine(&model, InstructionSet::choose().unwrap(), 2);
        streams_equal_the_reference(&engine, &lens, &steps)?;
    }

    #[test]
    fn what_is_taken_back_leaves_no_trace(
        config in config(),
        drafts in prop::collection::vec((1usize..40, 0usize..=SLACK), 1..12),
        seed in any::<u64>(),
    ) {
        let model = packed(&config);
        let engine = engine(&model, InstructionSet::choose().unwrap(), 1);
        taken_back_equals_the_reference(&engine, drafts, seed)?;
    }

    #[test]
    fn distributions_equal_the_reference(
        logits in prop::collection::vec(-(1 << 29)..=1i32 << 29, 1..80),
        near in prop::collection::vec(-(50i32 << 16)..=0, 80),
        biases in prop::collection::vec(-(16i32 << 16)..=16 << 16, 80),
        is_near in any::<bool>(),
        is_biased in any::<bool>(),
    ) {
        let logits = if is_near { &near[..logits.len()] } else { &logits };
        let biases = &biases[..logits.len()];
        let zeros = vec![0; logits.len()];
        let want = reference::distribution(logits, if is_biased { biases } else { &zeros });
        for instructions in InstructionSet::available() {
            let mut found = Weights::new(logits.len()).unwrap();
            found.set(instructions, logits, is_biased.then_some(biases));
            let sums = (0..=logits.len()).map(|row| found.sum_below(row));
            prop_assert_eq!(&want, &sums.collect::<Vec<_>>(), "{}", instructions.name());
        }
    }
}

/// A recurrence in the first layer, attention with a gate in the second.
pub(crate) fn hybrid() -> Config {
    let mut config = Config {
        arch: "every part".into(),
        ..tiny()
    };
    config.block.attention_gate = true;
    config.block.recurrent = Some(Recurrent {
        layers: vec![0],
        key_heads: 2,
        value_heads: 4,
        key_dim: 12,
        value_dim: 40,
        taps: 4,
    });
    config
}

#[test]
fn a_recurrent_state_can_be_cut_again_and_forked_while_it_is_cut() {
    let config = hybrid();
    let model = packed(&config);
    let reference = Reference::new(&model).unwrap();
    let engine = engine(&model, InstructionSet::choose().unwrap(), 2);
    let text = tokens(&config, 400, 6);
    let want = expected(&reference, &text);
    // A call of several passes, and one of fewer tokens than may be taken back.
    for fed in [300, 7] {
        let mut state = engine.new_state().unwrap();
        let found = feed(&engine, &mut *state, &text[..fed]);
        assert_eq!(difference(&want[..fed], &found), None);
        for cut in [fed - 3, fed - 5, fed - 5, fed - 7] {
            state.truncate(cut as u64);
            let mut fork = state.fork().unwrap();
            let found = feed(&engine, &mut *fork, &text[cut..cut + 60]);
            assert_eq!(difference(&want[cut..cut + 60], &found), None);
        }
        let cut = fed - 7;
        let found = feed(&engine, &mut *state, &text[cut..cut + 1]);
        assert_eq!(difference(&want[cut..=cut], &found), None);
    }
}

#[test]
#[should_panic(expected = "cannot be taken back")]
fn tokens_of_an_earlier_call_cannot_be_taken_from_a_recurrent_state() {
    let config = hybrid();
    let engine = engine(&packed(&config), InstructionSet::PORTABLE, 1);
    let mut state = engine.new_state().unwrap();
    feed(&engine, &mut *state, &tokens(&config, 20, 1));
    feed(&engine, &mut *state, &tokens(&config, 2, 1));
    state.truncate(19);
}

#[test]
fn a_fork_and_its_origin_go_their_own_ways() {
    for config in [tiny(), hybrid()] {
        let model = packed(&config);
        let engine = engine(&model, InstructionSet::choose().unwrap(), 1);
        forks_equal_the_reference(&engine);
    }
}

/// A fork and its origin are fed different tokens.
pub(crate) fn forks_equal_the_reference(runtime: &dyn Runtime) {
    let config = runtime.model().config();
    let reference = Reference::new(runtime.model()).unwrap();
    let (head, left, right) = (
        tokens(config, 70, 1),
        tokens(config, 50, 2),
        tokens(config, 60, 3),
    );
    let mut state = runtime.new_state().unwrap();
    feed(runtime, &mut *state, &head);
    let mut fork = state.fork().unwrap();
    for (state, tail) in [(&mut state, left), (&mut fork, right)] {
        let found = feed(runtime, &mut **state, &tail);
        let want = expected(&reference, &[&head[..], &tail].concat());
        assert_eq!(difference(&want[head.len()..], &found), None);
    }
}

#[test]
fn a_reset_state_is_a_new_one() {
    for config in [tiny(), hybrid()] {
        let model = packed(&config);
        let engine = engine(&model, InstructionSet::choose().unwrap(), 1);
        resets_equal_the_reference(&engine);
    }
}

/// A state that has been fed and reset is fed again.
pub(crate) fn resets_equal_the_reference(runtime: &dyn Runtime) {
    let config = runtime.model().config();
    let text = tokens(config, 60, 3);
    let want = expected(&Reference::new(runtime.model()).unwrap(), &text);
    let mut state = runtime.new_state().unwrap();
    feed(runtime, &mut *state, &tokens(config, 77, 4));
    state.reset();
    assert_eq!(state.position(), 0);
    assert_eq!(difference(&want, &feed(runtime, &mut *state, &text)), None);
}

#[test]
fn a_window_cut_is_that_of_a_model_with_a_shorter_one() {
    let window = |window| Config { window, ..tiny() };
    let (long, short) = (packed(&window(96)), packed(&window(20)));
    let tokens = tokens(&window(96), 200, 5);
    let instructions = InstructionSet::choose().unwrap();
    let want = feed_in_chunks(&engine(&short, instructions, 1), &tokens, &[64]);
    let cut = engine(&long, instructions, 1).with_window(20);
    assert_eq!(
        difference(&want, &feed_in_chunks(&cut, &tokens, &[64])),
        None
    );
    let cut = cut.with_window(1000);
    assert_eq!(
        difference(&want, &feed_in_chunks(&cut, &tokens, &[1])),
        None
    );
    let whole = feed_in_chunks(&engine(&long, instructions, 1), &tokens, &[64]);
    assert!(difference(&want, &whole).is_some());
}

#[test]
#[should_panic(expected = "are gone")]
fn keys_that_were_overwritten_cannot_be_asked_for() {
    let config = tiny();
    let engine = engine(&packed(&config), InstructionSet::PORTABLE, 1);
    let mut state = engine.new_state().unwrap();
    feed(&engine, &mut *state, &tokens(&config, 200, 4));
    state.truncate(40);
}

/// The reference as a runtime: the seam has room for an implementation that shares nothing with the
/// CPU's.
#[derive(Debug)]
pub(crate) struct ReferenceRuntime {
    model: Arc<PackedModel>,
    reference: Reference,
}

impl ReferenceRuntime {
    pub(crate) fn new(model: Arc<PackedModel>) -> ReferenceRuntime {
        ReferenceRuntime {
            reference: Reference::new(&model).unwrap(),
            model,
        }
    }
}

impl Runtime for ReferenceRuntime {
    fn model(&self) -> &Arc<PackedModel> {
        &self.model
    }

    fn new_state(&self) -> Result<Box<dyn State>, EngineError> {
        Ok(Box::new(self.reference.new_stream()))
    }

    fn forward(
        &self,
        segments: &mut [Segment<'_>],
        predictions: &mut Predictions,
    ) -> Result<(), EngineError> {
        let config = self.model.config();
        let rows = segments.iter().map(|segment| segment.tokens.len()).sum();
        predictions.resize(rows, config.vocab, config.vocab, config.hidden)?;
        let mut row = 0;
        for segment in segments {
            let stream = segment.state.as_any().downcast_mut().unwrap();
            for token in segment.tokens {
                let output = self.reference.forward(stream, *token);
                predictions.logits_mut()[row * config.vocab..][..config.vocab]
                    .copy_from_slice(&output.logits);
                predictions.state_mut(row).copy_from_slice(&output.state);
                row += 1;
            }
        }
        Ok(())
    }

    fn row_cost(&self) -> f32 {
        1.0
    }
}

impl State for reference::Stream {
    fn position(&self) -> u64 {
        reference::Stream::position(self) as u64
    }

    fn fork(&self) -> Result<Box<dyn State>, EngineError> {
        Ok(Box::new(self.clone()))
    }

    fn truncate(&mut self, position: u64) {
        reference::Stream::truncate(self, position as usize);
    }

    fn reset(&mut self) {
        reference::Stream::truncate(self, 0);
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
