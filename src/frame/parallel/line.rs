//! A line of jobs, which several threads do, and whose results come in the order of the jobs.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, Scope};
use std::time::Duration;

use super::LONGEST_PARALLEL_FRAME;
use crate::Error;

/// How long the caller waits for a result before it looks after the progress.
const PATIENCE: Duration = Duration::from_millis(50);
/// Jobs in line for each thread: one that it does, and one that waits for it.
const JOBS_PER_THREAD: usize = 2;

/// A job, and where its result goes.
type Task<J, R> = (J, SyncSender<R>);

/// Jobs of type `J` with results of type `R`.
pub(super) struct Line<'scope, 'env, J, R> {
    scope: &'scope Scope<'scope, 'env>,
    work: &'env (dyn Fn(J) -> R + Sync),
    /// Threads that have started, and how many may be.
    started: usize,
    threads: usize,
    tasks: Sender<Task<J, R>>,
    queue: Arc<Mutex<Receiver<Task<J, R>>>>,
    /// The results that nobody has taken yet, in order, each with the bytes of its frame.
    results: VecDeque<(u64, Receiver<R>)>,
}

impl<'scope, 'env, J: Send + 'scope, R: Send + 'scope> Line<'scope, 'env, J, R> {
    /// A line at which up to `threads` threads work, or as many as the system gives. If it gives
    /// none, the caller does the work.
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        threads: usize,
        work: &'env (dyn Fn(J) -> R + Sync),
    ) -> Line<'scope, 'env, J, R> {
        let (tasks, queue) = mpsc::channel();
        Line {
            scope,
            work,
            started: 0,
            threads,
            tasks,
            queue: Arc::new(Mutex::new(queue)),
            results: VecDeque::new(),
        }
    }

    /// Whether more jobs would only take memory.
    pub(super) fn is_full(&self) -> bool {
        let threads = self.threads.max(1);
        self.results.len() >= threads * JOBS_PER_THREAD
            || self.held() >= threads as u64 * LONGEST_PARALLEL_FRAME
    }

    /// Original bytes of the frames whose results nobody has taken yet; 0 if there are none.
    pub(super) fn held(&self) -> u64 {
        self.results.iter().map(|(len, _)| len).sum()
    }

    /// Adds a job about a frame of `len` original bytes, at least 1. Starts a thread for it if more
    /// may be.
    pub(super) fn add(&mut self, job: J, len: u64) {
        if self.started < self.threads {
            match self.start_thread() {
                true => self.started += 1,
                false => self.threads = self.started,
            }
        }
        let (sender, result) = mpsc::sync_channel(1);
        self.results.push_back((len, result));
        // Neither fails: this line has both receivers.
        if self.started == 0 {
            let _ = sender.send((self.work)(job));
        } else {
            let _ = self.tasks.send((job, sender));
        }
    }

    /// Whether the system gives a thread.
    fn start_thread(&self) -> bool {
        let (queue, work) = (Arc::clone(&self.queue), self.work);
        let builder = Builder::new().name(format!("llmzip-frame-{}", self.started));
        let started = builder.spawn_scoped(self.scope, move || do_tasks(&queue, work));
        started.is_ok()
    }

    /// The result of the next job; `None` if the line is empty. `wait` is called now and then, and
    /// may cancel.
    pub(super) fn next(
        &mut self,
        wait: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Option<Result<R, Error>> {
        let (_, result) = self.results.pop_front()?;
        loop {
            match result.recv_timeout(PATIENCE) {
                Ok(result) => return Some(Ok(result)),
                Err(RecvTimeoutError::Timeout) => {
                    if wait().is_break() {
                        return Some(Err(Error::Cancelled));
                    }
                }
                // The thread has panicked; the panic goes on where the scope ends.
                Err(RecvTimeoutError::Disconnected) => return Some(Err(Error::Broken)),
            }
        }
    }
}

/// Does tasks until no more can come.
fn do_tasks<J, R>(queue: &Mutex<Receiver<Task<J, R>>>, work: &(dyn Fn(J) -> R + Sync)) {
    loop {
        // Whoever has the lock waits for a task, and the others for the lock.
        let task = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((job, result)) = task else {
            return;
        };
        // Nobody waits for it after an error.
        let _ = result.send(work(job));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    fn go_on() -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        // The first job ends only when the second one has begun.
        let both = Barrier::new(2);
        let work = |job: u32| {
            if job < 2 {
                both.wait();
            }
            if job == 0 {
                thread::sleep(Duration::from_millis(80));
            }
            job
        };
        for threads in [2, 5] {
            thread::scope(|scope| {
                let mut line = Line::new(scope, threads, &work);
                (0..4).for_each(|job| line.add(job, 1));
                let mut waits = 0;
                let mut wait = || {
                    waits += 1;
                    go_on()
                };
                let results: Vec<u32> = std::iter::from_fn(|| line.next(&mut wait))
                    .map(Result::unwrap)
                    .collect();
                assert_eq!(results, [0, 1, 2, 3]);
                assert!(waits > 0 && line.held() == 0);
            });
        }
    }

    #[test]
    fn without_threads_the_caller_works() {
        let work = |job: u32| (job, thread::current().id());
        thread::scope(|scope| {
            let mut line = Line::new(scope, 0, &work);
            line.add(7, 1);
            let result = line.next(&mut go_on).unwrap().unwrap();
            assert_eq!(result, (7, thread::current().id()));
        });
    }

    #[test]
    fn a_line_is_full_by_jobs_and_by_bytes() {
        thread::scope(|scope| {
            let mut line = Line::new(scope, 0, &|job: u32| job);
            line.add(0, LONGEST_PARALLEL_FRAME - 1);
            assert!(!line.is_full());
            line.add(1, 1);
            assert!(line.is_full());
            line.next(&mut go_on);
            assert!(!line.is_full());
            line.add(2, LONGEST_PARALLEL_FRAME);
            assert!(line.is_full());
        });
    }

    #[test]
    fn a_caller_that_cancels_does_not_wait() {
        let until = Barrier::new(2);
        let work = |()| {
            until.wait();
        };
        thread::scope(|scope| {
            let mut line = Line::new(scope, 1, &work);
            line.add((), 1);
            let result = line.next(&mut || ControlFlow::Break(()));
            assert!(matches!(result, Some(Err(Error::Cancelled))));
            until.wait();
        });
    }

    #[test]
    fn a_panic_of_a_job_goes_on_in_the_caller() {
        let panic = std::panic::catch_unwind(|| {
            thread::scope(|scope| {
                let mut line = Line::new(scope, 1, &|()| panic!("a job"));
                line.add((), 1);
                assert!(matches!(line.next(&mut go_on), Some(Err(Error::Broken))));
            });
        });
        assert!(panic.is_err());
    }
}
