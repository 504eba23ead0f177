//! The kinds of decisions, and the settings that encoder and decoder must share to predict them.

/// What the next binary decision is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The next bit of the current byte, most significant first.
    Bit,
    /// Whether the token ends after the bytes coded so far.
    TokenEnd,
    /// Whether the next byte is coded outside the vocabulary.
    Escape,
}

/// How much work the experts do for each byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    /// A few experts: three times as fast, in 32 MiB. Without a language model only.
    Light,
    /// All experts.
    Normal,
}

/// The settings of a predictor. The frame header holds them, so that the decoder makes an equal
/// predictor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether adaptive experts are mixed with the model's probability. Without experts, that
    /// probability is passed on unchanged.
    pub experts: bool,
    /// Which set of experts is used.
    pub preset: Preset,
    /// Whether a language model runs beside the experts. They use at most 64 MiB of memory with a
    /// model, and 256 MiB without.
    pub with_model: bool,
}

/// What the experts are told about the language model's distribution over the next token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenFacts {
    /// Probability of the most probable token, 24 bits.
    pub top_probability: u32,
}

/// Version of the predictor. It changes whenever an expert, a mixer, the output bias or recall
/// gives another result.
pub const PREDICTOR_VERSION: u8 = 1;

const NORMAL: u8 = 0;
const LIGHT: u8 = 1;
const NO_EXPERTS: u8 = 2;

impl Settings {
    /// The number of these settings in a frame header. `None` if there is none: the light experts
    /// work without a model only.
    pub fn to_preset(self) -> Option<u8> {
        match (self.preset, self.experts, self.with_model) {
            (Preset::Normal, true, _) => Some(NORMAL),
            (Preset::Light, true, false) => Some(LIGHT),
            (Preset::Normal, false, _) => Some(NO_EXPERTS),
            (Preset::Light, ..) => None,
        }
    }

    /// The settings with this number. `None` if this version does not know it.
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
    /// The facts of a distribution whose weights sum to `total`, the largest of them being 2^24.
    pub fn new(total: u64) -> TokenFacts {
        let total = total.max(1);
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
        assert_eq!(TokenFacts::new(1 << 25).top_probability, 1 << 23);
        assert_eq!(TokenFacts::new(1 << 24).top_probability, (1 << 24) - 1);
    }
}
