//! Frames coded side by side: frames share no state, so each has a thread of its own.
//!
//! [`compress`] and [`decompress`] write what compressing and decompressing one frame after the
//! other writes, up to any error. The calling thread reads, asks the resolver, tells the progress
//! and writes, so callers need not be shared between threads. It holds whole frames, so long frames
//! are left to the other way, which holds a block and gives a single frame all threads.

mod compression;
mod decompression;
mod line;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::options::LONGEST_PARALLEL_FRAME;
use super::summary::{OnProgress, Progress};

pub(super) use compression::compress;
pub(super) use decompression::decompress;

/// What the threads tell the caller, and the caller them.
#[derive(Default)]
struct Run {
    original: AtomicU64,
    compressed: AtomicU64,
    is_cancelled: AtomicBool,
}

impl Run {
    /// Sets the progress; no frame is being coded.
    fn set(&self, progress: Progress) {
        self.original.store(progress.original, Ordering::Relaxed);
        self.compressed
            .store(progress.compressed, Ordering::Relaxed);
    }

    /// Tells the caller how far all frames have come; `Break` if it cancels.
    fn tell(&self, progress: OnProgress<'_>) -> ControlFlow<()> {
        progress(Progress {
            original: self.original.load(Ordering::Relaxed),
            compressed: self.compressed.load(Ordering::Relaxed),
        })
    }
}

/// Cancels the threads' work when the caller leaves, for whatever reason.
struct CancelOnDrop<'a>(&'a Run);

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        self.0.is_cancelled.store(true, Ordering::Relaxed);
    }
}

/// The part of one frame in the progress of a run.
struct Share<'a> {
    run: &'a Run,
    told: Progress,
}

impl<'a> Share<'a> {
    fn new(run: &'a Run) -> Share<'a> {
        Share {
            run,
            told: Progress::default(),
        }
    }

    /// Notes how far the frame has come, which may be less than before; `Break` if the run is
    /// cancelled.
    fn tell(&mut self, now: Progress) -> ControlFlow<()> {
        let add = |sum: &AtomicU64, now: u64, told: u64| {
            sum.fetch_add(now.wrapping_sub(told), Ordering::Relaxed);
        };
        add(&self.run.original, now.original, self.told.original);
        add(&self.run.compressed, now.compressed, self.told.compressed);
        self.told = now;
        match self.run.is_cancelled.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}
