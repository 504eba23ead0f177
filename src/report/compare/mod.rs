//! llmzip beside other compressors: sizes and speeds, each verified by decompression.
//!
//! Classical codecs come first, then llmzip's rungs in the order given. Whoever asks for a [`Comparison`] says how each
//! [`Outcome`] is come by: [`measure`] does it in this process, and only a process that measures one alone can say what
//! memory it took.

pub mod render;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Compressed bytes.
    pub compressed: u64,
    /// Wall time of compression.
    pub compress: Duration,
    /// Wall time of decompression.
    pub decompress: Duration,
    /// Most bytes that a process had resident which did this and nothing else; `None` where that is not known.
    pub peak_memory: Option<u64>,
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
    /// Least memory.
    Memory,
}

/// All compressors: the classical ones, then `rungs`.
pub fn compressors(rungs: &[Rung]) -> Vec<Compressor> {
    let classical = classical::ALL.iter().map(|codec| Compressor {
        name: codec.name.to_owned(),
        kind: Kind::Classical,
    });
    classical.chain(rungs.iter().map(describe)).collect()
}

/// Compresses and decompresses `sample` with the `i`th of [`compressors`].
///
/// # Errors
///
/// If the compressor fails, or does not give the original back.
///
/// # Panics
///
/// If there are not as many compressors.
pub fn measure(
    sample: &Sample,
    rungs: &[Rung],
    i: usize,
    on_step: OnStep<'_>,
) -> Result<Outcome, ReportError> {
    match classical::ALL.get(i) {
        Some(codec) => with_codec(sample, codec, on_step),
        None => with_rung(sample, &rungs[i - classical::ALL.len()], on_step),
    }
}

impl Comparison {
    /// Every sample under every one of `compressors`; `outcome` says what a sample came to under one of them, given by its
    /// index.
    ///
    /// # Errors
    ///
    /// Those of `outcome`.
    pub fn new<E>(
        samples: &[Sample],
        compressors: Vec<Compressor>,
        mut outcome: impl FnMut(&Sample, usize) -> Result<Outcome, E>,
    ) -> Result<Comparison, E> {
        let mut files = Vec::new();
        for sample in samples {
            let outcomes = (0..compressors.len()).map(|i| outcome(sample, i));
            files.push(Group {
                name: sample.name.clone(),
                original: sample.bytes.len() as u64,
                outcomes: outcomes.collect::<Result<_, E>>()?,
            });
        }
        Ok(Comparison { compressors, files })
    }

    /// All files taken together.
    pub fn total(&self) -> Group {
        let mut outcomes = vec![Outcome::default(); self.compressors.len()];
        for file in &self.files {
            for (sum, outcome) in outcomes.iter_mut().zip(&file.outcomes) {
                sum.compressed += outcome.compressed;
                sum.compress += outcome.compress;
                sum.decompress += outcome.decompress;
                sum.peak_memory = sum.peak_memory.max(outcome.peak_memory);
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
            Column::Size => Some(u128::from(outcome.compressed)),
            Column::Compress => Some(outcome.compress.as_nanos()),
            Column::Decompress => Some(outcome.decompress.as_nanos()),
            Column::Memory => outcome.peak_memory.map(u128::from),
        };
        let best = self.outcomes.iter().filter_map(key).min();
        self.original > 0 && best.is_some() && best == self.outcomes.get(i).and_then(key)
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
        peak_memory: None,
    })
}

fn with_rung(sample: &Sample, rung: &Rung, on_step: OnStep<'_>) -> Result<Outcome, ReportError> {
    let (compressed, compress) = timed(|| rung.compress(sample, on_step));
    let (compressed, _) = compressed?;
    let (restored, decompress) = timed(|| rung.decompress(sample, &compressed, on_step));
    verify(sample, rung.name(), &restored?)?;
    Ok(Outcome {
        compressed: compressed.len() as u64,
        compress,
        decompress,
        peak_memory: None,
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
            peak_memory: (decompress > 3).then_some(decompress),
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
        assert_eq!(best(Column::Memory), [1]);
    }

    #[test]
    fn an_empty_file_is_measured_and_nobody_is_best() {
        let sample = Sample {
            name: "empty".to_owned(),
            bytes: Vec::new(),
        };
        let rungs = [Rung::experts()];
        let comparison = Comparison::new(&[sample], compressors(&rungs), |sample, i| {
            measure(sample, &rungs, i, &mut |_| {})
        })
        .unwrap();
        let file = &comparison.files[0];
        assert!((0..8).all(|i| !file.is_best(Column::Size, i)));
        assert_eq!(file.ratio(&file.outcomes[0]), None);
    }
}
