//! The results of a comparison.

use super::outcome::{Outcome, Run};
use super::schedule;
use crate::report::{Sample, numbers};

/// Files under every compressor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The compressors, in the order of [`FileOutcomes::outcomes`].
    pub compressors: Vec<Compressor>,
    /// The files.
    pub files: Vec<FileOutcomes>,
}

/// A compressor that was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compressor {
    /// Tool and options, or `llmzip` and a model's name.
    pub name: String,
    /// What it needs to decompress.
    pub kind: CompressorKind,
}

/// A kind of compressor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressorKind {
    /// One that needs no model, such as `xz`.
    Classical,
    /// The adaptive experts of llmzip alone.
    Experts,
    /// llmzip with a language model.
    Model {
        /// Number of parameters of the model.
        parameters: u64,
        /// Bytes of the packed model, without which no file can be decompressed.
        bytes: u64,
    },
}

/// One file, or several added up, under every compressor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOutcomes {
    /// The file's name.
    pub name: String,
    /// Original bytes.
    pub original: u64,
    /// One for each compressor.
    pub outcomes: Vec<Outcome>,
}

/// A number by which compressors are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Fewest compressed bytes. Ratio and bits per byte rank alike.
    Size,
    /// Shortest times to compress. Times that overlap are not told apart.
    Compress,
    /// Shortest times to decompress.
    Decompress,
    /// Least memory. Differences of less than [`MEMORY_NOISE`] are not told apart.
    Memory,
}

/// Memory is measured in one process, and the same work takes a few percent more or less in
/// another.
pub const MEMORY_NOISE: f64 = 0.05;

impl Comparison {
    /// Measures every sample under every one of `compressors`. For each sample `begin` gives what
    /// runs the compressor with an index on it.
    ///
    /// # Errors
    ///
    /// The first error of a run.
    pub fn new<'a, E, R: FnMut(usize) -> Result<Run, E>>(
        samples: &'a [Sample],
        compressors: Vec<Compressor>,
        mut begin: impl FnMut(&'a Sample) -> R,
    ) -> Result<Comparison, E> {
        let mut files = Vec::new();
        for sample in samples {
            files.push(FileOutcomes {
                name: sample.name.clone(),
                original: sample.bytes.len() as u64,
                outcomes: schedule::measure(compressors.len(), begin(sample))?,
            });
        }
        Ok(Comparison { compressors, files })
    }

    /// All files added up, run by run, as often as each of them ran; their peak memory is the
    /// largest.
    pub fn total(&self) -> FileOutcomes {
        let mut files = self.files.iter();
        let mut outcomes = files
            .next()
            .map_or(Vec::new(), |file| file.outcomes.clone());
        for file in files {
            for (sum, outcome) in outcomes.iter_mut().zip(&file.outcomes) {
                sum.compressed += outcome.compressed;
                sum.compress = sum.compress.and_then(&outcome.compress);
                sum.decompress = sum.decompress.and_then(&outcome.decompress);
                sum.peak_memory = sum.peak_memory.max(outcome.peak_memory);
            }
        }
        FileOutcomes {
            name: format!("all {} files", self.files.len()),
            original: self.files.iter().map(|file| file.original).sum(),
            outcomes,
        }
    }
}

impl FileOutcomes {
    /// Whether the compressor with index `i` is the best by `metric`. Several with the smallest
    /// size are. Nothing is the best by speed or memory unless it differs from all others by more
    /// than their spread. An empty file has no best.
    pub fn is_best(&self, metric: Metric, i: usize) -> bool {
        let Some(one) = self.outcomes.get(i) else {
            return false;
        };
        let is_before = |other: &Outcome| match metric {
            Metric::Size => one.compressed <= other.compressed,
            Metric::Compress => one.compress.are_below(&other.compress),
            Metric::Decompress => one.decompress.are_below(&other.decompress),
            Metric::Memory => is_less(one.peak_memory, other.peak_memory),
        };
        let mut others = self.outcomes.iter().enumerate().filter(|&(j, _)| j != i);
        self.original > 0 && others.all(|(_, other)| is_before(other))
    }

    /// Original bytes per compressed byte; `None` for an empty file.
    pub fn ratio(&self, outcome: &Outcome) -> Option<f64> {
        numbers::bits_per_byte(self.original, outcome.compressed).map(|bits| 8.0 / bits)
    }
}

/// Whether one amount of memory is certainly less than another. What is not known is not less.
fn is_less(one: Option<u64>, other: Option<u64>) -> bool {
    let known = one.zip(other);
    known.is_some_and(|(one, other)| one as f64 * (1.0 + MEMORY_NOISE) < other as f64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::compare::Times;

    fn outcome(compressed: u64, compress: [u64; 2], decompress: [u64; 2], memory: u64) -> Outcome {
        let times = |millis: [u64; 2]| Times::new(millis.map(Duration::from_millis).to_vec());
        Outcome {
            compressed,
            compress: times(compress),
            decompress: times(decompress),
            peak_memory: Some(memory),
        }
    }

    #[test]
    fn sizes_may_tie_and_speeds_must_be_apart() {
        let file = FileOutcomes {
            name: "a".to_owned(),
            original: 100,
            outcomes: vec![
                outcome(10, [5, 6], [3, 4], 1000),
                outcome(10, [4, 5], [7, 8], 900),
                outcome(20, [9, 10], [5, 6], 940),
            ],
        };
        let best = |file: &FileOutcomes, metric| {
            (0..3)
                .filter(|&i| file.is_best(metric, i))
                .collect::<Vec<_>>()
        };
        assert_eq!(best(&file, Metric::Size), [0, 1]);
        assert_eq!(best(&file, Metric::Compress), [0; 0]);
        assert_eq!(best(&file, Metric::Decompress), [0]);
        assert_eq!(best(&file, Metric::Memory), [0; 0]);
        let mut clear = file.clone();
        clear.outcomes[1].peak_memory = Some(800);
        assert_eq!(best(&clear, Metric::Memory), [1]);
        let mut once = file;
        once.outcomes[0].decompress = Times::new(vec![Duration::from_millis(1)]);
        assert_eq!(best(&once, Metric::Decompress), [0; 0]);
    }

    #[test]
    fn files_are_added_up() {
        let file = |outcome| FileOutcomes {
            name: String::new(),
            original: 100,
            outcomes: vec![outcome],
        };
        let comparison = Comparison {
            compressors: Vec::new(),
            files: vec![
                file(outcome(1, [1, 2], [3, 4], 5)),
                file(outcome(10, [10, 20], [30, 40], 50)),
            ],
        };
        let total = comparison.total();
        assert_eq!(total.outcomes, [outcome(11, [11, 22], [33, 44], 50)]);
        assert_eq!(total.original, 200);
    }
}
