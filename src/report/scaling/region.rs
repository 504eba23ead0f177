//! The confidence region of a law, and the intervals that follow from it.
//!
//! The region holds every law c + a * N^-b whose sum of squared residuals is at most
//!
//! S * (1 + t^2 / (n - 3)),
//!
//! where S is the smallest sum, n the number of points, and t the two-sided 95 % quantile of
//! Student's distribution with n - 3 degrees of freedom. The range of a parameter over this region,
//! or of the law's value at one N, is its profile-likelihood interval: D. M. Bates and D. G. Watts,
//! "Nonlinear Regression Analysis and Its Applications" (1988), section 6.1.
//!
//! For one exponent the region is an ellipse in c and a, of which c >= 0 is allowed. So the range
//! of anything linear in c and a has a closed form, and only b is searched.

use super::line::Line;

/// A range of values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The laws that the points do not contradict.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Region {
    slices: Vec<Slice>,
    /// The size to which the slices' sizes are relative.
    smallest: f64,
}

/// The laws with one exponent.
#[derive(Debug, Clone, PartialEq)]
struct Slice {
    b: f64,
    /// c and a with the smallest sum, c of either sign.
    centre: [f64; 2],
    /// The inverse of the normal equations' matrix: for c, for c and a, and for a.
    inverse: [f64; 3],
    /// How much larger than the smallest the sum may be.
    slack: f64,
    /// The range of a where c is 0; `None` if no such law is in the region.
    at_zero: Option<Interval>,
}

/// Two-sided 95 % quantiles of Student's distribution with 1, 2, 3, ... degrees of freedom.
const STUDENT: [f64; 10] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
];
/// The same of the normal distribution.
const NORMAL: f64 = 1.95996;

/// Exponents that stand for all in the region.
const SLICES: usize = 100;
/// Steps of a bisection.
const STEPS: usize = 50;

impl Region {
    /// The region of `series`, whose sizes are relative to `smallest`. The law with exponent `best`
    /// has the smallest sum of squared residuals, `loss`. `exponents` are the ends of the range
    /// that is searched.
    pub(super) fn new(
        series: &[(f64, f64)],
        smallest: f64,
        (best, loss): (f64, f64),
        exponents: [f64; 2],
    ) -> Region {
        let freedom = series.len().saturating_sub(3).max(1);
        // Rounding must not empty the region of points that lie on a law.
        let limit = loss * (1.0 + student(freedom).powi(2) / freedom as f64) + 1e-12;
        let [low, high] = exponents.map(|end| edge(series, best, end, limit));
        let within = |i: usize| low * (high / low).powf(i as f64 / SLICES as f64);
        let all = (0..=SLICES).map(within).chain([best]);
        Region {
            slices: all.filter_map(|b| Slice::new(series, b, limit)).collect(),
            smallest,
        }
    }

    /// The range of c + a * N^-b at N = `parameters`.
    pub(super) fn at(&self, parameters: f64) -> Interval {
        let relative = parameters / self.smallest;
        self.range(|slice| [1.0, relative.powf(-slice.b)])
    }

    pub(super) fn c(&self) -> Interval {
        self.range(|_| [1.0, 0.0])
    }

    pub(super) fn a(&self) -> Interval {
        self.range(|slice| [0.0, self.smallest.powf(slice.b)])
    }

    pub(super) fn b(&self) -> Interval {
        union(self.slices.iter().map(|slice| Interval {
            low: slice.b,
            high: slice.b,
        }))
    }

    /// The range of the linear function of c and a whose coefficients `of` gives for each exponent.
    fn range(&self, of: impl Fn(&Slice) -> [f64; 2]) -> Interval {
        union(self.slices.iter().map(|slice| slice.range(of(slice))))
    }
}

/// The exponent farthest from `best` towards `end` whose law has at most the sum `limit`. The sum
/// is taken to grow all the way.
fn edge(series: &[(f64, f64)], best: f64, end: f64, limit: f64) -> f64 {
    let is_inside = |b: f64| Line::new(series, b).loss <= limit;
    if is_inside(end) {
        return end;
    }
    let (mut inside, mut outside) = (best, end);
    for _ in 0..STEPS {
        let middle = (inside * outside).sqrt();
        match is_inside(middle) {
            true => inside = middle,
            false => outside = middle,
        }
    }
    inside
}

impl Slice {
    /// The laws with exponent `b` whose sum of squared residuals is at most `limit`; `None` if
    /// there is none.
    fn new(series: &[(f64, f64)], b: f64, limit: f64) -> Option<Slice> {
        let allowed = Line::new(series, b);
        if allowed.loss > limit {
            return None;
        }
        let n = series.len() as f64;
        let sum = |term: &dyn Fn(f64, f64) -> f64| -> f64 {
            series.iter().map(|&(x, y)| term(x.powf(-b), y)).sum()
        };
        let (x, xx) = (sum(&|x, _| x), sum(&|x, _| x * x));
        let (y, xy) = (sum(&|_, y| y), sum(&|x, y| x * y));
        let determinant = n * xx - x * x;
        let a = (n * xy - x * y) / determinant;
        let c = (y - a * x) / n;
        let loss = sum(&|x, y| (y - c - a * x).powi(2));
        let zero = xy / xx;
        let room = limit - sum(&|x, y| (y - zero * x).powi(2));
        let reach = (room / xx).sqrt();
        Some(Slice {
            b,
            centre: [c, a],
            inverse: [xx / determinant, -x / determinant, n / determinant],
            slack: (limit - loss).max(0.0),
            at_zero: (room >= 0.0).then_some(Interval {
                low: zero - reach,
                high: zero + reach,
            }),
        })
    }

    /// The range of `g[0] * c + g[1] * a`. It is taken at the rim of the ellipse or, where c would
    /// be negative there, at c = 0.
    fn range(&self, g: [f64; 2]) -> Interval {
        let [cc, ca, aa] = self.inverse;
        let along = [cc * g[0] + ca * g[1], ca * g[0] + aa * g[1]];
        let variance = g[0] * along[0] + g[1] * along[1];
        let step = (self.slack / variance.max(f64::MIN_POSITIVE)).sqrt();
        let end = |sign: f64| {
            let c = self.centre[0] + sign * step * along[0];
            if c >= 0.0 {
                return c * g[0] + (self.centre[1] + sign * step * along[1]) * g[1];
            }
            let zero = self.at_zero.unwrap_or(Interval {
                low: 0.0,
                high: 0.0,
            });
            let a = if sign < 0.0 { zero.low } else { zero.high };
            g[1] * a
        };
        Interval {
            low: end(-1.0),
            high: end(1.0),
        }
    }
}

/// The smallest interval that holds all of `parts`.
fn union(parts: impl Iterator<Item = Interval>) -> Interval {
    let empty = Interval {
        low: f64::INFINITY,
        high: f64::NEG_INFINITY,
    };
    parts.fold(empty, |all, part| Interval {
        low: all.low.min(part.low),
        high: all.high.max(part.high),
    })
}

/// The two-sided 95 % quantile of Student's distribution. Beyond the table it is the expansion of
/// Abramowitz and Stegun, "Handbook of Mathematical Functions" (1964), 26.7.5.
pub(super) fn student(freedom: usize) -> f64 {
    let z = NORMAL;
    let terms = || {
        let n = freedom as f64;
        z + (z.powi(3) + z) / (4.0 * n)
            + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * n * n)
            + (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z)
                / (384.0 * n.powi(3))
    };
    let known = freedom.checked_sub(1).and_then(|i| STUDENT.get(i));
    known.copied().unwrap_or_else(terms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::scaling::Fit;

    #[test]
    fn quantiles_are_those_of_tables() {
        assert_eq!(student(1), 12.706);
        assert!((student(11) - 2.201).abs() < 1e-3 && (student(30) - 2.042).abs() < 1e-3);
    }

    #[test]
    fn points_on_a_law_determine_it() {
        let points = [1e5, 1e6, 1e7, 1e8, 1e9].map(|n: f64| (n, 1.0 + 100.0 * n.powf(-0.4)));
        let fit = Fit::new(&points).unwrap();
        for (interval, value) in [
            (fit.interval_of_c(), 1.0),
            (fit.interval_of_b(), 0.4),
            (fit.interval_at(3e7), 1.0 + 100.0 * 3e7f64.powf(-0.4)),
        ] {
            assert!((interval.low - value).abs() < 0.02, "{interval:?} {value}");
            assert!((interval.high - value).abs() < 0.02, "{interval:?} {value}");
        }
    }

    /// The intervals of many series with errors hold the truth about as often as they claim.
    #[test]
    fn nineteen_of_twenty_intervals_hold_the_truth() {
        let law = |n: f64| 1.2 + 40.0 * n.powf(-0.3);
        let mut state = 1u64;
        let mut uniform = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        // The sum of twelve uniform numbers is close to normal.
        let mut error = move || 0.005 * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0);
        let (mut all, mut held) = (0, [0; 2]);
        for _ in 0..400 {
            let sizes = [1e5, 4e5, 2e6, 1e7, 5e7, 3e8];
            let points = sizes.map(|n| (n, law(n) + error()));
            let Ok(fit) = Fit::new(&points) else {
                continue;
            };
            all += 1;
            let holds = |interval: Interval, x| interval.low <= x && x <= interval.high;
            held[0] += usize::from(holds(fit.interval_at(1e6), law(1e6)));
            held[1] += usize::from(holds(fit.interval_of_b(), 0.3));
        }
        assert!(all > 380, "{all}");
        for count in held {
            let share = count as f64 / f64::from(all);
            assert!((0.90..=0.99).contains(&share), "{held:?} of {all}");
        }
    }
}
