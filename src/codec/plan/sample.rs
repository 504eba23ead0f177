//! Estimates from a sample of a text whether the language model makes the text short enough.

use super::gain::WantedGain;

/// Bytes of a sample.
pub(super) const SAMPLE: usize = 8 << 10;
/// A sample is taken from this many places.
const SAMPLE_PLACES: usize = 4;

/// A sample of `text`: all of the text if it is short, otherwise pieces from several places.
pub fn sample(text: &[u8]) -> Vec<u8> {
    if text.len() <= SAMPLE {
        return text.to_vec();
    }
    let piece = SAMPLE / SAMPLE_PLACES;
    let stride = (text.len() - piece) / (SAMPLE_PLACES - 1);
    (0..SAMPLE_PLACES)
        .flat_map(|place| text[place * stride..][..piece].iter().copied())
        .collect()
}

/// What a sample recommends for its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The experts alone.
    Experts,
    /// The model.
    Model,
    /// No clear answer: the text has to be coded in both modes.
    Open,
}

/// Compares the bytes that a sample takes with the experts alone and with the model.
///
/// The experts learn as they go: over a long text they make up for part of what they lack in a
/// sample of 8 KiB. So a model that does not gain enough in the sample is not tried any further,
/// and a model must win by a wide margin to be chosen at once.
pub fn verdict(wanted: WantedGain, experts: usize, model: usize) -> Verdict {
    // On the development split, a model that needed less than 0.7 of the experts' bytes in the
    // sample never lost over the whole text; above 0.73 it sometimes did.
    if !wanted.is_reached(experts, model) {
        Verdict::Experts
    } else if model as u64 * 10_000 < wanted.share(experts) * 7 {
        Verdict::Model
    } else {
        Verdict::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_bounded_and_from_start_to_end() {
        assert_eq!(sample(b"short"), b"short");
        let text: Vec<u8> = (0..100_000u32).map(|i| (i / 400) as u8).collect();
        let sample = sample(&text);
        assert_eq!(sample.len(), SAMPLE);
        assert_eq!((sample[0], sample[SAMPLE - 1]), (0, text[99_999]));
    }

    #[test]
    fn a_sample_decides_only_what_is_clear() {
        let smaller = |model| verdict(WantedGain::new(0), 1000, model);
        assert_eq!(smaller(1000), Verdict::Experts);
        assert_eq!(smaller(999), Verdict::Open);
        assert_eq!(smaller(700), Verdict::Open);
        assert_eq!(smaller(699), Verdict::Model);
        let by_a_tenth = |model| verdict(WantedGain::new(100), 1000, model);
        assert_eq!(by_a_tenth(901), Verdict::Experts);
        assert_eq!(by_a_tenth(900), Verdict::Open);
        assert_eq!(by_a_tenth(630), Verdict::Open);
        assert_eq!(by_a_tenth(629), Verdict::Model);
    }
}
