//! The results: the points of each file, and the curve of each class, which adds up the files of
//! the class.

use super::along::Along;
use super::break_even::BreakEven;
use super::class::FileClass;
use super::fit::{Fit, NoFit};
use crate::report::numbers;

/// Files under every candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaling {
    /// The families of models, each with the names of its models, the smallest first. Models of one
    /// family have the same vocabulary.
    pub families: Vec<Vec<String>>,
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
    /// For each family, the law fitted to the points of its models.
    pub fits: Vec<Result<Fit, NoFit>>,
}

/// What one candidate made of one file, or of several added up.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The model's name, `none` for the experts alone.
    pub model: String,
    /// Index of the model's family, `None` without a model.
    pub family: Option<usize>,
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
    /// The same along the file.
    pub along: Along,
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

    /// Where the model has saved as many bytes as it has itself, compared with `baseline`, which
    /// has no model. `None` if it saves nothing.
    pub fn break_even(&self, baseline: &Point) -> Option<BreakEven> {
        BreakEven::new(&baseline.along, &self.along, self.model_bytes)
    }

    fn add(&mut self, other: &Point) {
        self.original += other.original;
        self.compressed += other.compressed;
        self.payload += other.payload;
        self.cross_entropy += other.cross_entropy;
        self.along.add(&other.along);
    }
}

impl Curve {
    /// The point without a model, with which the others are compared.
    pub fn baseline(&self) -> Option<&Point> {
        self.points.iter().find(|point| point.model_bytes == 0)
    }

    /// The law of the point's family, and the index of the point in [`Fit::residuals`].
    pub fn fit_of(&self, point: &Point) -> Option<(&Fit, usize)> {
        let family = point.family?;
        let fit = self.fits.get(family)?.as_ref().ok()?;
        let index = self
            .of_family(family)
            .position(|other| other.model == point.model);
        Some((fit, index?))
    }

    /// The points of one family that have bits per byte.
    pub(super) fn of_family(&self, family: usize) -> impl Iterator<Item = &Point> {
        let is_in = move |point: &&Point| point.family == Some(family) && point.original > 0;
        self.points.iter().filter(is_in)
    }

    /// Adds up `files`, all of which have this class, under models of `families` families; `None`
    /// if there are none.
    pub(super) fn new(class: FileClass, files: &[&MeasuredFile], families: usize) -> Option<Curve> {
        let (first, others) = files.split_first()?;
        let mut points = first.points.clone();
        for file in others {
            for (sum, point) in points.iter_mut().zip(&file.points) {
                sum.add(point);
            }
        }
        let mut curve = Curve {
            class,
            files: files.iter().map(|file| file.name.clone()).collect(),
            points,
            fits: Vec::new(),
        };
        curve.fits = (0..families).map(|family| curve.fit(family)).collect();
        Some(curve)
    }

    fn fit(&self, family: usize) -> Result<Fit, NoFit> {
        let points: Vec<(f64, f64)> = self
            .of_family(family)
            .filter_map(|point| Some((point.parameters as f64, point.bits_per_byte()?)))
            .collect();
        Fit::new(&points)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A point of a file of 1000 bytes.
    fn point(parameters: u64, compressed: u64) -> Point {
        Point {
            model: format!("m{parameters}"),
            family: (parameters > 0).then_some(0),
            parameters,
            model_bytes: parameters,
            original: 1000,
            compressed,
            payload: compressed - 20,
            cross_entropy: 8.0 * (compressed - 21) as f64,
            along: Along::default(),
        }
    }

    /// A curve of two files of prose, with a law.
    pub(in crate::report::scaling) fn scaling() -> Scaling {
        let sizes = [
            (0, 400),
            (1_000_000, 300),
            (10_000_000, 250),
            (100_000_000, 225),
            (1_000_000_000, 212),
        ];
        let file = |name: &str| MeasuredFile {
            name: name.to_owned(),
            class: FileClass::Prose,
            points: sizes.iter().map(|&(n, bytes)| point(n, bytes)).collect(),
        };
        let files = vec![file("a"), file("<b>&")];
        let curves = Curve::new(FileClass::Prose, &files.iter().collect::<Vec<_>>(), 1);
        let models = sizes[1..].iter().map(|(n, _)| format!("m{n}"));
        Scaling {
            families: vec![models.collect()],
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
    fn files_of_a_class_are_added_up() {
        let scaling = scaling();
        let curve = &scaling.curves[0];
        assert_eq!(curve.files, ["a", "<b>&"]);
        assert_eq!(curve.points[1].compressed, 600);
        assert_eq!(curve.points[1].bits_per_byte(), Some(2.4));
        let fit = curve.fits[0].as_ref().unwrap();
        assert!(
            (fit.c - 1.6).abs() < 0.02 && (fit.b - 2f64.log10()).abs() < 0.02,
            "{fit:?}"
        );
        assert_eq!(curve.fit_of(&curve.points[0]), None);
        assert_eq!(curve.fit_of(&curve.points[2]), Some((fit, 1)));
    }

    #[test]
    fn families_are_never_joined_in_one_law() {
        let mut file = scaling().files.remove(0);
        file.points[3].family = Some(1);
        file.points[4].family = Some(1);
        let curve = Curve::new(FileClass::Prose, &[&file], 2).unwrap();
        assert_eq!(curve.fits[0], Err(NoFit::TooShort(2)));
        assert_eq!(curve.fits[1], Err(NoFit::TooShort(2)));
        assert_eq!(curve.fit_of(&curve.points[3]), None);
    }
}
