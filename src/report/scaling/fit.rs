//! The law bpb(N) = c + a * N^-b, fitted to points by least squares.
//!
//! For a given b the law is linear in c and a, and the best c and a have a closed form. The best b
//! is found by a search over a grid, and then by golden section. c is the entropy that remains
//! however large the model is, so it is not allowed below 0. [`NoFit`] lists the series that
//! determine no law.
//!
//! The intervals are those of [`Region`]. They take the distances of the points from the law for
//! independent errors of one normal distribution.

use super::line::Line;
use super::region::{Interval, Region};

/// A fitted law.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// Bits per byte that remain however large the model is.
    pub c: f64,
    /// Bits per byte in excess of `c` that the law gives a model with a single parameter.
    pub a: f64,
    /// The exponent.
    pub b: f64,
    /// Standard error of the regression in bits per byte: the square root of the sum of squared
    /// residuals divided by the degrees of freedom. These are the number of points less the number
    /// of fitted parameters: three, or two where `c` is held at 0.
    pub error: f64,
    /// For each point, the measured bits per byte less those of the law.
    pub residuals: Vec<f64>,
    /// By how much a law fitted to all points but the largest misses the largest, as a part of what
    /// was measured there; `None` if the others determine no law.
    pub held_out: Option<f64>,
    /// Parameters of the smallest and the largest model.
    pub sizes: (f64, f64),
    region: Region,
}

/// Why there is no law.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoFit {
    /// There are fewer than [`MIN_SIZES`] sizes of model. The law has three parameters, and
    /// whatever goes through three points says nothing of its own error.
    #[error("no law fitted: four sizes of model of one family are needed, found {0}")]
    TooShort(usize),
    /// The best and the worst point differ by less than half a percent.
    #[error("no law fitted: the sizes of model make no difference")]
    Flat,
    /// Larger models are not better.
    #[error("no law fitted: larger models are not better")]
    Rising,
    /// The best exponent lies outside [`EXPONENTS`].
    #[error("no law fitted: the points do not determine an exponent")]
    Undetermined,
}

/// The range of exponents searched.
pub const EXPONENTS: [f64; 2] = [0.01, 3.0];
/// Fewest sizes of model that give a law.
pub const MIN_SIZES: usize = 4;
/// Most points that are called few.
pub const FEW_POINTS: usize = 5;
const GRID: usize = 240;
const GOLDEN_STEPS: usize = 60;
/// A series is flat if its range is less than this part of its mean.
const FLAT: f64 = 0.005;

impl Fit {
    /// Fits a law to `points`, each a number of parameters, above 0, and its bits per byte.
    ///
    /// # Errors
    ///
    /// [`NoFit`] if the series is too short, flat, rising or without curvature.
    pub fn new(points: &[(f64, f64)]) -> Result<Fit, NoFit> {
        let sizes = sizes(points);
        if sizes.len() < MIN_SIZES {
            return Err(NoFit::TooShort(sizes.len()));
        }
        let smallest = sizes[0];
        // Sizes relative to the smallest keep the powers near 1.
        let series: Vec<(f64, f64)> = points.iter().map(|p| (p.0 / smallest, p.1)).collect();
        let (line, b) = best(&series)?;
        let fitted = if line.c > 0.0 { 3 } else { 2 };
        let largest = sizes.last().copied().unwrap_or(smallest);
        Ok(Fit {
            c: line.c,
            a: line.a * smallest.powf(b),
            b,
            error: (line.loss / (points.len() - fitted) as f64).sqrt(),
            residuals: series.iter().map(|&(x, y)| y - line.at(x, b)).collect(),
            held_out: held_out(&series, largest / smallest),
            sizes: (smallest, largest),
            region: Region::new(&series, smallest, (b, line.loss), EXPONENTS),
        })
    }

    /// The bits per byte that the law gives a model with this many parameters.
    pub fn at(&self, parameters: f64) -> f64 {
        self.c + self.a * parameters.powf(-self.b)
    }

    /// The interval of [`Fit::at`].
    pub fn interval_at(&self, parameters: f64) -> Interval {
        self.region.at(parameters)
    }

    /// The law between the smallest and the largest model, in `steps` equal steps of log N: N, the
    /// bits per byte, and their interval.
    pub fn curve(&self, steps: usize) -> impl Iterator<Item = (f64, f64, Interval)> {
        let (smallest, largest) = self.sizes;
        let at = move |i| smallest * (largest / smallest).powf(i as f64 / steps as f64);
        (0..=steps)
            .map(at)
            .map(|n| (n, self.at(n), self.interval_at(n)))
    }

    /// The interval of `c`.
    pub fn interval_of_c(&self) -> Interval {
        self.region.c()
    }

    /// The interval of `a`.
    pub fn interval_of_a(&self) -> Interval {
        self.region.a()
    }

    /// The interval of `b`. An end of [`EXPONENTS`] in it means that the points set no bound there.
    pub fn interval_of_b(&self) -> Interval {
        self.region.b()
    }

    /// Whether there are so few points that the intervals are wide.
    pub fn has_few_points(&self) -> bool {
        self.residuals.len() <= FEW_POINTS
    }
}

/// The sizes of `points`, ascending, each once.
fn sizes(points: &[(f64, f64)]) -> Vec<f64> {
    let mut sizes: Vec<f64> = points.iter().map(|p| p.0).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    sizes
}

/// The best law of a series, without [`NoFit::TooShort`].
fn best(series: &[(f64, f64)]) -> Result<(Line, f64), NoFit> {
    let bits = || series.iter().map(|p| p.1);
    let range = bits().fold(f64::MIN, f64::max) - bits().fold(f64::MAX, f64::min);
    if range < FLAT * bits().sum::<f64>() / series.len() as f64 {
        return Err(NoFit::Flat);
    }
    let b = best_exponent(series).ok_or(NoFit::Undetermined)?;
    let line = Line::new(series, b);
    match line.a > 0.0 {
        true => Ok((line, b)),
        false => Err(NoFit::Rising),
    }
}

/// What [`Fit::held_out`] says, where `largest` is the largest size.
fn held_out(series: &[(f64, f64)], largest: f64) -> Option<f64> {
    let (last, others): (Vec<_>, Vec<_>) = series.iter().partition(|p| p.0 == largest);
    let (line, b) = best(&others).ok()?;
    let measured = last.iter().map(|p| p.1).sum::<f64>() / last.len() as f64;
    Some(line.at(largest, b) / measured - 1.0)
}

/// The grid of exponents.
fn exponents() -> Vec<f64> {
    let [low, high] = EXPONENTS;
    let exponent = |i: usize| low * (high / low).powf(i as f64 / GRID as f64);
    (0..=GRID).map(exponent).collect()
}

/// The exponent with the smallest loss; `None` if it is at an end of [`EXPONENTS`].
fn best_exponent(series: &[(f64, f64)]) -> Option<f64> {
    let exponents = exponents();
    let loss = |b: f64| Line::new(series, b).loss;
    let losses: Vec<f64> = exponents.iter().map(|&b| loss(b)).collect();
    let best = (0..=GRID).min_by(|&i, &j| losses[i].total_cmp(&losses[j]))?;
    if best == 0 || best == GRID {
        return None;
    }
    Some(golden_section(
        exponents[best - 1],
        exponents[best + 1],
        loss,
    ))
}

/// The minimum of `f` between `low` and `high`, where it must have only one.
fn golden_section(mut low: f64, mut high: f64, f: impl Fn(f64) -> f64) -> f64 {
    let section = (5f64.sqrt() - 1.0) / 2.0;
    for _ in 0..GOLDEN_STEPS {
        let left = high - section * (high - low);
        let right = low + section * (high - low);
        if f(left) < f(right) {
            high = right;
        } else {
            low = left;
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_determines_no_law_gets_none() {
        assert_eq!(Fit::new(&[]), Err(NoFit::TooShort(0)));
        let twice = [(1e6, 2.0), (1e7, 1.0), (1e7, 1.1)];
        assert_eq!(Fit::new(&twice), Err(NoFit::TooShort(2)));
        let three = [(1e6, 2.0), (1e7, 1.0), (1e8, 0.9), (1e8, 0.8)];
        assert_eq!(Fit::new(&three), Err(NoFit::TooShort(3)));
        let flat = [(1e6, 2.0), (1e7, 2.001), (1e8, 1.999), (1e9, 2.0)];
        assert_eq!(Fit::new(&flat), Err(NoFit::Flat));
        let rising = [(1e6, 1.0), (1e7, 1.5), (1e8, 1.7), (1e9, 1.75)];
        assert_eq!(Fit::new(&rising), Err(NoFit::Rising));
        let step = [(1e6, 2.0), (1e7, 1.0), (1e8, 1.0), (1e9, 1.0)];
        assert_eq!(Fit::new(&step), Err(NoFit::Undetermined));
    }

    #[test]
    fn residuals_are_measured_less_fitted() {
        let points = [(1e6, 2.0), (4e6, 1.7), (2e7, 1.5), (1e8, 1.3), (4e8, 1.25)];
        let fit = Fit::new(&points).unwrap();
        for (&(n, bits), residual) in points.iter().zip(&fit.residuals) {
            assert!((bits - fit.at(n) - residual).abs() < 1e-9);
        }
        let squares: f64 = fit.residuals.iter().map(|r| r * r).sum();
        assert!((fit.error - (squares / 2.0).sqrt()).abs() < 1e-12);
        assert!(fit.has_few_points());
    }

    #[test]
    fn where_nothing_must_remain_one_parameter_less_is_fitted() {
        let fit = Fit::new(&[(1e5, 2.6), (2e6, 1.9), (1e7, 1.6), (1.3e8, 1.1)]).unwrap();
        assert_eq!(fit.c, 0.0);
        let squares: f64 = fit.residuals.iter().map(|r| r * r).sum();
        assert!((fit.error - (squares / 2.0).sqrt()).abs() < 1e-12);
        assert_eq!(fit.interval_of_c().low, 0.0);
    }

    #[test]
    fn the_largest_is_predicted_from_the_others() {
        let law = |n: f64| 1.0 + 100.0 * n.powf(-0.4);
        let mut points = [1e5, 1e6, 1e7, 1e8].map(|n| (n, law(n)));
        assert!(Fit::new(&points).unwrap().held_out.unwrap().abs() < 1e-3);
        points[3].1 *= 0.9;
        let held_out = Fit::new(&points).unwrap().held_out.unwrap();
        assert!((held_out - 1.0 / 0.9 + 1.0).abs() < 1e-3, "{held_out}");
    }

    proptest! {
        #[test]
        fn a_law_is_recovered(
            c in 0.1..2.0f64,
            gain in 0.2..2.0f64,
            b in 0.05..0.8f64,
            extra in 0usize..4,
        ) {
            let a = gain * 1e6f64.powf(b);
            let sizes: [f64; 7] = [1e6, 8e6, 5e7, 3e8, 2e9, 1e10, 7e10];
            let points: Vec<(f64, f64)> =
                sizes[..4 + extra].iter().map(|&n| (n, c + a * n.powf(-b))).collect();
            let fit = Fit::new(&points).unwrap();
            prop_assert!((fit.b - b).abs() < 1e-3, "{fit:?}");
            prop_assert!((fit.c - c).abs() < 1e-2, "{fit:?}");
            prop_assert!(fit.residuals.iter().all(|r| r.abs() < 1e-4), "{fit:?}");
        }
    }
}
