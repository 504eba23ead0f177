//! Measures a [`Scaling`].

use super::along::Along;
use super::class::FileClass;
use super::curve::{Curve, MeasuredFile, Point, Scaling};
use crate::container::{ContainerError, FramePart, FrameReader};
use crate::frame::{TracedBlock, trace};
use crate::report::{Candidate, OnMeasureProgress, Phase, ReportError, Sample};

/// Cost of a stored byte in bits.
const STORED: f64 = 8.0;

/// Compresses every sample with every candidate.
///
/// # Errors
///
/// [`ReportError::Llmzip`] if compression fails.
pub fn measure(
    samples: &[Sample],
    candidates: &[Candidate],
    on_progress: OnMeasureProgress<'_>,
) -> Result<Scaling, ReportError> {
    let families = Families::new(candidates);
    let mut files = Vec::new();
    for sample in samples {
        let points: Result<Vec<Point>, ReportError> = candidates
            .iter()
            .map(|candidate| {
                let point = point(sample, candidate, on_progress)?;
                Ok(Point {
                    family: families.index(candidate),
                    ..point
                })
            })
            .collect();
        files.push(MeasuredFile {
            name: sample.name.clone(),
            class: FileClass::of(&sample.bytes),
            points: points?,
        });
    }
    let families = families.names;
    let curve = |class: FileClass| {
        let of_class = files.iter().filter(|file| file.class == class);
        Curve::new(class, &of_class.collect::<Vec<_>>(), families.len())
    };
    let curves = FileClass::ALL.into_iter().filter_map(curve).collect();
    Ok(Scaling {
        families,
        files,
        curves,
    })
}

/// The families of the candidates.
struct Families {
    vocabularies: Vec<[u8; 32]>,
    names: Vec<Vec<String>>,
}

impl Families {
    fn new(candidates: &[Candidate]) -> Families {
        let mut families = Families {
            vocabularies: Vec::new(),
            names: Vec::new(),
        };
        for candidate in candidates {
            let Some(vocabulary) = candidate.vocabulary() else {
                continue;
            };
            let index = families.index(candidate).unwrap_or_else(|| {
                families.vocabularies.push(vocabulary);
                families.names.push(Vec::new());
                families.names.len() - 1
            });
            families.names[index].push(candidate.name().to_owned());
        }
        families
    }

    fn index(&self, candidate: &Candidate) -> Option<usize> {
        let vocabulary = candidate.vocabulary()?;
        self.vocabularies.iter().position(|one| *one == vocabulary)
    }
}

/// Compresses in one stream and with the model wherever it helps, however slow that is: files are
/// smallest so.
fn point(
    sample: &Sample,
    candidate: &Candidate,
    on_progress: OnMeasureProgress<'_>,
) -> Result<Point, ReportError> {
    let (mut compressed, mut along) = (Vec::new(), Along::default());
    let mut before = 0;
    let summary = trace(
        sample.bytes.as_slice(),
        &mut compressed,
        &candidate.options().streams(1).wanted_gain(0),
        &mut |block| push(&mut along, &mut before, &block),
        &mut |progress| on_progress(candidate.progress(sample, Phase::Compress, progress.original)),
    )
    .map_err(|error| candidate.failed(sample, error))?;
    let payload =
        payload_len(&compressed).map_err(|error| candidate.failed(sample, error.into()))?;
    Ok(Point {
        model: candidate.name().to_owned(),
        family: None,
        parameters: candidate.parameters(),
        model_bytes: candidate.model_bytes(),
        original: summary.original_len,
        compressed: compressed.len() as u64,
        payload,
        cross_entropy: summary.cross_entropy.unwrap_or(0.0),
        along,
    })
}

/// Adds what a block costs. `before` bytes come before it.
fn push(along: &mut Along, before: &mut u64, block: &TracedBlock) {
    if block.symbols.is_empty() {
        along.push(
            *before,
            block.original_len,
            STORED * block.original_len as f64,
        );
        *before += block.original_len;
    }
    for symbol in &block.symbols {
        along.push(*before, symbol.len.into(), symbol.bits.into());
        *before += u64::from(symbol.len);
    }
}

/// Bytes of the block payloads of a compressed file.
fn payload_len(compressed: &[u8]) -> Result<u64, ContainerError> {
    let mut reader = FrameReader::new(compressed);
    let mut len = 0;
    while let Some(item) = reader.next()? {
        if let FramePart::End(totals) = item {
            len += totals.payload_len;
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::MeasureProgress;
    use std::ops::ControlFlow;

    #[test]
    fn cross_entropy_is_a_little_less_than_what_is_coded() {
        let text = "the cat sat on the mat, the hat sat on the cat; ".repeat(200);
        let noise: Vec<u8> = (0..40_000u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 ^ (i.wrapping_mul(i) >> 7) as u8)
            .collect();
        for bytes in [text.into_bytes(), noise, Vec::new()] {
            let sample = Sample {
                name: "a".to_owned(),
                bytes,
            };
            let keep_going = &mut |_: MeasureProgress<'_>| ControlFlow::Continue(());
            let scaling = measure(&[sample], &[Candidate::experts_alone()], keep_going).unwrap();
            let point = &scaling.files[0].points[0];
            let overhead = point.coder_overhead();
            assert!(
                (-1e-6..=64.0 + 8.0).contains(&overhead),
                "{overhead} of {point:?}"
            );
            let along = &point.along;
            let bits: f64 = along.segments.iter().map(|one| one.bits).sum();
            let bytes: u64 = along.segments.iter().map(|one| one.bytes).sum();
            assert_eq!((bytes, along.longest), (point.original, point.original));
            assert!(
                (bits - point.cross_entropy).abs() < 1.0,
                "{bits} of {point:?}"
            );
        }
    }
}
