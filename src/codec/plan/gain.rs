//! Whether a language model gains enough over the experts alone to be worth its time.

/// Original bytes of each stream between two looks at a trial.
const STEP: usize = 8 << 10;
/// Coded bytes from which a trial is judged. The coder puts out four bytes at a time, so fewer
/// coded bytes say too little.
const ENOUGH: usize = 512;

/// How much better the model may do in the rest of a run than lately, in thousandths of what the
/// experts take. On the development split it did better by up to 45, apart from a few tails of
/// runs.
const ALLOWANCE: u64 = 50;

/// How much shorter than the experts alone the language model must make a run to code it, in
/// thousandths of the bytes that the experts take. The model takes many times as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedGain(u16);

impl WantedGain {
    /// Thousandths that no model reaches.
    pub const MAX: u16 = 1000;

    /// A gain of `thousandths`, at most [`WantedGain::MAX`].
    pub fn new(thousandths: u16) -> WantedGain {
        WantedGain(thousandths.min(WantedGain::MAX))
    }

    /// Whether `model` bytes are enough fewer than the experts' `experts` bytes. If no gain is
    /// wanted, one byte less is enough.
    pub(super) fn is_reached(self, experts: usize, model: usize) -> bool {
        model < experts && (model as u64) * u64::from(WantedGain::MAX) <= self.share(experts)
    }

    /// What is left of `bytes` after this gain, in thousandths of a byte.
    pub(super) fn share(self, bytes: usize) -> u64 {
        bytes as u64 * u64::from(WantedGain::MAX - self.0)
    }
}

/// How many bytes a trial needed for the beginnings of a run.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// Numbers of original and of coded bytes, the former strictly ascending.
    marks: Vec<(usize, usize)>,
}

impl Course {
    /// Notes that the first `original` bytes took `coded` bytes.
    pub(super) fn note(&mut self, original: usize, coded: usize) {
        if self.marks.last().map_or(0, |last| last.0) < original {
            self.marks.push((original, coded));
        }
    }

    /// Coded bytes of the first `original` bytes, interpolated between marks.
    fn at(&self, original: usize) -> usize {
        let next = self.marks.partition_point(|mark| mark.0 < original);
        let (from, coded) = next.checked_sub(1).map_or((0, 0), |last| self.marks[last]);
        let Some((to, coded_then)) = self.marks.get(next) else {
            return coded;
        };
        coded + coded_then.saturating_sub(coded) * (original - from) / (to - from)
    }
}

/// Watches a trial with the model after one with the experts alone, and ends it as soon as the
/// model is not going to reach the wanted gain.
#[derive(Debug)]
pub(super) struct Watch {
    wanted: WantedGain,
    /// Original bytes of the run.
    len: usize,
    /// Bytes in which the experts alone coded the run.
    experts_len: usize,
    experts: Course,
    model: Course,
    streams: usize,
    /// Original bytes after which the trial is looked at next.
    next: usize,
    has_ended: bool,
}

impl Watch {
    /// Watches a trial in `streams` streams with a run of `len` bytes, which the experts alone
    /// coded in `experts_len` bytes, on the course `experts`.
    pub(super) fn new(
        wanted: WantedGain,
        len: usize,
        experts_len: usize,
        mut experts: Course,
        streams: usize,
    ) -> Watch {
        experts.note(len, experts_len);
        Watch {
            wanted,
            len,
            experts_len,
            experts,
            model: Course::default(),
            streams,
            next: STEP * streams,
            has_ended: false,
        }
    }

    /// Whether the trial ends here, where it has coded `original` bytes of the run in `coded`.
    pub(super) fn ends(&mut self, original: usize, coded: usize) -> bool {
        self.model.note(original, coded);
        self.has_ended = !self.wanted.is_reached(self.experts_len, coded);
        // Later, the end would save little time.
        let may_end = original >= self.next && original <= self.len / 2;
        if !self.has_ended && may_end {
            self.next = original + STEP * self.streams;
            self.has_ended = !self.is_promising(original, coded);
        }
        self.has_ended
    }

    /// Whether the trial has ended before the end of the run.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether the model may reach the wanted gain, judged by the second half so far: it hardly
    /// ever does much better later, because the experts learn and the model has learned. If no gain
    /// is wanted, nothing but the end of the run decides.
    fn is_promising(&self, original: usize, coded: usize) -> bool {
        let experts = self.experts_at(original);
        let experts_lately = experts.saturating_sub(self.experts_at(original / 2));
        if self.wanted == WantedGain::new(0) || experts_lately < ENOUGH {
            return true;
        }
        let lately = coded.saturating_sub(self.model.at(original / 2));
        let left = self.experts_len.saturating_sub(experts) as u64;
        let as_lately = left * lately as u64 / experts_lately as u64;
        let at_best = as_lately.saturating_sub(left * ALLOWANCE / 1000);
        self.wanted
            .is_reached(self.experts_len, coded + at_best as usize)
    }

    /// Coded bytes by the experts alone of what the streams, parts of the same length, have coded
    /// when they have coded `original` bytes together.
    fn experts_at(&self, original: usize) -> usize {
        let of_stream = |stream: usize| {
            let start = self.len * stream / self.streams;
            let end = (start + original / self.streams).min(self.len);
            self.experts.at(end).saturating_sub(self.experts.at(start))
        };
        (0..self.streams).map(of_stream).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = 100 << 10;

    #[test]
    fn a_gain_is_reached_exactly_from_its_thousandth_on() {
        let three_percent = WantedGain::new(30);
        assert!(three_percent.is_reached(1000, 970));
        assert!(!three_percent.is_reached(1000, 971));
        assert!(three_percent.is_reached(100, 97) && !three_percent.is_reached(33, 33));
        let any = WantedGain::new(0);
        assert!(any.is_reached(1000, 999) && !any.is_reached(1000, 1000));
        let never = WantedGain::new(u16::MAX);
        assert_eq!(never, WantedGain::new(WantedGain::MAX));
        assert!(!never.is_reached(1000, 1));
    }

    #[test]
    fn a_course_is_interpolated() {
        let mut course = Course::default();
        course.note(100, 10);
        course.note(300, 50);
        course.note(300, 60);
        let at = |original| course.at(original);
        assert_eq!(
            [at(0), at(50), at(100), at(200), at(300)],
            [0, 5, 10, 30, 50]
        );
        assert_eq!(at(400), 50);
    }

    /// Original bytes after which a trial ends, if it does. The experts code every byte in a
    /// fiftieth of `experts`, and the model needs `thousandths(original)` of that.
    fn end(
        wanted: u16,
        experts: usize,
        streams: usize,
        thousandths: impl Fn(usize) -> usize,
    ) -> Option<usize> {
        let mut course = Course::default();
        for original in (4096..=LEN).step_by(4096) {
            course.note(original, original * experts / 50);
        }
        let all = LEN * experts / 50;
        let mut watch = Watch::new(WantedGain::new(wanted), LEN, all, course, streams);
        let mut coded = 0;
        (1..=LEN / 200).map(|step| step * 200).find(|&original| {
            coded += 200 * experts * thousandths(original) / 1000;
            watch.ends(original, coded / 50)
        })
    }

    #[test]
    fn a_trial_ends_where_the_model_gains_too_little() {
        for streams in [1, 3] {
            let first_look = (STEP * streams).next_multiple_of(200);
            assert_eq!(end(30, 10, streams, |_| 1030), Some(first_look));
            assert_eq!(end(30, 10, streams, |_| 960), None);
        }
        // Little is missing, and it may come later: the trial goes on until it cannot.
        assert_eq!(
            end(30, 10, 1, |_| 980),
            Some((LEN * 97 / 98).next_multiple_of(200))
        );
        // The gain of the beginning does not last, but it is enough.
        let early = |original: usize| if original <= LEN / 2 { 900 } else { 1000 };
        assert_eq!(end(30, 10, 1, early), None);
        // It is not enough.
        let brief = |original: usize| if original <= LEN / 10 { 900 } else { 1020 };
        let ends = end(30, 10, 1, brief);
        assert!(ends.is_some_and(|end| end < LEN / 2), "{ends:?}");
        // Half of the time is spent, so that only the certain end counts.
        let tail = |original: usize| if original <= LEN / 2 { 900 } else { 1080 };
        let ends = end(30, 10, 1, tail);
        assert!(ends.is_some_and(|end| end > LEN * 97 / 100), "{ends:?}");
    }

    #[test]
    fn a_trial_without_a_wanted_gain_ends_only_where_it_is_lost() {
        let late = |original: usize| if original <= LEN * 9 / 10 { 1010 } else { 800 };
        assert_eq!(end(0, 10, 1, late), None);
        let lost = end(0, 10, 1, |_| 1100).unwrap();
        assert!(
            (LEN / 11 * 10 - 200..LEN / 11 * 10 + 400).contains(&lost),
            "{lost}"
        );
    }

    #[test]
    fn a_few_coded_bytes_say_nothing() {
        let late = |original: usize| if original <= LEN / 2 { 1500 } else { 100 };
        assert_eq!(end(30, 10, 1, late), Some(8200));
        // In half of the run, the experts need fewer bytes than that.
        assert_eq!(end(30, 1, 1, late), None);
    }
}
