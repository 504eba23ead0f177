//! Measures one compressor on one file.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::comparison::{Compressor, CompressorKind};
use super::outcome::Run;
use crate::report::classical::{self, Classical};
use crate::report::{Candidate, MeasureProgress, OnMeasureProgress, Phase, ReportError, Sample};

/// All compressors: the classical codecs, then `candidates`.
pub fn compressors(candidates: &[Candidate]) -> Vec<Compressor> {
    let classical = classical::ALL.iter().map(|codec| Compressor {
        name: codec.name.to_owned(),
        kind: CompressorKind::Classical,
    });
    classical.chain(candidates.iter().map(describe)).collect()
}

/// Compresses and decompresses `sample` with the compressor that has index `i` in [`compressors`].
///
/// # Errors
///
/// [`ReportError`] if the compressor fails or does not give the original back.
///
/// # Panics
///
/// If there is no compressor with index `i`.
pub fn measure(
    sample: &Sample,
    candidates: &[Candidate],
    i: usize,
    on_progress: OnMeasureProgress<'_>,
) -> Result<Run, ReportError> {
    match classical::ALL.get(i) {
        Some(codec) => with_codec(sample, codec, on_progress),
        None => with_candidate(sample, &candidates[i - classical::ALL.len()], on_progress),
    }
}

fn describe(candidate: &Candidate) -> Compressor {
    let kind = match candidate.model_bytes() {
        0 => CompressorKind::Experts,
        bytes => CompressorKind::Model {
            parameters: candidate.parameters(),
            bytes,
        },
    };
    Compressor {
        name: format!("llmzip {}", candidate.name()),
        kind,
    }
}

fn with_codec(
    sample: &Sample,
    codec: &'static Classical,
    on_progress: OnMeasureProgress<'_>,
) -> Result<Run, ReportError> {
    let mut begin = |phase| match on_progress(MeasureProgress {
        file: &sample.name,
        compressor: codec.name,
        phase,
        done: 0,
        total: sample.bytes.len() as u64,
    }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(ReportError::Cancelled),
    };
    let failed = |error| ReportError::Codec {
        file: sample.name.clone(),
        codec: codec.name,
        error,
    };
    begin(Phase::Compress)?;
    let (compressed, compress) = timed(|| (codec.compress)(&sample.bytes));
    let compressed = compressed.map_err(failed)?;
    begin(Phase::Decompress)?;
    let (restored, decompress) = timed(|| (codec.decompress)(&compressed));
    verify(sample, codec.name, &restored.map_err(failed)?)?;
    Ok(Run {
        compressed: compressed.len() as u64,
        compress,
        decompress,
        peak_memory: None,
    })
}

fn with_candidate(
    sample: &Sample,
    candidate: &Candidate,
    on_progress: OnMeasureProgress<'_>,
) -> Result<Run, ReportError> {
    let (compressed, compress) = timed(|| candidate.compress(sample, on_progress));
    let compressed = compressed?;
    let (restored, decompress) = timed(|| candidate.decompress(sample, &compressed, on_progress));
    verify(sample, candidate.name(), &restored?)?;
    Ok(Run {
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
    use crate::report::compare::{Comparison, Metric};

    #[test]
    fn an_empty_file_is_measured_and_nobody_is_best() {
        let sample = Sample {
            name: "empty".to_owned(),
            bytes: Vec::new(),
        };
        let candidates = [Candidate::experts_alone()];
        let samples = [sample];
        let comparison = Comparison::new(&samples, compressors(&candidates), |sample| {
            |i| measure(sample, &candidates, i, &mut |_| ControlFlow::Continue(()))
        })
        .unwrap();
        let file = &comparison.files[0];
        assert!((0..8).all(|i| !file.is_best(Metric::Size, i)));
        assert!(
            file.outcomes
                .iter()
                .all(|one| one.compress.runs().len() >= 3)
        );
        assert_eq!(file.ratio(&file.outcomes[0]), None);
    }
}
