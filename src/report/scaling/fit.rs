//! The law bpb(N) = c + a * N^-b, fitted to points by least squares.
//!
//! For a given b the law is linear in c and a, and the best c and a have a closed form. The best b
//! is found by a search over a grid, and then by golden section. c is the entropy that remains
//! however large the model is, so it is not allowed below 0. [`NoFit`] lists the series that
//! determine no law.

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
    /// of fitted parameters, three, or two where `c` is held at 0. `None` if there are none: then
    /// the law goes through all points.
    pub error: Option<f64>,
    /// For each point, the measured bits per byte less those of the law.
    pub residuals: Vec<f64>,
}

/// Why there is no law.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoFit {
    /// There are fewer than three sizes of model, and the law has three parameters.
    #[error("no law fitted: three sizes of model are needed, found {0}")]
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
        check(points)?;
        let smallest = points.iter().map(|p| p.0).fold(f64::INFINITY, f64::min);
        // Sizes relative to the smallest keep the powers near 1.
        let series: Vec<(f64, f64)> = points.iter().map(|p| (p.0 / smallest, p.1)).collect();
        let b = best_exponent(&series).ok_or(NoFit::Undetermined)?;
        let line = Line::new(&series, b);
        if line.a <= 0.0 {
            return Err(NoFit::Rising);
        }
        let fitted = if line.c > 0.0 { 3 } else { 2 };
        let spare = points.len() - fitted;
        Ok(Fit {
            c: line.c,
            a: line.a * smallest.powf(b),
            b,
            error: (spare > 0).then(|| (line.loss / spare as f64).sqrt()),
            residuals: series.iter().map(|&(x, y)| y - line.at(x, b)).collect(),
        })
    }

    /// The bits per byte that the law gives a model with this many parameters.
    pub fn at(&self, parameters: f64) -> f64 {
        self.c + self.a * parameters.powf(-self.b)
    }
}

fn check(points: &[(f64, f64)]) -> Result<(), NoFit> {
    let mut sizes: Vec<f64> = points.iter().map(|p| p.0).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    if sizes.len() < 3 {
        return Err(NoFit::TooShort(sizes.len()));
    }
    let bits = || points.iter().map(|p| p.1);
    let range = bits().fold(f64::MIN, f64::max) - bits().fold(f64::MAX, f64::min);
    if range < FLAT * bits().sum::<f64>() / points.len() as f64 {
        return Err(NoFit::Flat);
    }
    Ok(())
}

/// The exponent with the smallest loss; `None` if it is at an end of [`EXPONENTS`].
fn best_exponent(series: &[(f64, f64)]) -> Option<f64> {
    let [low, high] = EXPONENTS;
    let exponent = |i: usize| low * (high / low).powf(i as f64 / GRID as f64);
    let loss = |b: f64| Line::new(series, b).loss;
    let best = (0..=GRID).min_by(|&i, &j| loss(exponent(i)).total_cmp(&loss(exponent(j))))?;
    if best == 0 || best == GRID {
        return None;
    }
    Some(golden_section(exponent(best - 1), exponent(best + 1), loss))
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

/// The best c and a for one exponent.
struct Line {
    c: f64,
    a: f64,
    /// Sum of squared residuals.
    loss: f64,
}

impl Line {
    fn new(series: &[(f64, f64)], b: f64) -> Line {
        let n = series.len() as f64;
        let xs = || series.iter().map(|p| p.0.powf(-b));
        let ys = || series.iter().map(|p| p.1);
        let (mean_x, mean_y) = (xs().sum::<f64>() / n, ys().sum::<f64>() / n);
        let spread: f64 = xs().map(|x| (x - mean_x).powi(2)).sum();
        let slope = xs().zip(ys()).map(|(x, y)| (x - mean_x) * (y - mean_y));
        let mut a = slope.sum::<f64>() / spread;
        let mut c = mean_y - a * mean_x;
        if c < 0.0 {
            c = 0.0;
            a = xs().zip(ys()).map(|(x, y)| x * y).sum::<f64>() / xs().map(|x| x * x).sum::<f64>();
        }
        let line = Line { c, a, loss: 0.0 };
        let loss = series.iter().map(|&(x, y)| (y - line.at(x, b)).powi(2));
        Line {
            loss: loss.sum(),
            ..line
        }
    }

    fn at(&self, x: f64, b: f64) -> f64 {
        self.c + self.a * x.powf(-b)
    }
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
        let flat = [(1e6, 2.0), (1e7, 2.001), (1e8, 1.999)];
        assert_eq!(Fit::new(&flat), Err(NoFit::Flat));
        let rising = [(1e6, 1.0), (1e7, 1.5), (1e8, 1.7)];
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
        assert!((fit.error.unwrap() - (squares / 2.0).sqrt()).abs() < 1e-12);
        assert_eq!(Fit::new(&points[..3]).unwrap().error, None);
    }

    #[test]
    fn where_nothing_must_remain_three_points_have_an_error() {
        let fit = Fit::new(&[(1e5, 2.6), (2e6, 1.9), (1.3e8, 1.1)]).unwrap();
        assert_eq!(fit.c, 0.0);
        let squares: f64 = fit.residuals.iter().map(|r| r * r).sum();
        assert!((fit.error.unwrap() - squares.sqrt()).abs() < 1e-12);
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
                sizes[..3 + extra].iter().map(|&n| (n, c + a * n.powf(-b))).collect();
            let fit = Fit::new(&points).unwrap();
            prop_assert!((fit.b - b).abs() < 1e-3, "{fit:?}");
            prop_assert!((fit.c - c).abs() < 1e-2, "{fit:?}");
            prop_assert!(fit.residuals.iter().all(|r| r.abs() < 1e-4), "{fit:?}");
        }
    }
}
