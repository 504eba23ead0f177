//! A runtime that may stop, and the CPU engine, which then goes on.
//!
//! Every runtime gives the same bits, so a stream can change from one to another between any two
//! calls: its tokens so far are fed to the other. All of them are needed, even with a window: what
//! a layer keeps of a token depends on the window before that token, and so on back to the
//! beginning.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::cpu::{Engine, EngineOptions};
use super::runtime::{EngineError, Helper, Predictions, Runtime, Segment, State};
use crate::machine::pool::Pool;
use crate::packed::PackedModel;

/// Tokens that are fed again in one call: the logits of a large vocabulary are large.
const AGAIN: usize = 128;

/// A runtime that may stop. Several [`Fallback`]s can share it; when one has seen it stop, none
/// uses it any more.
pub struct Primary {
    runtime: Arc<dyn Runtime>,
    stopped: AtomicBool,
    on_stop: Box<dyn Fn(&EngineError) + Send + Sync>,
}

impl Primary {
    /// A runtime that works until it gives an error. `on_stop` is then told, once.
    pub fn new(
        runtime: Arc<dyn Runtime>,
        on_stop: impl Fn(&EngineError) + Send + Sync + 'static,
    ) -> Arc<Primary> {
        Arc::new(Primary {
            runtime,
            stopped: AtomicBool::new(false),
            on_stop: Box::new(on_stop),
        })
    }

    fn works(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed)
    }

    /// What `call` gives; `None` if the runtime has stopped, before or in this call.
    fn attempt<T>(&self, call: impl FnOnce(&dyn Runtime) -> Result<T, EngineError>) -> Option<T> {
        if !self.works() {
            return None;
        }
        call(&*self.runtime)
            .map_err(|error| {
                if !self.stopped.swap(true, Ordering::Relaxed) {
                    (self.on_stop)(&error);
                }
            })
            .ok()
    }
}

impl fmt::Debug for Primary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Primary")
            .field("runtime", &self.runtime)
            .field("stopped", &self.stopped)
            .finish_non_exhaustive()
    }
}

/// Runs a model on a runtime that may stop, and then on the CPU.
#[derive(Debug)]
pub struct Fallback {
    primary: Arc<Primary>,
    options: EngineOptions,
    /// Made when it is first needed.
    cpu: OnceLock<Engine>,
}

/// The tokens of a stream, and the state of the runtime that has seen them.
#[derive(Debug)]
struct Stream {
    primary: Arc<Primary>,
    tokens: Vec<u32>,
    place: Place,
}

/// Which runtime a state belongs to.
#[derive(Debug)]
enum Place {
    Primary(Box<dyn State>),
    Cpu(Box<dyn State>),
    /// The primary has stopped, and the CPU has not been asked yet.
    Nowhere,
}

impl Fallback {
    /// Runs the model of `primary`, and if that stops, an engine with these options.
    pub fn new(primary: Arc<Primary>, options: EngineOptions) -> Fallback {
        Fallback {
            primary,
            options,
            cpu: OnceLock::new(),
        }
    }

    fn cpu(&self) -> Result<&Engine, EngineError> {
        if let Some(engine) = self.cpu.get() {
            return Ok(engine);
        }
        let engine = Engine::new(Arc::clone(self.model()), self.options)?;
        Ok(self.cpu.get_or_init(|| engine))
    }

    /// Runs the segments on the primary, unless one of them is not there any more. `None` if they
    /// have to be run on the CPU.
    fn on_primary(
        &self,
        segments: &mut [Segment<'_>],
        predictions: &mut Predictions,
    ) -> Option<()> {
        let mut inner = Vec::new();
        for segment in &mut *segments {
            let Place::Primary(state) = &mut stream(&mut *segment.state).place else {
                return None;
            };
            let (state, tokens) = (&mut **state, segment.tokens);
            inner.push(Segment { state, tokens });
        }
        (self.primary).attempt(|primary| primary.forward(&mut inner, predictions))
    }

    fn on_cpu(
        &self,
        segments: &mut [Segment<'_>],
        predictions: &mut Predictions,
    ) -> Result<(), EngineError> {
        let cpu = self.cpu()?;
        let mut inner = Vec::new();
        for segment in &mut *segments {
            let state = stream(&mut *segment.state).on_cpu(cpu)?;
            let tokens = segment.tokens;
            inner.push(Segment { state, tokens });
        }
        cpu.forward(&mut inner, predictions)
    }
}

impl Stream {
    /// The state on the CPU, to which the tokens so far are fed if it has not seen them.
    fn on_cpu(&mut self, cpu: &Engine) -> Result<&mut dyn State, EngineError> {
        if !matches!(self.place, Place::Cpu(_)) {
            // Its memory may be what the device lacks.
            self.place = Place::Nowhere;
            let (mut state, mut predictions) = (cpu.new_state()?, Predictions::new());
            for tokens in self.tokens.chunks(AGAIN) {
                let state = &mut *state;
                cpu.forward(&mut [Segment { state, tokens }], &mut predictions)?;
            }
            self.place = Place::Cpu(state);
        }
        match &mut self.place {
            Place::Cpu(state) => Ok(&mut **state),
            _ => unreachable!("it was made on the CPU"),
        }
    }
}

fn stream(state: &mut dyn State) -> &mut Stream {
    let stream = state.as_any().downcast_mut();
    stream.expect("a state of this runtime")
}

impl Runtime for Fallback {
    fn model(&self) -> &Arc<PackedModel> {
        self.primary.runtime.model()
    }

    fn new_state(&self) -> Result<Box<dyn State>, EngineError> {
        let state = self.primary.attempt(|primary| primary.new_state());
        Ok(Box::new(Stream {
            primary: Arc::clone(&self.primary),
            tokens: Vec::new(),
            place: state.map_or(Place::Nowhere, Place::Primary),
        }))
    }

    fn forward(
        &self,
        segments: &mut [Segment<'_>],
        predictions: &mut Predictions,
    ) -> Result<(), EngineError> {
        if self.on_primary(segments, predictions).is_none() {
            self.on_cpu(segments, predictions)?;
        }
        for segment in segments {
            let seen = &mut stream(&mut *segment.state).tokens;
            seen.extend_from_slice(segment.tokens);
        }
        Ok(())
    }

    fn row_cost(&self) -> f32 {
        match self.cpu.get() {
            Some(cpu) => cpu.row_cost(),
            None => self.primary.runtime.row_cost(),
        }
    }

    fn enough_rows(&self) -> usize {
        match self.cpu.get() {
            Some(cpu) => cpu.enough_rows(),
            None => self.primary.runtime.enough_rows(),
        }
    }

    fn computes_elsewhere(&self) -> bool {
        self.cpu.get().is_none() && self.primary.runtime.computes_elsewhere()
    }

    fn pool(&self) -> Option<&Pool> {
        match self.cpu.get() {
            Some(cpu) => cpu.pool(),
            // Frames that are coded at the same time have a thread each.
            None if self.options.threads == 1 => None,
            None => self.primary.runtime.pool(),
        }
    }

    fn helper(&self) -> Option<Box<dyn Helper + '_>> {
        match self.cpu.get() {
            Some(cpu) => cpu.helper(),
            None => self.primary.runtime.helper(),
        }
    }
}

impl State for Stream {
    fn position(&self) -> u64 {
        self.tokens.len() as u64
    }

    fn fork(&self) -> Result<Box<dyn State>, EngineError> {
        let place = match &self.place {
            Place::Primary(state) => {
                let fork = self.primary.attempt(|_| state.fork());
                fork.map_or(Place::Nowhere, Place::Primary)
            }
            Place::Cpu(state) => Place::Cpu(state.fork()?),
            Place::Nowhere => Place::Nowhere,
        };
        Ok(Box::new(Stream {
            primary: Arc::clone(&self.primary),
            tokens: self.tokens.clone(),
            place,
        }))
    }

    fn truncate(&mut self, position: u64) {
        let end = self.position();
        assert!(
            position <= end,
            "a stream of {end} tokens cannot be cut to {position}"
        );
        self.tokens.truncate(position as usize);
        match &mut self.place {
            Place::Primary(state) | Place::Cpu(state) => state.truncate(position),
            Place::Nowhere => {}
        }
    }

    fn reset(&mut self) {
        self.tokens.clear();
        match &mut self.place {
            Place::Primary(state) | Place::Cpu(state) => state.reset(),
            Place::Nowhere => {}
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use proptest::prelude::*;

    use super::*;
    use crate::engine::runtime::{RECURRENT_SLACK, SLACK};
    use crate::engine::tests::{config, outputs, packed, tokens};
    use crate::machine::MachineError;

    /// The CPU engine until it has been called so many times. It then fails in the middle of a
    /// call, and its states with it.
    #[derive(Debug)]
    struct Failing {
        engine: Engine,
        left: Arc<AtomicU64>,
    }

    #[derive(Debug)]
    struct FailingState {
        state: Box<dyn State>,
        left: Arc<AtomicU64>,
    }

    fn call(left: &AtomicU64) -> Result<(), EngineError> {
        const LACKS: MachineError = MachineError::Memory {
            what: "a test",
            bytes: 1,
        };
        let count = |left: u64| left.checked_sub(1);
        let counted = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        counted.map(drop).map_err(|_| LACKS.into())
    }

    impl Runtime for Failing {
        fn model(&self) -> &Arc<PackedModel> {
            self.engine.model()
        }

        fn new_state(&self) -> Result<Box<dyn State>, EngineError> {
            call(&self.left)?;
            Ok(Box::new(FailingState {
                state: self.engine.new_state()?,
                left: Arc::clone(&self.left),
            }))
        }

        fn forward(
            &self,
            segments: &mut [Segment<'_>],
            predictions: &mut Predictions,
        ) -> Result<(), EngineError> {
            let fails = call(&self.left);
            let states = segments.iter_mut().map(|segment| {
                let state: Option<&mut FailingState> = segment.state.as_any().downcast_mut();
                let tokens = match &fails {
                    Ok(()) => segment.tokens,
                    Err(_) => &segment.tokens[segment.tokens.len() / 2..],
                };
                Segment {
                    state: &mut *state.unwrap().state,
                    tokens,
                }
            });
            let mut inner: Vec<_> = states.collect();
            self.engine.forward(&mut inner, predictions)?;
            fails
        }

        fn row_cost(&self) -> f32 {
            0.1
        }
    }

    impl State for FailingState {
        fn position(&self) -> u64 {
            self.state.position()
        }

        fn fork(&self) -> Result<Box<dyn State>, EngineError> {
            call(&self.left)?;
            Ok(Box::new(FailingState {
                state: self.state.fork()?,
                left: Arc::clone(&self.left),
            }))
        }

        fn truncate(&mut self, position: u64) {
            self.state.truncate(position);
        }

        fn reset(&mut self) {
            self.state.reset();
        }

        fn as_any(&mut self) -> &mut dyn Any {
            self
        }
    }

    const ONE_THREAD: EngineOptions = EngineOptions {
        instructions: None,
        threads: 1,
    };

    fn engine(model: &Arc<PackedModel>) -> Engine {
        Engine::new(Arc::clone(model), ONE_THREAD).unwrap()
    }

    /// What is done to streams.
    #[derive(Clone, Debug)]
    enum Step {
        /// Feeds so many tokens to each stream in one call.
        Feed(Vec<usize>),
        /// Takes back so many of the tokens that a stream was fed last.
        TakeBack(usize, usize),
        /// Replaces a stream by a fork of another.
        Fork(usize, usize),
        Reset(usize),
    }

    const STREAMS: usize = 3;

    fn step() -> impl Strategy<Value = Step> {
        let stream = || 0..STREAMS;
        prop_oneof![
            4 => prop::collection::vec(0usize..30, STREAMS).prop_map(Step::Feed),
            2 => (stream(), 0usize..40).prop_map(|(stream, count)| Step::TakeBack(stream, count)),
            1 => (stream(), stream()).prop_map(|(to, from)| Step::Fork(to, from)),
            1 => stream().prop_map(Step::Reset),
        ]
    }

    /// What `runtime` predicts in each step.
    fn run(runtime: &dyn Runtime, steps: &[Step]) -> Vec<Vec<super::super::reference::Output>> {
        let config = runtime.model().config();
        let most = match config.block.recurrent {
            Some(_) => RECURRENT_SLACK,
            None => SLACK,
        };
        let new = || runtime.new_state().unwrap();
        let mut states: Vec<_> = std::iter::repeat_with(new).take(STREAMS).collect();
        // Tokens that each stream can still be made to forget.
        let mut left = [0; STREAMS];
        let mut predictions = Predictions::new();
        let mut found = Vec::new();
        for (seed, step) in (0u64..).zip(steps) {
            match step {
                Step::Feed(lens) => {
                    let fed: Vec<_> = (lens.iter())
                        .map(|len| tokens(config, *len, seed))
                        .collect();
                    let segments = states.iter_mut().zip(&fed).map(|(state, tokens)| Segment {
                        state: &mut **state,
                        tokens,
                    });
                    let mut segments: Vec<_> = segments.collect();
                    runtime.forward(&mut segments, &mut predictions).unwrap();
                    found.push(outputs(&predictions));
                    left = std::array::from_fn(|stream| lens[stream].min(most));
                }
                Step::TakeBack(stream, count) => {
                    let count = (*count).min(left[*stream]);
                    let position = states[*stream].position();
                    states[*stream].truncate(position - count as u64);
                    left[*stream] -= count;
                }
                Step::Fork(to, from) => {
                    states[*to] = states[*from].fork().unwrap();
                    left[*to] = left[*from];
                }
                Step::Reset(stream) => {
                    states[*stream].reset();
                    left[*stream] = 0;
                }
            }
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn nobody_sees_in_the_bits_that_a_runtime_has_stopped(
            config in config(),
            steps in prop::collection::vec(step(), 1..14),
            works in 0u64..20,
        ) {
            let model = packed(&config);
            let failing = Arc::new(Failing {
                engine: engine(&model),
                left: Arc::new(AtomicU64::new(works)),
            });
            let told = Arc::new(AtomicU64::new(0));
            let counter = Arc::clone(&told);
            let primary = Primary::new(failing, move |_| {
                counter.fetch_add(1, Ordering::Relaxed);
            });
            let fallback = Fallback::new(Arc::clone(&primary), ONE_THREAD);
            let want = run(&engine(&model), &steps);
            prop_assert!(run(&fallback, &steps) == want);
            prop_assert_eq!(told.load(Ordering::Relaxed), u64::from(!primary.works()));
            // Another that shares it begins on the CPU if it has stopped.
            let other = Fallback::new(Arc::clone(&primary), ONE_THREAD);
            prop_assert!(run(&other, &steps) == want);
            prop_assert!(told.load(Ordering::Relaxed) <= 1);
        }
    }
}
