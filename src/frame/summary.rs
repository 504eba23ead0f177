//! The progress of a run, and its totals.

use std::ops::ControlFlow;

use crate::codec::Times;
use crate::container::Mode;

/// How far a run has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Original bytes compressed or restored so far.
    pub original: u64,
    /// Compressed bytes made or read so far.
    pub compressed: u64,
}

/// Called many times a second with the progress of a run; `Break` cancels the run.
pub type OnProgress<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// A progress callback that never cancels.
pub fn keep_going(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The totals of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// Original bytes.
    pub original_len: u64,
    /// Compressed bytes.
    pub compressed_len: u64,
    /// Original bytes by mode.
    pub modes: ModeLengths,
    /// Ideal code length in bits: the sum of -log2 of the probabilities of all decisions as they
    /// were predicted, and 8 for each stored byte. `None` unless
    /// [`count_cross_entropy`](crate::EncoderOptions::count_cross_entropy) is set.
    pub cross_entropy: Option<f64>,
    /// Time spent coding; trials, reading and writing are not counted.
    pub times: Times,
}

/// Original bytes by the mode that coded them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModeLengths {
    /// Stored as they are.
    pub raw: u64,
    /// Coded by the experts alone.
    pub experts: u64,
    /// Coded by the language model and the experts.
    pub model: u64,
}

impl ModeLengths {
    /// Counts `len` bytes coded in `mode`.
    pub(super) fn add(&mut self, mode: Mode, len: u64) {
        match mode {
            Mode::Raw => self.raw += len,
            Mode::Experts => self.experts += len,
            Mode::Model => self.model += len,
        }
    }
}

impl std::ops::AddAssign for ModeLengths {
    fn add_assign(&mut self, other: ModeLengths) {
        self.raw += other.raw;
        self.experts += other.experts;
        self.model += other.model;
    }
}

impl std::ops::AddAssign for Summary {
    fn add_assign(&mut self, other: Summary) {
        self.original_len += other.original_len;
        self.compressed_len += other.compressed_len;
        self.modes += other.modes;
        self.cross_entropy = (self.cross_entropy.zip(other.cross_entropy)).map(|(a, b)| a + b);
        self.times += other.times;
    }
}
