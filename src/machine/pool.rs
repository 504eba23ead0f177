//! Threads that share the work of one region after another.
//!
//! Decoding one token runs about 150 small regions, so opening and closing one must cost
//! microseconds. A region is a number of tasks; whoever works on it claims one task at a time. It
//! is complete when its tasks are done: the thread that opened it works too, and waits only for
//! tasks that others have claimed. A thread that sleeps, or that the system has taken off its
//! processor, therefore delays at most one task, and none if it came too late to claim one.
//!
//! Every wait looks for a moment, because most waits are short, and then sleeps, so that a thread
//! without work takes no processor from another one.
//!
//! A thread that waits for something else can take part as well, as a [`Helper`]. As long as there
//! is one, it takes the first worker's place, so that no more threads work than the pool has.
//!
//! In a child process the workers do not exist. A pool that a parent made still works there, on the
//! calling thread alone.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::float_environment::FloatEnvironment;
use super::forks;

/// Most threads of a pool. More would only take memory from the work.
const MOST_THREADS: usize = 1024;
/// How long a thread looks for what it waits for before it sleeps.
const SPIN: Duration = Duration::from_micros(300);
/// The first worker, whose place a helper takes.
const FIRST: usize = 1;

/// The threads that may work where `wanted` are asked for: no more than processors that this
/// process may use, which is also the meaning of 0. The processors that its affinity excludes are
/// not counted, nor, on Linux, those that the quota of its control group cannot pay for.
pub fn usable_threads(wanted: usize) -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    match wanted {
        0 => processors,
        wanted => wanted.min(processors),
    }
}

/// `threads`, where 0 means as many as there are processors that this process may use.
pub fn threads_or_all(threads: usize) -> usize {
    match threads {
        0 => usable_threads(0),
        threads => threads,
    }
}

/// The state of the newest region in one word, so that one exchange claims a task of this region
/// and of no other. It is complete when no task is left and no helper is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State(u64);

impl State {
    /// Bits of the number of tasks that nobody has claimed.
    const TASKS: u32 = 16;
    /// Bits of the number of threads inside, beside the one that opened the region.
    const INSIDE: u32 = 12;
    const MOST_TASKS: usize = (1 << State::TASKS) - 1;
    const ONE_INSIDE: u64 = 1 << State::TASKS;
    /// The rest is the number of the region. A thread would have to lose its processor for 2^36
    /// regions, which take hours, to mistake one for another.
    const ONE_REGION: u64 = 1 << (State::TASKS + State::INSIDE);

    /// The region after this one, with `tasks` tasks.
    fn next_region(self, tasks: usize) -> State {
        debug_assert!(self.is_complete() && tasks <= State::MOST_TASKS);
        State(self.0.wrapping_add(State::ONE_REGION) | tasks as u64)
    }

    fn is_complete(self) -> bool {
        self.0.is_multiple_of(State::ONE_REGION)
    }

    /// Tasks that nobody has claimed.
    fn tasks(self) -> usize {
        self.0 as usize & State::MOST_TASKS
    }

    /// Threads inside, beside the one that opened the region.
    fn inside(self) -> usize {
        (self.0 % State::ONE_REGION / State::ONE_INSIDE) as usize
    }

    /// With a task claimed, if one is left.
    fn claim(self) -> Option<State> {
        (self.tasks() > 0).then(|| State(self.0 - 1))
    }

    /// With one more thread inside, which has claimed a task. None leaves before all tasks are
    /// claimed and none joins afterwards, so the number of threads inside is the newest one's seat.
    fn join(self, seats: usize) -> Option<State> {
        let claimed = self.claim().filter(|_| self.inside() + 1 < seats)?;
        Some(State(claimed.0 + State::ONE_INSIDE))
    }

    /// With another task claimed by a thread inside; without the thread, if none is left.
    fn go_on(self) -> State {
        self.claim().unwrap_or(State(self.0 - State::ONE_INSIDE))
    }

    /// Without the tasks that nobody has claimed.
    fn withdraw(self) -> State {
        State(self.0 - self.tasks() as u64)
    }
}

/// What a region consists of. It lives on the stack of [`Pool::run`].
struct Region<'a> {
    work: &'a (dyn Fn(usize, usize) + Sync),
    tasks: usize,
}

struct Shared {
    state: AtomicU64,
    /// The newest region. Whoever is inside may use it.
    region: AtomicPtr<Region<'static>>,
    /// Threads that may be in a region, including the one that opens it.
    seats: AtomicUsize,
    /// What a task of the newest region panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Whether a helper has the first worker's place.
    is_replaced: AtomicBool,
    stop: AtomicBool,
    /// Threads that wait for a region.
    idle: Sleepers,
    /// The thread that opened the region, which waits for those inside.
    opener: Sleepers,
    /// The first worker, while a helper has its place.
    replaced: Sleepers,
}

/// Threads that sleep until something has happened.
#[derive(Default)]
struct Sleepers {
    count: AtomicUsize,
    lock: Mutex<()>,
    woken: Condvar,
}

impl Sleepers {
    /// Sleeps until `has_happened` returns true, which it may do at once.
    fn sleep_until(&self, mut has_happened: impl FnMut() -> bool) {
        let mut guard = lock(&self.lock);
        // The count is raised before the look, and `wake` looks at the count after whatever has
        // happened, so one of the two sees the other; and `wake` cannot take the lock between the
        // look and the sleep.
        self.count.fetch_add(1, Ordering::SeqCst);
        while !has_happened() {
            guard = self
                .woken
                .wait(guard)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.count.fetch_sub(1, Ordering::SeqCst);
    }

    /// Wakes those that sleep. The caller has done before what they wait for, with an access that
    /// is sequentially consistent or under a lock.
    fn wake(&self) {
        if self.count.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.lock));
            self.woken.notify_all();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A fixed set of threads.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Serialises regions: two engines' callers may share a pool.
    turn: Mutex<()>,
    /// [`forks::count`] when the workers were started.
    forks: u64,
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
        let forks = forks::count();
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            region: AtomicPtr::new(ptr::null_mut()),
            seats: AtomicUsize::new(1),
            panic: Mutex::new(None),
            is_replaced: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            idle: Sleepers::default(),
            opener: Sleepers::default(),
            replaced: Sleepers::default(),
        });
        let mut workers = Vec::new();
        for index in FIRST..threads.min(MOST_THREADS) {
            let shared = Arc::clone(&shared);
            let builder = thread::Builder::new().name(format!("llmzip-{index}"));
            let Ok(handle) = builder.spawn(move || worker(&shared, index)) else {
                break;
            };
            workers.push(handle);
        }
        shared.seats.store(workers.len() + 1, Ordering::Relaxed);
        Pool {
            shared,
            workers,
            turn: Mutex::new(()),
            forks,
        }
    }

    /// Whether there is anybody to share the work with.
    fn has_workers(&self) -> bool {
        !self.workers.is_empty() && self.forks == forks::count()
    }

    /// Threads that may take part in a region.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `work(seat, task)` once for every task below `tasks`; `seat` is below
    /// [`Pool::threads`], and no two calls at the same time have the same. Must not be called from
    /// inside a region.
    ///
    /// # Panics
    /// If `work` panics. The tasks that nobody has claimed by then are not done.
    pub fn run(&self, tasks: usize, work: &(dyn Fn(usize, usize) + Sync)) {
        if tasks <= 1 || !self.has_workers() {
            (0..tasks).for_each(|task| work(0, task));
            return;
        }
        let _turn = lock(&self.turn);
        for first in (0..tasks).step_by(State::MOST_TASKS) {
            let tasks = (tasks - first).min(State::MOST_TASKS);
            self.region(tasks, &|seat, task| work(seat, first + task));
        }
    }

    /// One region; the caller has the turn.
    fn region(&self, tasks: usize, work: &(dyn Fn(usize, usize) + Sync)) {
        let shared = &*self.shared;
        let region = Region { work, tasks };
        let pointer = (&raw const region).cast_mut().cast::<Region<'static>>();
        shared.region.store(pointer, Ordering::Relaxed);
        let last = State(shared.state.load(Ordering::Relaxed));
        (shared.state).store(last.next_region(tasks).0, Ordering::SeqCst);
        shared.idle.wake();
        let opened = Opened(shared);
        while let Some(before) = shared.exchange(State::claim) {
            work(0, tasks - before.tasks());
        }
        drop(opened);
        if let Some(panic) = lock(&shared.panic).take() {
            resume_unwind(panic);
        }
    }

    /// Lets threads take part while they wait for something else; `None` if other threads already
    /// do, or if there is no worker whose place they could take.
    pub fn helper(&self) -> Option<Helper<'_>> {
        let shared = &*self.shared;
        if !self.has_workers() || shared.is_replaced.swap(true, Ordering::SeqCst) {
            return None;
        }
        Some(Helper { shared })
    }

    /// Calls `work` once for every item, each with a scratch space that no other call has at the
    /// same time.
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
        self.run(count, &|seat, task| {
            // SAFETY: `run` gives each task out once and never runs two calls with one seat at a
            // time, so both references are unique; both are in bounds.
            let (scratch, item) = unsafe { (&mut *scratch.at(seat), &mut *items.at(task)) };
            work(scratch, item);
        });
    }
}

/// Calls `work` once for every item: on the threads of `pool`, or on the calling thread alone
/// without one.
///
/// # Panics
/// If `work` panics.
pub fn for_each<T: Send>(pool: Option<&Pool>, items: &mut [T], work: impl Fn(&mut T) + Sync) {
    match pool {
        // Memory that takes no room needs no allocation.
        Some(pool) => pool.for_each(&mut vec![(); pool.threads()], items, |_, item| work(item)),
        None => items.iter_mut().for_each(work),
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

/// Waits, when dropped, until the region is complete, also when a task of the opener panics.
struct Opened<'a>(&'a Shared);

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        let shared = self.0;
        if thread::panicking() {
            shared.exchange(|state| Some(state.withdraw()));
        }
        let is_complete = || shared.state().is_complete();
        if spin_until(|| is_complete().then_some(())).is_none() {
            shared.opener.sleep_until(is_complete);
        }
        // A panic of this thread's own goes first.
        if thread::panicking() {
            lock(&shared.panic).take();
        }
    }
}

/// Looks for [`SPIN`] for something.
fn spin_until<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let mut start = None;
    loop {
        for _ in 0..64 {
            if let Some(found) = look() {
                return Some(found);
            }
            std::hint::spin_loop();
        }
        if start.get_or_insert_with(Instant::now).elapsed() >= SPIN {
            return None;
        }
    }
}

/// Takes part in regions while threads wait for something else.
///
/// A thread inside [`Helper::work_until`] must not call [`Pool::run`] of the same pool.
pub struct Helper<'a> {
    shared: &'a Shared,
}

impl std::fmt::Debug for Helper<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Helper").finish_non_exhaustive()
    }
}

impl Helper<'_> {
    /// Works in regions that others open until `poll` gives something. Whoever lets it do so calls
    /// [`Helper::wake`] afterwards.
    pub fn work_until<T>(&self, poll: impl FnMut() -> Option<T>) -> T {
        let _environment = FloatEnvironment::enter();
        self.shared.work_until(poll)
    }

    /// Makes threads inside [`Helper::work_until`] poll again. What they poll for was written
    /// before, with an access that is sequentially consistent or under a lock.
    pub fn wake(&self) {
        self.shared.idle.wake();
    }
}

impl Drop for Helper<'_> {
    fn drop(&mut self) {
        self.shared.is_replaced.store(false, Ordering::SeqCst);
        self.shared.replaced.wake();
    }
}

impl Shared {
    fn state(&self) -> State {
        State(self.state.load(Ordering::SeqCst))
    }

    fn join(&self, state: State) -> Option<State> {
        state.join(self.seats.load(Ordering::Relaxed))
    }

    /// Replaces the state with what `change` makes of it, and returns the one before; `None` if
    /// `change` refuses.
    fn exchange(&self, change: impl Fn(State) -> Option<State>) -> Option<State> {
        let change = |state| change(State(state)).map(|state| state.0);
        let before = (self.state).fetch_update(Ordering::SeqCst, Ordering::SeqCst, change);
        before.ok().map(State)
    }

    /// Claims another task, or leaves if none is left; returns the state before.
    fn go_on(&self) -> State {
        let mut state = self.state();
        while let Err(newer) = self.state.compare_exchange_weak(
            state.0,
            state.go_on().0,
            Ordering::SeqCst,
            Ordering::SeqCst,
        ) {
            state = State(newer);
        }
        state
    }

    /// Works in the open region until all its tasks are claimed; false if there is none, or no seat
    /// in it.
    fn take_part(&self) -> bool {
        let Some(mut before) = self.exchange(|state| self.join(state)) else {
            return false;
        };
        // SAFETY: this thread is inside, so the opener is still in `run`, where the region lives.
        // The exchange has made the opener's writes visible.
        let region = unsafe { &*self.region.load(Ordering::Relaxed) };
        let seat = before.inside() + 1;
        while before.tasks() > 0 {
            let task = region.tasks - before.tasks();
            let work = AssertUnwindSafe(|| (region.work)(seat, task));
            if let Err(panic) = catch_unwind(work) {
                lock(&self.panic).get_or_insert(panic);
            }
            before = self.go_on();
        }
        // Outside: the region may be gone.
        self.opener.wake();
        true
    }

    /// Works in regions until `poll` gives something.
    fn work_until<T>(&self, mut poll: impl FnMut() -> Option<T>) -> T {
        let mut found = None;
        loop {
            let has_news = spin_until(|| {
                found = poll();
                (found.is_some() || self.take_part()).then_some(())
            });
            if has_news.is_none() {
                self.idle.sleep_until(|| {
                    found = poll();
                    found.is_some() || self.join(self.state()).is_some()
                });
            }
            if let Some(found) = found.take() {
                return found;
            }
        }
    }
}

fn worker(shared: &Shared, index: usize) {
    let _environment = FloatEnvironment::enter();
    let stops = || shared.stop.load(Ordering::SeqCst);
    let is_replaced = || index == FIRST && shared.is_replaced.load(Ordering::SeqCst);
    while !stops() {
        shared.work_until(|| (stops() || is_replaced()).then_some(()));
        shared.replaced.sleep_until(|| stops() || !is_replaced());
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if !self.has_workers() {
            // The system has taken the threads of a parent apart: nobody may ask for them.
            std::mem::forget(std::mem::take(&mut self.workers));
            return;
        }
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.idle.wake();
        self.shared.replaced.wake();
        for worker in self.workers.drain(..) {
            // A worker catches the panics of its tasks and has none of its own.
            let _ = worker.join();
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
            for region in 0..if cfg!(miri) { 40 } else { 500 } {
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
    #[cfg(all(unix, not(miri)))]
    fn a_child_process_works_alone_in_a_pool_of_its_parent() {
        let counts_to_100 = |pool: &Pool| {
            let counter = AtomicUsize::new(0);
            pool.run(100, &|_, _| {
                counter.fetch_add(1, Ordering::Relaxed);
            });
            counter.load(Ordering::Relaxed) == 100
        };
        let pool = Pool::new(3);
        assert!(counts_to_100(&pool) && pool.helper().is_some());
        // SAFETY: the child takes no lock that another thread of the test may hold.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let is_right = counts_to_100(&pool) && pool.helper().is_none();
            drop(pool);
            let of_child = Pool::new(3);
            let is_right = is_right && counts_to_100(&of_child) && of_child.helper().is_some();
            // SAFETY: the call ends the process.
            unsafe { libc::_exit(i32::from(!is_right)) };
        }
        let mut status = -1;
        // SAFETY: the call writes to `status`.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
        assert!(counts_to_100(&pool) && pool.helper().is_some());
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
        let (regions, tasks) = if cfg!(miri) { (20, 10) } else { (200, 50) };
        let finished = AtomicBool::new(false);
        let at_work: Vec<AtomicUsize> = (0..pool.threads()).map(|_| AtomicUsize::new(0)).collect();
        let helped = AtomicUsize::new(0);
        let this = thread::current().id();
        let helper = pool.helper().expect("no helper before");
        assert!(pool.helper().is_none());
        thread::scope(|scope| {
            scope.spawn(|| {
                // Goes on until the helper has helped.
                let mut region = 0;
                while region < regions || helped.load(Ordering::Relaxed) == 0 {
                    let count = AtomicUsize::new(0);
                    pool.run(tasks, &|seat, _| {
                        assert_eq!(at_work[seat].fetch_add(1, Ordering::SeqCst), 0);
                        thread::sleep(Duration::from_micros(1));
                        let here = thread::current();
                        assert_ne!(here.name(), Some("llmzip-1"));
                        helped.fetch_add(usize::from(here.id() == this), Ordering::Relaxed);
                        at_work[seat].fetch_sub(1, Ordering::SeqCst);
                        count.fetch_add(1, Ordering::Relaxed);
                    });
                    assert_eq!(count.load(Ordering::Relaxed), tasks);
                    region += 1;
                }
                finished.store(true, Ordering::SeqCst);
                helper.wake();
            });
            helper.work_until(|| finished.load(Ordering::SeqCst).then_some(()));
        });
        drop(helper);
        assert!(pool.helper().is_some(), "the place is free again");
        assert!(Pool::new(1).helper().is_none());
    }

    #[test]
    fn two_threads_can_help_and_none_has_the_seat_of_another() {
        let pool = Pool::new(2);
        let helper = pool.helper().expect("no helper before");
        let finished = AtomicBool::new(false);
        let at_work = [AtomicUsize::new(0), AtomicUsize::new(0)];
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| helper.work_until(|| finished.load(Ordering::SeqCst).then_some(())));
            }
            for _ in 0..if cfg!(miri) { 20 } else { 2000 } {
                pool.run(7, &|seat, _| {
                    assert_eq!(at_work[seat].fetch_add(1, Ordering::SeqCst), 0);
                    std::hint::spin_loop();
                    at_work[seat].fetch_sub(1, Ordering::SeqCst);
                });
            }
            finished.store(true, Ordering::SeqCst);
            helper.wake();
        });
    }

    /// A latch that waits for at most a minute, so that a test fails instead of hanging.
    fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < Duration::from_secs(60), "{what}");
            thread::sleep(Duration::from_micros(100));
        }
    }

    #[test]
    fn a_thread_that_stops_inside_a_task_delays_that_task_only() {
        let pool = Pool::new(3);
        let tasks = 100;
        for _ in 0..if cfg!(miri) { 2 } else { 20 } {
            let done = AtomicUsize::new(0);
            let stopped = AtomicUsize::new(usize::MAX);
            let stop = |task| {
                let order = Ordering::SeqCst;
                (stopped.compare_exchange(usize::MAX, task, order, order)).is_ok()
            };
            pool.run(tasks, &|seat, task| {
                if seat > 0 && stop(task) {
                    // Only the others can do the other tasks.
                    wait_for("the other tasks", || {
                        done.load(Ordering::SeqCst) == tasks - 1
                    });
                } else if seat == 0 {
                    // Until a worker has come.
                    wait_for("a worker", || stopped.load(Ordering::SeqCst) != usize::MAX);
                }
                done.fetch_add(1, Ordering::SeqCst);
            });
            assert_eq!(done.load(Ordering::SeqCst), tasks);
        }
    }

    #[test]
    fn a_thread_that_comes_late_delays_nothing() {
        let pool = Pool::new(2);
        let helper = pool.helper().expect("no helper before");
        let (away, back) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            // In place of a thread that has no processor: one that is busy with its own business.
            scope.spawn(|| {
                helper.work_until(|| {
                    away.store(true, Ordering::SeqCst);
                    wait_for("the regions", || back.load(Ordering::SeqCst));
                    Some(())
                });
            });
            wait_for("the helper", || away.load(Ordering::SeqCst));
            for region in 0..50 {
                let sum = AtomicUsize::new(0);
                pool.run(region, &|seat, task| {
                    assert_eq!(seat, 0);
                    sum.fetch_add(task, Ordering::Relaxed);
                });
                assert_eq!(
                    sum.load(Ordering::Relaxed),
                    region * region.saturating_sub(1) / 2
                );
            }
            back.store(true, Ordering::SeqCst);
        });
    }

    #[test]
    fn more_threads_than_processors_do_every_task_once() {
        let pool = Pool::new(if cfg!(miri) { 8 } else { 64 });
        for region in 0..if cfg!(miri) { 5 } else { 300 } {
            let mut items = vec![0usize; 40 + region % 7];
            pool.for_each(&mut vec![(); pool.threads()], &mut items, |(), item| {
                *item += 1;
            });
            assert!(items.iter().all(|item| *item == 1));
        }
    }

    #[test]
    #[cfg(not(miri))] // Takes it minutes.
    fn a_region_may_have_more_tasks_than_the_state_can_count() {
        let pool = Pool::new(2);
        let mut items = vec![0u8; 2 * State::MOST_TASKS + 5];
        pool.for_each(&mut [(); 2], &mut items, |(), item| {
            *item += 1;
        });
        assert!(items.iter().all(|item| *item == 1));
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        let pool = Pool::new(2);
        for in_worker in [false, true] {
            let worker_came = AtomicBool::new(false);
            let result = catch_unwind(AssertUnwindSafe(|| {
                pool.run(64, &|seat, _| {
                    worker_came.fetch_or(seat > 0, Ordering::SeqCst);
                    if in_worker && seat == 0 {
                        wait_for("a worker", || worker_came.load(Ordering::SeqCst));
                    }
                    assert!((seat > 0) != in_worker, "in seat {seat}");
                });
            }));
            let panic = result.expect_err("a panic");
            let expected = format!("in seat {}", usize::from(in_worker));
            assert_eq!(panic.downcast_ref(), Some(&expected));
            let count = AtomicUsize::new(0);
            pool.run(64, &|_, _| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(count.load(Ordering::Relaxed), 64);
        }
    }

    #[test]
    fn a_state_of_the_past_claims_nothing() {
        let first = State(0).next_region(2);
        let (one, two) = (first.join(3).unwrap(), first.claim().unwrap());
        assert_eq!(
            (one.tasks(), one.inside(), two.tasks(), two.inside()),
            (1, 1, 1, 0)
        );
        assert!(one.join(2).is_none(), "no seat is left");
        let both = one.claim().unwrap();
        assert!(both.claim().is_none() && both.join(3).is_none() && !both.is_complete());
        let complete = both.go_on();
        assert!(complete.is_complete() && complete.join(3).is_none());
        let second = complete.next_region(2);
        assert!(second != first && second.tasks() == 2 && second.inside() == 0);
        assert!(one.withdraw().go_on().is_complete());
        let last = State(u64::MAX << (State::TASKS + State::INSIDE)).next_region(1);
        assert_eq!(last, State(1), "the number of the region begins again");
    }

    #[test]
    fn no_more_threads_are_usable_than_processors() {
        let all = usable_threads(0);
        assert!(all >= 1 && usable_threads(1) == 1);
        assert_eq!(usable_threads(all + 1), all);
        assert_eq!(usable_threads(usize::MAX), all);
    }
}
