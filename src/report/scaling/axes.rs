//! The axes of a plot of bits per byte against parameters. The terminal and SVG share them.
//!
//! Both coordinates run from 0 to 1. The horizontal axis is broken: it shows 0 parameters, the
//! experts alone, at its left end. The sizes of models follow on a logarithmic scale between powers
//! of ten. The vertical axis shows bits per byte on a linear scale between round numbers.

use super::Fit;
use super::series::Series;
use crate::report::numbers;

/// Horizontal coordinate of the lowest power of ten, where 0 is shown too.
const FIRST_DECADE: f64 = 0.14;
/// Horizontal coordinate of the break between 0 and the lowest power of ten.
pub(super) const BREAK: f64 = 0.07;
/// Steps in which a law is drawn.
const LAW_STEPS: usize = 160;

/// The scales of a plot.
pub(super) struct Axes {
    /// Powers of ten at the ends of the logarithmic scale; `None` without models.
    decades: Option<(i32, i32)>,
    /// Whether 0 parameters are shown.
    has_zero: bool,
    /// Bits per byte at the lower and the upper edge.
    bits: (f64, f64),
    /// Bits per byte between two ticks.
    step: f64,
}

/// A coordinate on an axis, from 0 to 1, and its label. Small ticks have none.
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

/// A point on a law, and its interval.
pub(super) struct LawPoint {
    pub(super) across: f64,
    pub(super) up: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Axes {
    /// Axes for all points of `series`; `None` if there is no point.
    pub(super) fn new(series: &[Series<'_>]) -> Option<Axes> {
        let points = || series.iter().flat_map(|series| &series.points);
        let bits: Vec<f64> = points().filter_map(|point| point.bits_per_byte()).collect();
        let lowest = bits.iter().copied().reduce(f64::min)?;
        let highest = bits.iter().copied().reduce(f64::max)?;
        let sizes = || {
            points()
                .map(|point| point.parameters)
                .filter(|&size| size > 0)
        };
        let smallest = sizes().min().map(|size| size.ilog10() as i32);
        let largest = sizes()
            .max()
            .map(|size| (size as f64).log10().ceil() as i32);
        let step = round_step((highest - lowest).max(0.06) / 6.0);
        Some(Axes {
            decades: smallest
                .zip(largest)
                .map(|(low, high)| (low, high.max(low + 1))),
            has_zero: points().any(|point| point.parameters == 0),
            bits: (
                ((lowest / step).floor() * step).max(0.0),
                ((highest / step).floor() + 1.0) * step,
            ),
            step,
        })
    }

    /// Whether the horizontal axis is broken between 0 and the first power of ten.
    pub(super) fn is_broken(&self) -> bool {
        self.has_zero && self.decades.is_some()
    }

    /// Whether 0 parameters are shown.
    pub(super) fn has_zero(&self) -> bool {
        self.has_zero
    }

    /// Horizontal coordinate of a model with this many parameters.
    pub(super) fn across(&self, parameters: f64) -> f64 {
        let Some((low, high)) = self.decades.filter(|_| parameters > 0.0) else {
            return 0.02;
        };
        let first = if self.has_zero { FIRST_DECADE } else { 0.0 };
        let part = (parameters.log10() - f64::from(low)) / f64::from(high - low);
        first + (1.0 - first) * part
    }

    /// Vertical coordinate of this many bits per byte.
    pub(super) fn up(&self, bits: f64) -> f64 {
        (bits - self.bits.0) / (self.bits.1 - self.bits.0)
    }

    /// Points on a law between the smallest and the largest model that it was fitted to. They may
    /// lie above or below the plot.
    pub(super) fn law(&self, fit: &Fit) -> Vec<LawPoint> {
        fit.curve(LAW_STEPS)
            .map(|(parameters, bits, interval)| LawPoint {
                across: self.across(parameters),
                up: self.up(bits),
                low: self.up(interval.low),
                high: self.up(interval.high),
            })
            .collect()
    }

    /// Ticks of the horizontal axis: 0, the powers of ten, and their multiples without labels.
    pub(super) fn ticks_across(&self) -> Vec<Tick> {
        let zero = Tick {
            at: self.across(0.0),
            label: "0".to_owned(),
        };
        let mut ticks: Vec<Tick> = self.has_zero.then_some(zero).into_iter().collect();
        let Some((low, high)) = self.decades else {
            return ticks;
        };
        for decade in low..=high {
            for multiple in 1..=9 {
                let parameters = f64::from(multiple) * 10f64.powi(decade);
                if decade == high && multiple > 1 {
                    break;
                }
                let label = match multiple {
                    1 => numbers::round_parameters(parameters as u64),
                    _ => String::new(),
                };
                ticks.push(Tick {
                    at: self.across(parameters),
                    label,
                });
            }
        }
        ticks
    }

    /// Labels of the vertical axis: round numbers of bits per byte, the lowest first.
    pub(super) fn ticks_up(&self) -> Vec<Tick> {
        let decimals = (-self.step.log10().floor()).max(1.0) as usize;
        let count = ((self.bits.1 - self.bits.0) / self.step).round() as u32;
        (0..=count)
            .map(|i| self.bits.0 + f64::from(i) * self.step)
            .map(|bits| Tick {
                at: self.up(bits),
                label: format!("{bits:.decimals$}"),
            })
            .collect()
    }
}

/// The smallest number not below `least` that is 1, 2 or 5 times a power of ten.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| factor * power >= least);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::scaling::curve::tests::scaling;
    use crate::report::scaling::series;

    #[test]
    fn everything_lies_inside_and_powers_of_ten_have_labels() {
        let scaling = scaling();
        let series = series::all(&scaling);
        let axes = Axes::new(&series).unwrap();
        let is_inside = |at: f64| (-1e-9..=1.0 + 1e-9).contains(&at);
        assert!(axes.ticks_up().iter().all(|tick| is_inside(tick.at)));
        assert!(axes.ticks_across().iter().all(|tick| is_inside(tick.at)));
        for point in &series[0].points {
            assert!(is_inside(axes.across(point.parameters as f64)));
            assert!(is_inside(axes.up(point.bits_per_byte().unwrap())));
        }
        let ticks = axes.ticks_across();
        let labels: Vec<&str> = ticks.iter().map(|tick| tick.label.as_str()).collect();
        let labelled: Vec<&str> = labels
            .iter()
            .copied()
            .filter(|one| !one.is_empty())
            .collect();
        assert_eq!(labelled, ["0", "1 M", "10 M", "100 M", "1 G"]);
        assert_eq!(labels.len(), 1 + 1 + 3 * 9);
        assert!(axes.is_broken());
        assert_eq!(axes.across(1e9), 1.0);
        let law = axes.law(series[0].fit.unwrap());
        assert!(law.len() > 100);
        assert!(
            law.iter()
                .all(|one| one.low <= one.up && one.up <= one.high)
        );
    }

    #[test]
    fn steps_are_round() {
        assert_eq!(round_step(0.3), 0.5);
        assert!((round_step(0.011) - 0.02).abs() < 1e-12);
        assert_eq!(round_step(1.0), 1.0);
    }

    #[test]
    fn without_points_there_are_no_axes() {
        assert!(Axes::new(&[]).is_none());
    }
}
