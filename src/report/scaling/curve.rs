//! The results: the points of each file, and the curve of each class, which adds up the files of
//! the class.

use super::class::FileClass;
use super::fit::{Fit, NoFit};
use crate::report::numbers;

/// Files under every candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaling {
    /// The files, in the order given.
    pub files: Vec<MeasuredFile>,
    /// One curve for each class that occurs.
    pub curves: Vec<Curve>,
}

/// One file under every candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredFile {
    /// Its name.
    pub name: String,
    /// Its class.
    pub class: FileClass,
    /// One point for each candidate.
    pub points: Vec<Point>,
}

/// The files of one class added up.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The class.
    pub class: FileClass,
    /// Names of its files.
    pub files: Vec<String>,
    /// One point for each candidate, from the smallest model to the largest.
    pub points: Vec<Point>,
    /// The law fitted to the points that have a model.
    pub fit: Result<Fit, NoFit>,
}

/// What one candidate made of one file, or of several added up.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The model's name, `none` for the experts alone.
    pub model: String,
    /// Parameters of its model, 0 without one.
    pub parameters: u64,
    /// Bytes of its packed model, 0 without one.
    pub model_bytes: u64,
    /// Original bytes.
    pub original: u64,
    /// Bytes of the compressed files.
    pub compressed: u64,
    /// How many of them are coded data; the container takes the rest.
    pub payload: u64,
    /// Ideal code length in bits.
    pub cross_entropy: f64,
}

impl Point {
    /// Compressed bits per original byte; `None` for empty files.
    pub fn bits_per_byte(&self) -> Option<f64> {
        numbers::bits_per_byte(self.original, self.compressed)
    }

    /// Cross-entropy in bits per original byte; `None` for empty files.
    pub fn cross_entropy_per_byte(&self) -> Option<f64> {
        (self.original > 0).then(|| self.cross_entropy / self.original as f64)
    }

    /// Bits that the coder wrote in excess of the cross-entropy.
    pub fn coder_overhead(&self) -> f64 {
        8.0 * self.payload as f64 - self.cross_entropy
    }

    /// Bytes of the container: headers, lengths, checksums.
    pub fn container_overhead(&self) -> u64 {
        self.compressed - self.payload
    }

    /// Compressed bytes plus the bytes of the packed model.
    pub fn adjusted(&self) -> u64 {
        self.compressed + self.model_bytes
    }

    /// Length in bytes of a file of this kind at which the model has saved as many bytes as it has
    /// itself, compared with `baseline`, which has no model. `None` if it saves nothing.
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
    /// The point without a model, with which the others are compared.
    pub fn baseline(&self) -> Option<&Point> {
        self.points.iter().find(|point| point.model_bytes == 0)
    }

    /// Adds up `files`, all of which have this class; `None` if there are none.
    pub(super) fn new(class: FileClass, files: &[&MeasuredFile]) -> Option<Curve> {
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A point of a file of 1000 bytes.
    fn point(parameters: u64, compressed: u64) -> Point {
        Point {
            model: format!("m{parameters}"),
            parameters,
            model_bytes: parameters,
            original: 1000,
            compressed,
            payload: compressed - 20,
            cross_entropy: 8.0 * (compressed - 21) as f64,
        }
    }

    /// A curve of two files of prose, with a law.
    pub(in crate::report::scaling) fn scaling() -> Scaling {
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
}
