//! The length at which a model has saved as many bytes as it has itself.
//!
//! A model knows something before a file begins, and the experts learn some of it from the file. So
//! a model saves less and less with every byte. On the files of docs/SCALING.md the saving at byte
//! t falls as a power of t over the whole length that was measured; see there how well that
//! predicts more of a file from its beginning. The law is fitted by least squares to the
//! logarithms of the savings in segments that double, and its exponent has the 95 % interval of a
//! straight line's slope. That takes the logarithms' distances from the line for independent errors
//! of one normal distribution.

use super::along::Along;
use super::region::{Interval, student};

/// Where a model has paid for itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakEven {
    /// The length in bytes, if the savings fall as they did in the files; `None` if then they never
    /// reach the model's bytes, or if the segments determine no law.
    pub bytes: Option<f64>,
    /// The length at the lower end of the interval. It is never above the length that follows if
    /// the model saves as much for ever as in the last half of the longest file.
    pub low: f64,
    /// The length at the upper end of the interval; `None` if the savings may never reach the
    /// model's bytes.
    pub high: Option<f64>,
    /// Whether these lie beyond the files that were measured.
    pub is_extrapolated: bool,
    /// The exponent of the savings at byte t, and its interval; `None` if the segments determine
    /// none.
    pub exponent: Option<(f64, Interval)>,
}

/// Fewest segments that give a law: a line through two points has no error.
const MIN_SEGMENTS: usize = 4;
/// No file is longer than this number of bytes.
const LONGEST: f64 = 1e15;

/// What was saved in one segment.
struct Saving {
    start: f64,
    end: f64,
    /// Bytes saved with each byte.
    rate: f64,
}

/// A rate that changes as a power of the position, through the middle of the points it was fitted
/// to.
struct Decay {
    /// Logarithms of position and rate in the middle.
    middle: (f64, f64),
    exponent: f64,
    interval: Interval,
}

impl BreakEven {
    /// When a model of `model_bytes` bytes, which costs `model`, has saved them, where no model
    /// costs `baseline`. `None` if it saves nothing at the end of the files.
    pub(super) fn new(baseline: &Along, model: &Along, model_bytes: u64) -> Option<BreakEven> {
        let savings = savings(baseline, model);
        let last = savings.last()?;
        let needed = model_bytes as f64;
        if let Some(bytes) = within(&savings, needed) {
            return Some(BreakEven {
                bytes: Some(bytes),
                low: bytes,
                high: Some(bytes),
                is_extrapolated: false,
                exponent: None,
            });
        }
        if last.rate <= 0.0 || model_bytes == 0 {
            return None;
        }
        let saved: f64 = savings
            .iter()
            .map(|one| one.rate * (one.end - one.start))
            .sum();
        let missing = needed - saved;
        let for_ever = last.end + missing / last.rate;
        let decay = Decay::new(&savings);
        let at = |exponent: f64| {
            let decay = decay.as_ref()?;
            decay.reaches(last.end, missing, exponent)
        };
        let (low, high) = match &decay {
            Some(decay) => (at(decay.interval.high), at(decay.interval.low)),
            None => (None, None),
        };
        Some(BreakEven {
            bytes: decay.as_ref().and_then(|decay| at(decay.exponent)),
            low: low.map_or(for_ever, |low| low.min(for_ever)),
            high,
            is_extrapolated: true,
            exponent: decay.map(|decay| (decay.exponent, decay.interval)),
        })
    }
}

impl Decay {
    /// The power law of all savings but the first, which begins at 0; `None` if there are too few,
    /// or if one of them saves nothing.
    fn new(savings: &[Saving]) -> Option<Decay> {
        let points: Vec<(f64, f64)> = savings
            .iter()
            .skip(1)
            .map(|one| ((one.start * one.end).sqrt().ln(), one.rate.ln()))
            .collect();
        if points.len() < MIN_SEGMENTS || points.iter().any(|point| !point.1.is_finite()) {
            return None;
        }
        let n = points.len() as f64;
        let mean = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
        let middle = (mean(&|point| point.0), mean(&|point| point.1));
        let spread = n * mean(&|point| (point.0 - middle.0).powi(2));
        let exponent = n * mean(&|point| (point.0 - middle.0) * (point.1 - middle.1)) / spread;
        let line = |x: f64| middle.1 + exponent * (x - middle.0);
        let freedom = points.len() - 2;
        let variance = n * mean(&|point| (point.1 - line(point.0)).powi(2)) / freedom as f64;
        let reach = student(freedom) * (variance / spread).sqrt();
        Some(Decay {
            middle,
            exponent,
            interval: Interval {
                low: exponent - reach,
                high: exponent + reach,
            },
        })
    }

    /// The length at which `missing` bytes have been saved from byte `from` on, if the exponent is
    /// `exponent`; `None` if that is never.
    fn reaches(&self, from: f64, missing: f64, exponent: f64) -> Option<f64> {
        let factor = (self.middle.1 - exponent * self.middle.0).exp();
        let power = exponent + 1.0;
        let length = match power.abs() < 1e-9 {
            true => from * (missing / factor).exp(),
            false => (from.powf(power) + missing * power / factor).powf(1.0 / power),
        };
        (length < LONGEST).then_some(length)
    }
}

/// The savings in each segment. A last segment that is hardly begun belongs to the one before it.
fn savings(baseline: &Along, model: &Along) -> Vec<Saving> {
    let pairs = baseline.segments.iter().zip(&model.segments);
    let mut sums: Vec<(f64, f64, f64, f64)> = Vec::new();
    for (i, (without, with)) in pairs.enumerate() {
        let (start, end) = baseline.range(i);
        let (start, end) = (start as f64, end as f64);
        let (bytes, saved) = (without.bytes as f64, (without.bits - with.bits) / 8.0);
        match sums.last_mut() {
            Some(last) if end < 1.5 * start => {
                *last = (last.0, end, last.2 + bytes, last.3 + saved);
            }
            _ => sums.push((start, end, bytes, saved)),
        }
    }
    sums.into_iter()
        .filter(|&(_, _, bytes, _)| bytes > 0.0)
        .map(|(start, end, bytes, saved)| Saving {
            start,
            end,
            rate: saved / bytes,
        })
        .collect()
}

/// The length within the files at which `needed` bytes have been saved, if there is one.
fn within(savings: &[Saving], needed: f64) -> Option<f64> {
    let mut saved = 0.0;
    for one in savings {
        let more = one.rate * (one.end - one.start);
        if needed > 0.0 && saved + more >= needed {
            return Some(one.start + (needed - saved) / one.rate);
        }
        saved += more;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of `len` bytes, of which byte t costs `bits(t)`.
    fn file(len: u64, bits: impl Fn(f64) -> f64) -> Along {
        let mut along = Along::default();
        for t in 0..len {
            along.push(t, 1, bits(t as f64 + 0.5));
        }
        along
    }

    #[test]
    fn savings_that_fall_as_a_power_are_extrapolated_as_one() {
        let without = file(40_000, |_| 2.0);
        let with = file(40_000, |t| 2.0 - 8.0 * 0.5 * t.powf(-0.4));
        let found = BreakEven::new(&without, &with, 100_000).unwrap();
        // 0.5 / 0.6 * n^0.6 bytes have been saved at n. The middle of a segment stands for all of
        // it, which is not exact.
        let truth = (100_000.0f64 * 0.6 / 0.5).powf(1.0 / 0.6);
        assert!(found.is_extrapolated);
        let (exponent, _) = found.exponent.unwrap();
        assert!((exponent + 0.4).abs() < 0.01, "{found:?}");
        assert!(
            (found.bytes.unwrap() / truth - 1.0).abs() < 0.1,
            "{found:?} {truth}"
        );
        assert!(
            found.low < truth && found.high.unwrap() > truth * 0.9,
            "{found:?}"
        );
    }

    #[test]
    fn a_model_that_saves_always_the_same_pays_in_proportion() {
        let (without, with) = (file(20_000, |_| 2.0), file(20_000, |_| 1.2));
        let found = BreakEven::new(&without, &with, 1_000_000).unwrap();
        for length in [found.bytes.unwrap(), found.low, found.high.unwrap()] {
            assert!((length / 1e7 - 1.0).abs() < 0.01, "{found:?}");
        }
        let within = BreakEven::new(&without, &with, 1000).unwrap();
        assert!(!within.is_extrapolated);
        assert!((within.low / 1e4 - 1.0).abs() < 1e-9, "{within:?}");
    }

    #[test]
    fn what_falls_too_fast_never_pays_and_what_saves_nothing_has_no_length() {
        let without = file(20_000, |_| 2.0);
        let falling = file(20_000, |t| 2.0 - 100.0 / (t + 50.0).powf(1.3));
        let found = BreakEven::new(&without, &falling, 1_000_000).unwrap();
        assert_eq!((found.bytes, found.high), (None, None));
        assert!(found.low.is_finite());
        assert_eq!(BreakEven::new(&without, &file(20_000, |_| 2.1), 1000), None);
        assert_eq!(BreakEven::new(&without, &without, 0), None);
        assert_eq!(
            BreakEven::new(&Along::default(), &Along::default(), 9),
            None
        );
    }

    #[test]
    fn a_short_file_gives_the_lower_end_alone() {
        let (without, with) = (file(2000, |_| 2.0), file(2000, |_| 1.0));
        let found = BreakEven::new(&without, &with, 1_000_000).unwrap();
        assert_eq!(
            (found.bytes, found.high, found.exponent),
            (None, None, None)
        );
        assert!((found.low / 8e6 - 1.0).abs() < 0.01, "{found:?}");
    }
}
