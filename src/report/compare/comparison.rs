//! The results of a comparison.

use std::time::Duration;

use serde::{Deserialize, Serialize};

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

/// What one compressor made of one file. Decompression gave the original back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Compressed bytes.
    pub compressed: u64,
    /// Wall time of compression.
    pub compress: Duration,
    /// Wall time of decompression.
    pub decompress: Duration,
    /// Peak resident memory, in bytes, of a process that did nothing else; `None` if not known.
    pub peak_memory: Option<u64>,
}

/// A number by which compressors are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Fewest compressed bytes. Ratio and bits per byte rank alike.
    Size,
    /// Shortest time to compress.
    Compress,
    /// Shortest time to decompress.
    Decompress,
    /// Least memory.
    Memory,
}

impl Comparison {
    /// Measures every sample under every one of `compressors`. `outcome` measures one sample under
    /// the compressor with the given index.
    ///
    /// # Errors
    ///
    /// The first error of `outcome`.
    pub fn new<E>(
        samples: &[Sample],
        compressors: Vec<Compressor>,
        mut outcome: impl FnMut(&Sample, usize) -> Result<Outcome, E>,
    ) -> Result<Comparison, E> {
        let mut files = Vec::new();
        for sample in samples {
            let outcomes = (0..compressors.len()).map(|i| outcome(sample, i));
            files.push(FileOutcomes {
                name: sample.name.clone(),
                original: sample.bytes.len() as u64,
                outcomes: outcomes.collect::<Result<_, E>>()?,
            });
        }
        Ok(Comparison { compressors, files })
    }

    /// All files added up; their peak memory is the largest.
    pub fn total(&self) -> FileOutcomes {
        let mut outcomes = vec![Outcome::default(); self.compressors.len()];
        for file in &self.files {
            for (sum, outcome) in outcomes.iter_mut().zip(&file.outcomes) {
                sum.compressed += outcome.compressed;
                sum.compress += outcome.compress;
                sum.decompress += outcome.decompress;
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
    /// Whether no compressor is better than the one with index `i` by `metric`. An empty file has
    /// no best.
    pub fn is_best(&self, metric: Metric, i: usize) -> bool {
        let key = |outcome: &Outcome| match metric {
            Metric::Size => Some(u128::from(outcome.compressed)),
            Metric::Compress => Some(outcome.compress.as_nanos()),
            Metric::Decompress => Some(outcome.decompress.as_nanos()),
            Metric::Memory => outcome.peak_memory.map(u128::from),
        };
        let best = self.outcomes.iter().filter_map(key).min();
        self.original > 0 && best.is_some() && best == self.outcomes.get(i).and_then(key)
    }

    /// Original bytes per compressed byte; `None` for an empty file.
    pub fn ratio(&self, outcome: &Outcome) -> Option<f64> {
        numbers::bits_per_byte(self.original, outcome.compressed).map(|bits| 8.0 / bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(compressed: u64, compress: u64, decompress: u64) -> Outcome {
        Outcome {
            compressed,
            compress: Duration::from_millis(compress),
            decompress: Duration::from_millis(decompress),
            peak_memory: (decompress > 3).then_some(decompress),
        }
    }

    #[test]
    fn ties_share_the_first_place() {
        let file = FileOutcomes {
            name: "a".to_owned(),
            original: 100,
            outcomes: vec![outcome(10, 5, 3), outcome(10, 4, 7), outcome(20, 9, 3)],
        };
        let best = |metric| {
            (0..3)
                .filter(|&i| file.is_best(metric, i))
                .collect::<Vec<_>>()
        };
        assert_eq!(best(Metric::Size), [0, 1]);
        assert_eq!(best(Metric::Compress), [1]);
        assert_eq!(best(Metric::Decompress), [0, 2]);
        assert_eq!(best(Metric::Memory), [1]);
    }
}
