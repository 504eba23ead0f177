//! llmzip beside other compressors: sizes and speeds, each verified by decompression.
//!
//! Classical codecs come first, then llmzip's rungs in the order given. Peak memory is not measured:
//! all compressors run one after the other in this process, whose peak says nothing of each.

pub mod render;

use std::time::{Duration, Instant};

use super::classical::{self, Classical};
use super::{Direction, OnStep, ReportError, Rung, Sample, Step, numbers};

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The compressors, in the order of [`Group::outcomes`].
    pub compressors: Vec<Compressor>,
    /// The files.
    pub files: Vec<Group>,
}

/// A compressor that was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compressor {
    /// Tool and options, or a model's name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// What sort of compressor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One that needs no model.
    Classical,
    /// llmzip's adaptive experts alone.
    Experts,
    /// llmzip with a language model.
    Model {
        /// Its parameters.
        parameters: u64,
        /// Bytes of the packed model, which every reader of the file must have.
        bytes: u64,
    },
}

/// One file, or several taken together, under every compressor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The file's name.
    pub name: String,
    /// Original bytes.
    pub original: u64,
    /// One for each compressor.
    pub outcomes: Vec<Outcome>,
}

/// What one compressor made of a file. The original was got back from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Compressed bytes.
    pub compressed: u64,
    /// Wall time of compression.
    pub compress: Duration,
    /// Wall time of decompression.
    pub decompress: Duration,
}

/// A column of which somebody is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Fewest bytes; ratio and bits per byte follow.
    Size,
    /// Fastest to compress.
    Compress,
    /// Fastest to decompress.
    Decompress,
}

/// Compresses and decompresses every sample with every compressor.
///
/// # Errors
///
/// If a compressor fails, or does not give the original back.
pub fn measure(
    samples: &[Sample],
    rungs: &[Rung],
    on_step: OnStep<'_>,
) -> Result<Comparison, ReportError> {
    let classical = classical::ALL.iter().map(|codec| Compressor {
        name: codec.name.to_owned(),
        kind: Kind::Classical,
    });
    let compressors = classical.chain(rungs.iter().map(describe)).collect();
    let mut files = Vec::new();
    for sample in samples {
        let mut outcomes = Vec::new();
        for codec in &classical::ALL {
            outcomes.push(with_codec(sample, codec, on_step)?);
        }
        for rung in rungs {
            outcomes.push(with_rung(sample, rung, on_step)?);
        }
        files.push(Group {
            name: sample.name.clone(),
            original: sample.bytes.len() as u64,
            outcomes,
        });
    }
    Ok(Comparison { compressors, files })
}

impl Comparison {
    /// All files taken together.
    pub fn total(&self) -> Group {
        let mut outcomes = vec![Outcome::default(); self.compressors.len()];
        for file in &self.files {
            for (sum, outcome) in outcomes.iter_mut().zip(&file.outcomes) {
                sum.compressed += outcome.compressed;
                sum.compress += outcome.compress;
                sum.decompress += outcome.decompress;
            }
        }
        Group {
            name: format!("all {} files", self.files.len()),
            original: self.files.iter().map(|file| file.original).sum(),
            outcomes,
        }
    }
}

impl Group {
    /// Whether nobody is better than compressor `i` in `column`. Nobody is good at nothing.
    pub fn is_best(&self, column: Column, i: usize) -> bool {
        let key = |outcome: &Outcome| match column {
            Column::Size => Duration::from_nanos(outcome.compressed),
            Column::Compress => outcome.compress,
            Column::Decompress => outcome.decompress,
        };
        let best = self.outcomes.iter().map(key).min();
        self.original > 0 && best == self.outcomes.get(i).map(key)
    }

    /// Original bytes for each compressed one; `None` where there are none.
    pub fn ratio(&self, outcome: &Outcome) -> Option<f64> {
        numbers::bits_per_byte(self.original, outcome.compressed).map(|bits| 8.0 / bits)
    }
}

fn describe(rung: &Rung) -> Compressor {
    let kind = match rung.model_bytes() {
        0 => Kind::Experts,
        bytes => Kind::Model {
            parameters: rung.parameters(),
            bytes,
        },
    };
    Compressor {
        name: format!("llmzip {}", rung.name()),
        kind,
    }
}

fn with_codec(
    sample: &Sample,
    codec: &'static Classical,
    on_step: OnStep<'_>,
) -> Result<Outcome, ReportError> {
    let mut begin = |direction| {
        on_step(Step {
            file: &sample.name,
            compressor: codec.name,
            direction,
            done: 0,
            total: sample.bytes.len() as u64,
        });
    };
    let failed = |error| ReportError::Codec {
        file: sample.name.clone(),
        codec: codec.name,
        error,
    };
    begin(Direction::Compress);
    let (compressed, compress) = timed(|| (codec.compress)(&sample.bytes));
    let compressed = compressed.map_err(failed)?;
    begin(Direction::Decompress);
    let (restored, decompress) = timed(|| (codec.decompress)(&compressed));
    verify(sample, codec.name, &restored.map_err(failed)?)?;
    Ok(Outcome {
        compressed: compressed.len() as u64,
        compress,
        decompress,
    })
}

fn with_rung(sample: &Sample, rung: &Rung, on_step: OnStep<'_>) -> Result<Outcome, ReportError> {
    let (compressed, compress) = timed(|| rung.compress(sample, false, on_step));
    let (compressed, _) = compressed?;
    let (restored, decompress) = timed(|| rung.decompress(sample, &compressed, on_step));
    verify(sample, rung.name(), &restored?)?;
    Ok(Outcome {
        compressed: compressed.len() as u64,
        compress,
        decompress,
    })
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}

fn verify(sample: &Sample, compressor: &str, restored: &[u8]) -> Result<(), ReportError> {
    if restored == sample.bytes {
        return Ok(());
    }
    Err(ReportError::NotRestored {
        file: sample.name.clone(),
        compressor: compressor.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(compressed: u64, compress: u64, decompress: u64) -> Outcome {
        Outcome {
            compressed,
            compress: Duration::from_millis(compress),
            decompress: Duration::from_millis(decompress),
        }
    }

    #[test]
    fn ties_share_the_first_place() {
        let group = Group {
            name: "a".to_owned(),
            original: 100,
            outcomes: vec![outcome(10, 5, 3), outcome(10, 4, 7), outcome(20, 9, 3)],
        };
        let best = |column| {
            (0..3)
                .filter(|&i| group.is_best(column, i))
                .collect::<Vec<_>>()
        };
        assert_eq!(best(Column::Size), [0, 1]);
        assert_eq!(best(Column::Compress), [1]);
        assert_eq!(best(Column::Decompress), [0, 2]);
    }

    #[test]
    fn an_empty_file_is_measured_and_nobody_is_best() {
        let sample = Sample {
            name: "empty".to_owned(),
            bytes: Vec::new(),
        };
        let comparison = measure(&[sample], &[Rung::experts()], &mut |_| {}).unwrap();
        let file = &comparison.files[0];
        assert!((0..8).all(|i| !file.is_best(Column::Size, i)));
        assert_eq!(file.ratio(&file.outcomes[0]), None);
    }
}
