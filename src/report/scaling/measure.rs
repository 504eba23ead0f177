//! Measures a [`Scaling`].

use super::class::FileClass;
use super::curve::{Curve, MeasuredFile, Point, Scaling};
use crate::container::{ContainerError, FramePart, FrameReader};
use crate::report::{Candidate, OnMeasureProgress, ReportError, Sample};

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
    let mut files = Vec::new();
    for sample in samples {
        let points: Result<Vec<Point>, ReportError> = candidates
            .iter()
            .map(|candidate| point(sample, candidate, on_progress))
            .collect();
        files.push(MeasuredFile {
            name: sample.name.clone(),
            class: FileClass::of(&sample.bytes),
            points: points?,
        });
    }
    let curve = |class: FileClass| {
        let of_class = files.iter().filter(|file| file.class == class);
        Curve::new(class, &of_class.collect::<Vec<_>>())
    };
    let curves = FileClass::ALL.into_iter().filter_map(curve).collect();
    Ok(Scaling { files, curves })
}

/// Compresses in one stream, however slow that is to decompress: files are smallest so.
fn point(
    sample: &Sample,
    candidate: &Candidate,
    on_progress: OnMeasureProgress<'_>,
) -> Result<Point, ReportError> {
    let options = candidate.options().streams(1).count_cross_entropy(true);
    let (compressed, summary) = candidate.compress(&options, sample, on_progress)?;
    let payload =
        payload_len(&compressed).map_err(|error| candidate.failed(sample, error.into()))?;
    Ok(Point {
        model: candidate.name().to_owned(),
        parameters: candidate.parameters(),
        model_bytes: candidate.model_bytes(),
        original: summary.original_len,
        compressed: compressed.len() as u64,
        payload,
        cross_entropy: summary.cross_entropy.unwrap_or(0.0),
    })
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
            let scaling = measure(&[sample], &[Candidate::experts_alone()], &mut |_| {}).unwrap();
            let point = &scaling.files[0].points[0];
            let overhead = point.coder_overhead();
            assert!(
                (-1e-6..=64.0 + 8.0).contains(&overhead),
                "{overhead} of {point:?}"
            );
        }
    }
}
