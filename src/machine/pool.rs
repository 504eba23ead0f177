//! Threads that share the work of one region after another.
//!
//! Decoding one token runs about 150 small regions, so entering and leaving one must cost
//! microseconds: workers spin for a moment between regions and sleep only when no region has begun
//! for a while. The thread that calls [`Pool::run`] also works, and does not wait for a worker that
//! has not begun.
//!
//! A thread that waits for results which another thread computes with the pool can be a [`Helper`].
//! As long as the helper exists, it takes the first worker's place, so that no more threads work
//! than the pool has.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use super::float_environment::FloatEnvironment;

/// Most threads of a pool. More would only take memory from the work.
const MOST_THREADS: usize = 1024;
/// How long an idle worker looks for work before it sleeps.
const SPIN: Duration = Duration::from_micros(60);
/// How long a helper sleeps at a time, then. Nobody wakes it.
const NAP: Duration = Duration::from_micros(50);
/// The place that a helper takes.
const HELPERS_PLACE: usize = 1;
/// Set in `state` while a region takes workers.
const OPEN: u64 = 1 << 31;
/// Lower part of `state`: workers inside the region. Above [`OPEN`]: number of the region.
const INSIDE: u64 = OPEN - 1;
const REGION: u32 = 32;

type Work = dyn Fn(usize, usize) + Sync;

struct Shared {
    state: AtomicU64,
    /// Next task of the open region.
    next: AtomicUsize,
    job: UnsafeCell<Option<(*const Work, usize)>>,
    /// Whether someone has [`HELPERS_PLACE`]: its worker, while it is inside a region, or a helper.
    taken: AtomicBool,
    panicked: AtomicBool,
    stop: AtomicBool,
}

// SAFETY: `job` is written only while no worker is inside a region and read only by workers inside
// one.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `job` is to a `Sync` closure and is dereferenced only while the owner
// waits in `run`.
unsafe impl Send for Shared {}

/// A fixed set of threads.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<(JoinHandle<()>, Arc<AtomicBool>)>,
    /// Serialises regions: two engines' callers may share a pool.
    region: Mutex<()>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("threads", &self.threads())
            .finish()
    }
}

impl Pool {
    /// A pool of `threads` threads, of which the caller of [`Pool::run`] is one; of fewer, where
    /// the system gives no more, and never of more than 1024.
    pub fn new(threads: usize) -> Pool {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            next: AtomicUsize::new(0),
            job: UnsafeCell::new(None),
            taken: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let mut workers = Vec::new();
        for index in 1..threads.min(MOST_THREADS) {
            let (shared, asleep) = (shared.clone(), Arc::new(AtomicBool::new(false)));
            let flag = asleep.clone();
            let Ok(handle) = thread::Builder::new()
                .name(format!("llmzip-{index}"))
                .spawn(move || worker(&shared, &flag, index))
            else {
                break;
            };
            workers.push((handle, asleep));
        }
        Pool {
            shared,
            workers,
            region: Mutex::new(()),
        }
    }

    /// Threads that take part in a region.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `work(thread, task)` once for every task below `tasks`; `thread` is below
    /// [`Pool::threads`] and no two calls at the same time have the same. Must not be called from
    /// inside a region.
    ///
    /// # Panics
    /// If `work` panics.
    pub fn run(&self, tasks: usize, work: &(dyn Fn(usize, usize) + Sync)) {
        if self.workers.is_empty() || tasks <= 1 {
            (0..tasks).for_each(|task| work(0, task));
            return;
        }
        let _region = self.region.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes; `Region::drop` below waits until no worker holds the
        // pointer.
        let job: *const Work = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize, usize) + Sync + '_), *const Work>(work)
        };
        // A caller whose own share panicked has not asked about the others.
        shared.panicked.store(false, Ordering::Relaxed);
        // SAFETY: the region is closed and empty: no worker reads the cell.
        unsafe { *shared.job.get() = Some((job, tasks)) };
        shared.next.store(0, Ordering::Relaxed);
        let region = (shared.state.load(Ordering::Relaxed) >> REGION).wrapping_add(1);
        shared
            .state
            .store(region << REGION | OPEN, Ordering::SeqCst);
        for (index, (handle, asleep)) in self.workers.iter().enumerate() {
            if asleep.load(Ordering::SeqCst) && !shared.is_replaced(index + 1) {
                handle.thread().unpark();
            }
        }
        let closing = Region(shared);
        drain(shared, job, tasks, 0);
        drop(closing);
        if shared.panicked.swap(false, Ordering::Relaxed) {
            panic!("a worker thread panicked");
        }
    }

    /// Makes the calling thread the helper; `None` if there is one already, or no worker whose
    /// place it could take.
    pub fn helper(&self) -> Option<Helper<'_>> {
        if self.workers.len() < HELPERS_PLACE {
            return None;
        }
        // The worker is inside a region for microseconds; a helper stays.
        let start = Instant::now();
        while !self.shared.take_place() {
            if start.elapsed() > SPIN {
                return None;
            }
            std::hint::spin_loop();
        }
        Some(Helper {
            shared: &self.shared,
            done: 0,
        })
    }

    /// Calls `work` once for every item, each with the scratch space of the thread it runs on.
    ///
    /// # Panics
    /// If `work` panics, or there are fewer scratch spaces than threads.
    pub fn for_each<S: Send, T: Send>(
        &self,
        scratch: &mut [S],
        items: &mut [T],
        work: impl Fn(&mut S, &mut T) + Sync,
    ) {
        assert!(scratch.len() >= self.threads());
        let (scratch, count, items) = (
            Raw(scratch.as_mut_ptr()),
            items.len(),
            Raw(items.as_mut_ptr()),
        );
        self.run(count, &|thread, task| {
            // SAFETY: `run` gives each task out once and never runs two calls with one thread
            // number at a time, so both references are unique; both are in bounds.
            let (scratch, item) = unsafe { (&mut *scratch.at(thread), &mut *items.at(task)) };
            work(scratch, item);
        });
    }
}

/// A pointer that may cross threads; whoever dereferences it says why that is sound.
pub(crate) struct Raw<T>(pub(crate) *mut T);

impl<T> Raw<T> {
    pub(crate) fn at(&self, index: usize) -> *mut T {
        self.0.wrapping_add(index)
    }
}

// SAFETY: a pointer is a number; the promises are made where it is dereferenced.
unsafe impl<T: Send> Sync for Raw<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Raw<T> {}

/// Closes the region and waits for the workers inside, also when the caller's own share panics.
struct Region<'a>(&'a Shared);

impl Drop for Region<'_> {
    fn drop(&mut self) {
        let mut rounds = 0u32;
        let mut state = self.0.state.fetch_and(!OPEN, Ordering::AcqRel);
        while state & INSIDE != 0 {
            rounds += 1;
            // A worker that lost its processor needs ours.
            if rounds.is_multiple_of(2048) {
                thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
            state = self.0.state.load(Ordering::Acquire);
        }
    }
}

/// Takes tasks until there are none.
fn drain(shared: &Shared, job: *const Work, tasks: usize, thread: usize) {
    // SAFETY: the closure lives until the region is closed and empty, and this thread is inside.
    let work = unsafe { &*job };
    loop {
        let task = shared.next.fetch_add(1, Ordering::Relaxed);
        if task >= tasks {
            return;
        }
        work(thread, task);
    }
}

/// The thread that stands in for the first worker, whenever it has nothing else to do.
///
/// Must not call [`Pool::run`] of the same pool.
pub struct Helper<'a> {
    shared: &'a Shared,
    /// The region helped last.
    done: u64,
}

impl std::fmt::Debug for Helper<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Helper").finish_non_exhaustive()
    }
}

impl Helper<'_> {
    /// Works in regions that others open until `poll` gives something, which it should after one of
    /// them.
    pub fn work_until<T>(&mut self, mut poll: impl FnMut() -> Option<T>) -> T {
        let _environment = FloatEnvironment::enter();
        let mut idle = Instant::now();
        loop {
            for _ in 0..64 {
                if let Some(found) = poll() {
                    return found;
                }
                if let Some(state) = self.shared.fresh(self.done)
                    && self.shared.take_part(state, HELPERS_PLACE)
                {
                    self.done = state >> REGION;
                    idle = Instant::now();
                }
                std::hint::spin_loop();
            }
            if idle.elapsed() >= SPIN {
                thread::sleep(NAP);
            }
        }
    }
}

impl Drop for Helper<'_> {
    fn drop(&mut self) {
        self.shared.leave_place();
    }
}

impl Shared {
    /// Takes the helper's place, if it is free.
    fn take_place(&self) -> bool {
        !self.taken.swap(true, Ordering::SeqCst)
    }

    fn leave_place(&self) {
        self.taken.store(false, Ordering::SeqCst);
    }

    /// Whether worker `thread` must leave its place to a helper.
    fn is_replaced(&self, thread: usize) -> bool {
        thread == HELPERS_PLACE && self.taken.load(Ordering::SeqCst)
    }

    /// The state, if it is that of an open region other than `done`.
    fn fresh(&self, done: u64) -> Option<u64> {
        let state = self.state.load(Ordering::SeqCst);
        (state & OPEN != 0 && state >> REGION != done).then_some(state)
    }

    /// Enters the region of `state` as `thread` and leaves it when no task is left; false if the
    /// state has changed.
    fn take_part(&self, state: u64, thread: usize) -> bool {
        let entered =
            self.state
                .compare_exchange_weak(state, state + 1, Ordering::AcqRel, Ordering::Relaxed);
        if entered.is_err() {
            return false;
        }
        // SAFETY: this thread is inside the region, so the caller does not write.
        if let Some((job, tasks)) = unsafe { *self.job.get() } {
            let share = std::panic::AssertUnwindSafe(|| drain(self, job, tasks, thread));
            if std::panic::catch_unwind(share).is_err() {
                self.panicked.store(true, Ordering::Relaxed);
            }
        }
        self.state.fetch_sub(1, Ordering::Release);
        true
    }
}

fn worker(shared: &Shared, asleep: &AtomicBool, thread: usize) {
    let _environment = FloatEnvironment::enter();
    let mut done = 0;
    loop {
        let state = wait(shared, asleep, thread, done);
        if shared.stop.load(Ordering::Acquire) {
            return;
        }
        if thread == HELPERS_PLACE && !shared.take_place() {
            continue;
        }
        if shared.take_part(state, thread) {
            done = state >> REGION;
        }
        if thread == HELPERS_PLACE {
            shared.leave_place();
        }
    }
}

/// Waits for an open region other than `done`, or the end; returns the state seen.
fn wait(shared: &Shared, asleep: &AtomicBool, thread: usize, done: u64) -> u64 {
    let news = || {
        if shared.stop.load(Ordering::SeqCst) {
            return Some(0);
        }
        shared.fresh(done).filter(|_| !shared.is_replaced(thread))
    };
    let start = Instant::now();
    loop {
        for _ in 0..64 {
            if let Some(state) = news() {
                return state;
            }
            std::hint::spin_loop();
        }
        if start.elapsed() < SPIN {
            continue;
        }
        // The flag is raised before the last look, and the caller looks at the flag after it opened
        // the region, so one of the two sees the other.
        asleep.store(true, Ordering::SeqCst);
        while news().is_none() {
            thread::park();
        }
        asleep.store(false, Ordering::SeqCst);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let threads: Vec<Thread> = self
            .workers
            .iter()
            .map(|(handle, _)| handle.thread().clone())
            .collect();
        threads.iter().for_each(Thread::unpark);
        for (handle, _) in self.workers.drain(..) {
            // A worker catches the panics of its tasks and has none of its own.
            let _ = handle.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_in_every_region() {
        for threads in [1, 2, 5] {
            let pool = Pool::new(threads);
            for region in 0..500 {
                let mut items = vec![0usize; region % 37];
                let mut scratch = vec![0usize; threads];
                pool.for_each(&mut scratch, &mut items, |count, item| {
                    *count += 1;
                    *item += 1;
                });
                assert!(items.iter().all(|item| *item == 1));
                assert_eq!(scratch.iter().sum::<usize>(), items.len());
            }
        }
    }

    #[test]
    #[cfg(not(miri))] // A thousand threads take it minutes.
    fn a_pool_of_any_number_of_threads_is_soon_there() {
        let pool = Pool::new(usize::MAX);
        assert!((1..=MOST_THREADS).contains(&pool.threads()));
        let counter = AtomicUsize::new(0);
        pool.run(100, &|_, _| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(counter.load(Ordering::Relaxed), 100);
    }

    #[test]
    fn sleeping_workers_wake() {
        let pool = Pool::new(3);
        for _ in 0..5 {
            thread::sleep(Duration::from_millis(2));
            let counter = AtomicUsize::new(0);
            pool.run(100, &|_, _| {
                counter.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(counter.load(Ordering::Relaxed), 100);
        }
    }

    #[test]
    fn a_helper_takes_the_place_of_a_worker() {
        let pool = Pool::new(3);
        let (regions, tasks) = (200, 50);
        let finished = AtomicBool::new(false);
        let at_work: Vec<AtomicUsize> = (0..pool.threads()).map(|_| AtomicUsize::new(0)).collect();
        let helped = AtomicUsize::new(0);
        let this = thread::current().id();
        thread::scope(|scope| {
            let mut helper = pool.helper().expect("no helper before");
            assert!(pool.helper().is_none());
            scope.spawn(|| {
                for _ in 0..regions {
                    let count = AtomicUsize::new(0);
                    pool.run(tasks, &|thread, _| {
                        assert_eq!(at_work[thread].fetch_add(1, Ordering::SeqCst), 0);
                        thread::sleep(Duration::from_micros(1));
                        assert!(thread != HELPERS_PLACE || thread::current().id() == this);
                        helped.fetch_add(usize::from(thread == HELPERS_PLACE), Ordering::Relaxed);
                        at_work[thread].fetch_sub(1, Ordering::SeqCst);
                        count.fetch_add(1, Ordering::Relaxed);
                    });
                    assert_eq!(count.load(Ordering::Relaxed), tasks);
                }
                finished.store(true, Ordering::SeqCst);
            });
            helper.work_until(|| finished.load(Ordering::SeqCst).then_some(()));
        });
        assert!(helped.load(Ordering::Relaxed) > 0);
        assert!(pool.helper().is_some(), "the place is free again");
        assert!(Pool::new(1).helper().is_none());
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        let pool = Pool::new(2);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.run(64, &|_, task| assert_ne!(task, 40));
        }));
        assert!(result.is_err());
        pool.run(64, &|_, _| ());
    }
}
