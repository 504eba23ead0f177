//! Settings as the frame header carries them.

use super::{Preset, Settings, TokenFacts};

/// Version of the predictor: changes with every release in which an expert, a mixer, the bias or recall changes a bit.
pub const PREDICTOR_VERSION: u8 = 1;

const NORMAL: u8 = 0;
const LIGHT: u8 = 1;
const NO_EXPERTS: u8 = 2;

impl Settings {
    /// The preset's number in a frame header; `None` if there is none for these settings, because the light experts
    /// work alone.
    pub fn to_preset(self) -> Option<u8> {
        match (self.preset, self.experts, self.with_model) {
            (Preset::Normal, true, _) => Some(NORMAL),
            (Preset::Light, true, false) => Some(LIGHT),
            (Preset::Normal, false, _) => Some(NO_EXPERTS),
            (Preset::Light, ..) => None,
        }
    }

    /// The settings that a frame header means; `None` if it has a preset this version does not know.
    pub fn from_preset(preset: u8, with_model: bool) -> Option<Settings> {
        let (experts, preset) = match (preset, with_model) {
            (NORMAL, _) => (true, Preset::Normal),
            (LIGHT, false) => (true, Preset::Light),
            (NO_EXPERTS, _) => (false, Preset::Normal),
            _ => return None,
        };
        Some(Settings {
            experts,
            preset,
            with_model,
        })
    }
}

impl TokenFacts {
    /// The facts of a distribution given as exclusive prefix sums of weights, the largest weight 2^24.
    pub fn new(cumulative: &[u64]) -> TokenFacts {
        let total = cumulative.last().copied().unwrap_or(1).max(1);
        TokenFacts {
            top_probability: ((1 << 48) / total).min((1 << 24) - 1) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_means_what_it_was_made_from() {
        for (with_model, known) in [(false, vec![0, 1, 2]), (true, vec![0, 2])] {
            let settings = |number| Settings::from_preset(number, with_model);
            let found = (0..=u8::MAX).filter(|&number| settings(number).is_some());
            assert_eq!(found.collect::<Vec<_>>(), known);
            for number in known {
                assert_eq!(settings(number).unwrap().to_preset(), Some(number));
            }
        }
    }

    #[test]
    fn the_top_probability_is_its_share_of_all_weights() {
        assert_eq!(
            TokenFacts::new(&[0, 1 << 24, 1 << 25]).top_probability,
            1 << 23
        );
        assert_eq!(
            TokenFacts::new(&[0, 1 << 24]).top_probability,
            (1 << 24) - 1
        );
    }
}
