//! How compression depends on the size of the model, from none upwards.
//!
//! Files are grouped by [`FileClass`], each class one [`Curve`]. A point adds up the files of its
//! class under one rung: the model's cross-entropy, what the coder and the container add to it, and
//! what becomes of it when the weights are counted too, as in Delétang et al., "Language Modeling Is
//! Compression" (2024), who call the result adjusted.

mod axes;
mod class;
mod fit;
mod plot;
pub mod render;
mod svg;

pub use class::FileClass;
pub use fit::{EXPONENTS, Fit, NoFit};

use super::{OnStep, ReportError, Rung, Sample, numbers};
use crate::container::{FrameReader, Item};

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaling {
    /// The files, in the order given.
    pub files: Vec<MeasuredFile>,
    /// One for each class that occurs.
    pub curves: Vec<Curve>,
}

/// A file under every rung.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredFile {
    /// Its name.
    pub name: String,
    /// Its class.
    pub class: FileClass,
    /// One for each rung.
    pub points: Vec<Point>,
}

/// The files of one class taken together.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The class.
    pub class: FileClass,
    /// Names of its files.
    pub files: Vec<String>,
    /// One for each rung, from the smallest to the largest.
    pub points: Vec<Point>,
    /// The law that goes through the points that have a model.
    pub fit: Result<Fit, NoFit>,
}

/// What one rung made of one or several files.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The rung's name.
    pub rung: String,
    /// Parameters of its model, 0 without one.
    pub parameters: u64,
    /// Bytes of its packed model, 0 without one.
    pub model_bytes: u64,
    /// Original bytes.
    pub original: u64,
    /// Compressed bytes, whole files.
    pub compressed: u64,
    /// Of these, coded bytes; the rest is the container's.
    pub payload: u64,
    /// Ideal code length in bits.
    pub cross_entropy: f64,
}

impl Point {
    /// Compressed bits an original byte; `None` where there is none.
    pub fn bits_per_byte(&self) -> Option<f64> {
        numbers::bits_per_byte(self.original, self.compressed)
    }

    /// Cross-entropy in bits an original byte; `None` where there is none.
    pub fn cross_entropy_per_byte(&self) -> Option<f64> {
        (self.original > 0).then(|| self.cross_entropy / self.original as f64)
    }

    /// Bits that the coder wrote beyond the cross-entropy.
    pub fn coder_overhead(&self) -> f64 {
        8.0 * self.payload as f64 - self.cross_entropy
    }

    /// Bytes that the container adds: headers, lengths, checksums.
    pub fn container_overhead(&self) -> u64 {
        self.compressed - self.payload
    }

    /// Compressed bytes and those of the model.
    pub fn adjusted(&self) -> u64 {
        self.compressed + self.model_bytes
    }

    /// The length of a file of this kind from which on the model has paid for its own bytes, beside
    /// `baseline` without a model. `None` if it saves nothing.
    pub fn break_even(&self, baseline: &Point) -> Option<f64> {
        let saved = baseline.bits_per_byte()? - self.bits_per_byte()?;
        (saved > 0.0 && self.model_bytes > 0).then(|| 8.0 * self.model_bytes as f64 / saved)
    }

    fn add(&mut self, other: &Point) {
        self.original += other.original;
        self.compressed += other.compressed;
        self.payload += other.payload;
        self.cross_entropy += other.cross_entropy;
    }
}

impl Curve {
    /// The point without a model, which others are compared with.
    pub fn baseline(&self) -> Option<&Point> {
        self.points.iter().find(|point| point.model_bytes == 0)
    }

    fn new(class: FileClass, files: &[&MeasuredFile]) -> Option<Curve> {
        let (first, others) = files.split_first()?;
        let mut points = first.points.clone();
        for file in others {
            for (sum, point) in points.iter_mut().zip(&file.points) {
                sum.add(point);
            }
        }
        let with_model: Vec<(f64, f64)> = points
            .iter()
            .filter(|point| point.parameters > 0)
            .filter_map(|point| Some((point.parameters as f64, point.bits_per_byte()?)))
            .collect();
        Some(Curve {
            class,
            files: files.iter().map(|file| file.name.clone()).collect(),
            points,
            fit: Fit::new(&with_model),
        })
    }
}

/// Compresses every sample with every rung.
///
/// # Errors
///
/// If a rung fails.
pub fn measure(
    samples: &[Sample],
    rungs: &[Rung],
    on_step: OnStep<'_>,
) -> Result<Scaling, ReportError> {
    let mut files = Vec::new();
    for sample in samples {
        let points: Result<Vec<Point>, ReportError> = rungs
            .iter()
            .map(|rung| point(sample, rung, on_step))
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

fn point(sample: &Sample, rung: &Rung, on_step: OnStep<'_>) -> Result<Point, ReportError> {
    let (compressed, summary) = rung.predict(sample, on_step)?;
    let payload = payload_len(&compressed).map_err(|error| rung.failed(sample, error.into()))?;
    Ok(Point {
        rung: rung.name().to_owned(),
        parameters: rung.parameters(),
        model_bytes: rung.model_bytes(),
        original: summary.original_len,
        compressed: compressed.len() as u64,
        payload,
        cross_entropy: summary.cross_entropy.unwrap_or(0.0),
    })
}

/// Bytes of block payloads in a compressed file.
fn payload_len(compressed: &[u8]) -> Result<u64, crate::container::ContainerError> {
    let mut reader = FrameReader::new(compressed);
    let mut len = 0;
    while let Some(item) = reader.next()? {
        if let Item::FrameEnd(totals) = item {
            len += totals.payload_len;
        }
    }
    Ok(len)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A point of a file of 1000 bytes.
    pub(super) fn point(parameters: u64, compressed: u64) -> Point {
        Point {
            rung: format!("m{parameters}"),
            parameters,
            model_bytes: parameters,
            original: 1000,
            compressed,
            payload: compressed - 20,
            cross_entropy: 8.0 * (compressed - 21) as f64,
        }
    }

    /// A curve of two files of prose, with a law.
    pub(super) fn scaling() -> Scaling {
        let sizes = [
            (0, 400),
            (1_000_000, 300),
            (10_000_000, 250),
            (100_000_000, 225),
        ];
        let file = |name: &str| MeasuredFile {
            name: name.to_owned(),
            class: FileClass::Prose,
            points: sizes.iter().map(|&(n, bytes)| point(n, bytes)).collect(),
        };
        let files = vec![file("a"), file("<b>&")];
        let curves = Curve::new(FileClass::Prose, &files.iter().collect::<Vec<_>>());
        Scaling {
            curves: curves.into_iter().collect(),
            files,
        }
    }

    #[test]
    fn overheads_and_the_weights_add_up() {
        let point = point(5000, 300);
        assert_eq!(point.coder_overhead(), 8.0);
        assert_eq!(point.container_overhead(), 20);
        assert_eq!(point.adjusted(), 5300);
    }

    #[test]
    fn a_model_has_paid_for_itself_where_its_savings_are_its_bytes() {
        let baseline = point(0, 400);
        // A tenth of a byte is saved with every byte.
        let break_even = point(5000, 300).break_even(&baseline).unwrap();
        assert!((break_even - 50_000.0).abs() < 1e-6, "{break_even}");
        assert_eq!(point(5000, 400).break_even(&baseline), None);
        assert_eq!(baseline.break_even(&baseline), None);
    }

    #[test]
    fn files_of_a_class_are_added_up() {
        let scaling = scaling();
        let curve = &scaling.curves[0];
        assert_eq!(curve.files, ["a", "<b>&"]);
        assert_eq!(curve.points[1].compressed, 600);
        assert_eq!(curve.points[1].bits_per_byte(), Some(2.4));
        let fit = curve.fit.as_ref().unwrap();
        assert!((fit.c - 1.6).abs() < 1e-3 && (fit.b - 2f64.log10()).abs() < 1e-3);
    }

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
            let scaling = measure(&[sample], &[Rung::experts()], &mut |_| {}).unwrap();
            let point = &scaling.files[0].points[0];
            let overhead = point.coder_overhead();
            assert!(
                (-1e-6..=64.0 + 8.0).contains(&overhead),
                "{overhead} of {point:?}"
            );
        }
    }
}
