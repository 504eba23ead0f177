//! The axes of a plot of bits per byte against parameters. The terminal and SVG share them.
//!
//! Both coordinates run from 0 to 1. The horizontal one is 0 without a model; the sizes of models
//! follow on a logarithmic scale. The vertical one shows bits per byte on a linear scale between
//! round numbers.

use super::Curve;
use crate::report::numbers;

/// Horizontal coordinate of the smallest model.
const FIRST_MODEL: f64 = 0.2;
/// Horizontal coordinate of the largest model.
const LAST_MODEL: f64 = 0.96;
/// Smallest distance of two labels on the horizontal axis.
const APART: f64 = 0.11;
/// Number of points that a law is drawn through.
const LAW_POINTS: usize = 160;

/// The scales of a plot.
pub(super) struct Axes {
    /// Parameters of the smallest and the largest model; equal if there is only one.
    models: Option<(f64, f64)>,
    /// Bits per byte at the lower and the upper edge.
    bits: (f64, f64),
    /// Bits per byte between two ticks.
    step: f64,
    sizes: Vec<u64>,
}

/// A coordinate on an axis, from 0 to 1, and its label.
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

impl Axes {
    /// Axes for all points of `curves`; `None` if there is no point.
    pub(super) fn new(curves: &[Curve]) -> Option<Axes> {
        let points = || curves.iter().flat_map(|curve| &curve.points);
        let bits: Vec<f64> = points()
            .filter_map(super::curve::Point::bits_per_byte)
            .collect();
        let lowest = bits.iter().copied().reduce(f64::min)?;
        let highest = bits.iter().copied().reduce(f64::max)?;
        let mut sizes: Vec<u64> = points().map(|point| point.parameters).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let mut models = sizes.iter().filter(|&&size| size > 0).map(|&n| n as f64);
        let smallest = models.next();
        let step = round_step((highest - lowest).max(0.06) / 6.0);
        Some(Axes {
            models: smallest.map(|smallest| (smallest, models.next_back().unwrap_or(smallest))),
            bits: (
                ((lowest / step).floor() * step).max(0.0),
                ((highest / step).floor() + 1.0) * step,
            ),
            step,
            sizes,
        })
    }

    /// Horizontal coordinate of a model with this many parameters.
    pub(super) fn across(&self, parameters: f64) -> f64 {
        match self.models {
            Some((smallest, largest)) if parameters > 0.0 && largest > smallest => {
                let part = (parameters / smallest).ln() / (largest / smallest).ln();
                FIRST_MODEL + (LAST_MODEL - FIRST_MODEL) * part
            }
            Some(_) if parameters > 0.0 => (FIRST_MODEL + LAST_MODEL) / 2.0,
            _ => 0.0,
        }
    }

    /// Vertical coordinate of this many bits per byte.
    pub(super) fn up(&self, bits: f64) -> f64 {
        (bits - self.bits.0) / (self.bits.1 - self.bits.0)
    }

    /// Horizontal and vertical coordinates of points on the law of `curve`; empty without a law.
    pub(super) fn law(&self, curve: &Curve) -> Vec<(f64, f64)> {
        let (Ok(fit), Some((smallest, largest))) = (&curve.fit, self.models) else {
            return Vec::new();
        };
        (0..=LAW_POINTS)
            .map(|i| smallest * (largest / smallest).powf(i as f64 / LAW_POINTS as f64))
            .map(|n| (self.across(n), self.up(fit.at(n))))
            .filter(|(_, up)| (0.0..=1.0).contains(up))
            .collect()
    }

    /// Labels of the horizontal axis: sizes of models, without those too close to the one before.
    pub(super) fn ticks_across(&self) -> Vec<Tick> {
        let mut ticks: Vec<Tick> = Vec::new();
        for &size in &self.sizes {
            let at = self.across(size as f64);
            if ticks.last().is_none_or(|last| at - last.at >= APART) {
                let label = numbers::parameters(size);
                ticks.push(Tick { at, label });
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

    #[test]
    fn everything_lies_inside() {
        let scaling = scaling();
        let axes = Axes::new(&scaling.curves).unwrap();
        let ats = |ticks: Vec<Tick>| ticks.into_iter().map(|tick| tick.at);
        assert!(ats(axes.ticks_up()).all(|at| (-1e-9..=1.0 + 1e-9).contains(&at)));
        assert!(ats(axes.ticks_across()).all(|at| (0.0..=1.0).contains(&at)));
        for point in &scaling.curves[0].points {
            assert!((0.0..=1.0).contains(&axes.up(point.bits_per_byte().unwrap())));
        }
        assert!(axes.law(&scaling.curves[0]).len() > 100);
        assert_eq!(axes.across(0.0), 0.0);
        assert_eq!(axes.across(1e8), LAST_MODEL);
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
