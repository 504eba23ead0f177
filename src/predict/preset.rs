//! Settings as the frame header carries them.

use super::{Preset, Settings, TokenFacts};

/// Version of the predictor: changes whenever any constant of any expert, mixer or bias changes a bit.
pub const PREDICTOR_VERSION: u8 = 1;

const FAST: u8 = 1;
const NO_EXPERTS: u8 = 2;

impl Settings {
    /// The preset's number in a frame header: bit 0 for [`Preset::Fast`], bit 1 for no experts.
    pub fn to_preset(self) -> u8 {
        let fast = if self.preset == Preset::Fast { FAST } else { 0 };
        fast | if self.experts { 0 } else { NO_EXPERTS }
    }

    /// The settings that a frame header means; `None` if it has a preset this version does not know.
    pub fn from_preset(preset: u8, with_model: bool) -> Option<Settings> {
        (preset & !(FAST | NO_EXPERTS) == 0).then_some(Settings {
            experts: preset & NO_EXPERTS == 0,
            preset: if preset & FAST == 0 {
                Preset::Normal
            } else {
                Preset::Fast
            },
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
        for number in 0..=u8::MAX {
            if let Some(settings) = Settings::from_preset(number, true) {
                assert_eq!(settings.to_preset(), number);
            }
        }
        assert_eq!(Settings::from_preset(4, false), None);
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
