//! How much time coding takes, by part.

use std::time::{Duration, Instant};

/// What coding spent its time on, added up where frames are coded at the same time. The engine runs
/// beside the coder where it can: only the time for which the coder waits counts as the engine's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Times {
    /// The language model.
    pub engine: Duration,
    /// Experts, mixing and the range coder.
    pub coder: Duration,
}

impl Times {
    /// Adds the time since `start`, of which the coder waited `engine` for the engine.
    pub(super) fn add(&mut self, start: Instant, engine: Duration) {
        self.engine += engine;
        self.coder += start.elapsed().saturating_sub(engine);
    }

    /// Returns the times added so far, and sets them to zero.
    pub(super) fn take(&mut self) -> Times {
        std::mem::take(self)
    }
}

impl std::ops::AddAssign for Times {
    fn add_assign(&mut self, other: Times) {
        self.engine += other.engine;
        self.coder += other.coder;
    }
}

/// Runs `wait` and adds the time it takes to `waited`.
pub(super) fn timed<T>(waited: &mut Duration, wait: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = wait();
    *waited += start.elapsed();
    result
}
