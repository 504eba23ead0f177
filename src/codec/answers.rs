//! Questions that one of two threads answers: a thread beside the coder, or the coder itself.
//!
//! The coder asks ahead and goes on coding, while the other thread runs the language model. When
//! the coder needs an answer and nobody has begun to compute one, it computes the answer itself: it
//! does not wait for a thread to wake up or to get a processor. Whichever of the two has nothing to
//! do takes part in the passes of the other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope};

use crate::engine::{Helper, Runtime};

/// Computes an answer. Only one thread at a time has it.
type Compute<'a, Q, A> = Box<dyn FnMut(Q) -> A + Send + 'a>;

struct Desk<'a, Q, A> {
    state: Mutex<State<'a, Q, A>>,
    /// How often the state has changed.
    changes: AtomicUsize,
    /// Present if there is a second thread.
    helper: Option<Arc<dyn Helper + 'a>>,
}

struct State<'a, Q, A> {
    questions: VecDeque<Q>,
    answers: VecDeque<A>,
    /// Present while nobody computes; never again after it has panicked.
    compute: Option<Compute<'a, Q, A>>,
    /// Whether the other thread has panicked.
    has_failed: bool,
    /// Whether the coder needs no more answers.
    is_closed: bool,
}

/// The coder's end.
pub(super) struct Answers<'a, Q, A> {
    desk: Arc<Desk<'a, Q, A>>,
}

impl<'a, Q: Send + 'a, A: Send + 'a> Answers<'a, Q, A> {
    /// Answers questions with `compute`, which uses `runtime`: on the calling thread and, if
    /// `runtime` may use another one and the system gives it, on a new thread of `scope`.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        runtime: &'a dyn Runtime,
        compute: impl FnMut(Q) -> A + Send + 'a,
    ) -> Self
    where
        'a: 'scope,
    {
        let state = State {
            questions: VecDeque::new(),
            answers: VecDeque::new(),
            compute: Some(Box::new(compute) as Compute<'a, Q, A>),
            has_failed: false,
            is_closed: false,
        };
        let mut desk = Arc::new(Desk {
            state: Mutex::new(state),
            changes: AtomicUsize::new(0),
            helper: runtime.helper().map(Arc::from),
        });
        if desk.helper.is_some() {
            let shared = Arc::clone(&desk);
            let builder = Builder::new().name("llmzip-model".into());
            // Without the thread, the coder computes every answer.
            if builder.spawn_scoped(scope, move || shared.serve()).is_err()
                && let Some(desk) = Arc::get_mut(&mut desk)
            {
                desk.helper = None;
            }
        }
        Answers { desk }
    }

    /// Asks a question. Answers come in the order of their questions.
    pub(super) fn ask(&self, question: Q) {
        self.desk
            .change(|state| state.questions.push_back(question));
    }

    /// The next answer; `None` if no question is left, or the other thread has panicked, which its
    /// scope passes on.
    pub(super) fn next(&self) -> Option<A> {
        let desk = &*self.desk;
        loop {
            let mut state = desk.lock();
            if let Some(answer) = state.answers.pop_front() {
                return Some(answer);
            }
            if state.has_failed {
                return None;
            }
            if let Some(compute) = state.compute.take() {
                let Some(question) = state.questions.pop_front() else {
                    state.compute = Some(compute);
                    return None;
                };
                drop(state);
                return Some(desk.compute(compute, question));
            }
            desk.wait(state);
        }
    }
}

impl<Q, A> Drop for Answers<'_, Q, A> {
    fn drop(&mut self) {
        self.desk.change(|state| state.is_closed = true);
    }
}

impl<'a, Q, A> Desk<'a, Q, A> {
    fn lock(&self) -> MutexGuard<'_, State<'a, Q, A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes the other thread.
    fn change<T>(&self, change: impl FnOnce(&mut State<'a, Q, A>) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        self.changes.fetch_add(1, Ordering::SeqCst);
        drop(state);
        if let Some(helper) = &self.helper {
            helper.wake();
        }
        result
    }

    /// Takes part in passes until the state has changed.
    fn wait(&self, state: MutexGuard<'_, State<'a, Q, A>>) {
        let seen = self.changes.load(Ordering::SeqCst);
        drop(state);
        // Without a helper nobody else computes, so that nobody waits.
        if let Some(helper) = &self.helper {
            helper.help_until(&mut || self.changes.load(Ordering::SeqCst) != seen);
        }
    }

    /// Computes an answer and gives the means back.
    fn compute(&self, mut compute: Compute<'a, Q, A>, question: Q) -> A {
        let answer = compute(question);
        self.change(|state| state.compute = Some(compute));
        answer
    }

    /// The second thread.
    fn serve(&self) {
        let _failing = Failing(self);
        loop {
            let mut state = self.lock();
            if state.is_closed {
                return;
            }
            if state.questions.is_empty() || state.compute.is_none() {
                self.wait(state);
                continue;
            }
            let (question, compute) = (state.questions.pop_front(), state.compute.take());
            if let (Some(question), Some(mut compute)) = (question, compute) {
                drop(state);
                let answer = compute(question);
                self.change(|state| {
                    state.answers.push_back(answer);
                    state.compute = Some(compute);
                });
            }
        }
    }
}

/// Tells the coder that the second thread has panicked.
struct Failing<'d, 'a, Q, A>(&'d Desk<'a, Q, A>);

impl<Q, A> Drop for Failing<'_, '_, Q, A> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.change(|state| state.has_failed = true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::engine::{Engine, EngineOptions};
    use crate::packed::{PackedModel, random};

    fn engine(threads: usize) -> Engine {
        let packed = random::model(&crate::arch::config::tests::tiny());
        let options = EngineOptions {
            threads,
            ..EngineOptions::default()
        };
        Engine::new(Arc::new(PackedModel::from_bytes(&packed).unwrap()), options).unwrap()
    }

    #[test]
    fn answers_come_in_the_order_of_their_questions() {
        for threads in [1, 2] {
            let runtime = engine(threads);
            std::thread::scope(|scope| {
                let answers = Answers::start(scope, &runtime, |question: usize| question * 3);
                assert_eq!(answers.next(), None);
                for round in 0..100 {
                    (0..round % 4).for_each(|ahead| answers.ask(round + ahead));
                    for ahead in 0..round % 4 {
                        assert_eq!(answers.next(), Some((round + ahead) * 3));
                    }
                    assert_eq!(answers.next(), None);
                }
            });
        }
    }

    #[test]
    fn the_coder_answers_what_nobody_else_has_begun() {
        let runtime = engine(1);
        let coder = std::thread::current().id();
        std::thread::scope(|scope| {
            let answers = Answers::start(scope, &runtime, |()| std::thread::current().id());
            answers.ask(());
            assert_eq!(answers.next(), Some(coder));
        });
    }

    #[test]
    fn a_question_is_answered_while_the_coder_codes() {
        let runtime = engine(2);
        let (begun, has_begun) = mpsc::channel();
        std::thread::scope(|scope| {
            let answers = Answers::start(scope, &runtime, move |question: u8| {
                begun.send(std::thread::current().id()).unwrap();
                question
            });
            answers.ask(7);
            // The coder does not wait for the answer yet, so another thread computes it.
            assert_ne!(has_begun.recv().unwrap(), std::thread::current().id());
            assert_eq!(answers.next(), Some(7));
        });
    }

    #[test]
    fn a_panic_ends_the_waiting_and_reaches_the_coder() {
        let runtime = engine(2);
        let (begun, has_begun) = mpsc::channel();
        let scope = std::panic::AssertUnwindSafe(|| {
            std::thread::scope(|scope| {
                let answers = Answers::start(scope, &runtime, move |(): ()| {
                    begun.send(()).unwrap();
                    panic!("no answer");
                });
                answers.ask(());
                has_begun.recv().unwrap();
                assert!(answers.next().is_none());
            });
        });
        assert!(std::panic::catch_unwind(scope).is_err());
    }
}
