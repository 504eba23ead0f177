//! Times of repeated runs, and what their spread allows to say.

use std::time::Duration;

/// The times of the runs of one compressor on one file, in the order in which they ran.
///
/// The interval from the shortest to the longest of n runs holds the median of all runs that might
/// be made with a probability of 1 - 2^(1 - n), whatever the times' distribution: 75 % for three
/// runs, 99.8 % for ten. (H. A. David and H. N. Nagaraja, "Order Statistics", 2003, section 7.1.)
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times(Vec<Duration>);

impl Times {
    /// The times of these runs.
    pub fn new(runs: Vec<Duration>) -> Times {
        Times(runs)
    }

    /// Each time, in the order of the runs.
    pub fn runs(&self) -> &[Duration] {
        &self.0
    }

    /// The median; zero if there was no run.
    pub fn median(&self) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let middle = sorted.len() / 2;
        match sorted.len() % 2 {
            0 if sorted.is_empty() => Duration::ZERO,
            0 => (sorted[middle - 1] + sorted[middle]) / 2,
            _ => sorted[middle],
        }
    }

    /// The shortest time.
    pub fn shortest(&self) -> Duration {
        self.0.iter().min().copied().unwrap_or_default()
    }

    /// The longest time.
    pub fn longest(&self) -> Duration {
        self.0.iter().max().copied().unwrap_or_default()
    }

    /// Whether these runs were all shorter than all of `other`. A single run has no spread, so it
    /// is never said to be faster.
    pub fn are_below(&self, other: &Times) -> bool {
        self.0.len() > 1 && self.longest() < other.shortest()
    }

    /// Adds a run.
    pub(super) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The times of doing both, run by run, as often as both were done.
    pub(super) fn and_then(&self, other: &Times) -> Times {
        let pairs = self.0.iter().zip(&other.0);
        Times(pairs.map(|(&one, &another)| one + another).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(millis: &[u64]) -> Times {
        Times::new(
            millis
                .iter()
                .map(|&one| Duration::from_millis(one))
                .collect(),
        )
    }

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(times(&[9, 1, 5]).median(), Duration::from_millis(5));
        assert_eq!(times(&[9, 1, 5, 6]).median(), Duration::from_micros(5500));
        assert_eq!(times(&[]).median(), Duration::ZERO);
    }

    #[test]
    fn only_runs_that_do_not_overlap_are_told_apart() {
        assert!(times(&[1, 2]).are_below(&times(&[3, 4])));
        assert!(!times(&[1, 3]).are_below(&times(&[3, 4])));
        assert!(!times(&[1]).are_below(&times(&[3, 4])));
        assert!(times(&[1, 2]).are_below(&times(&[3])));
    }

    #[test]
    fn files_are_added_up_run_by_run() {
        assert_eq!(
            times(&[1, 2, 3]).and_then(&times(&[10, 20])),
            times(&[11, 22])
        );
    }
}
