//! The predictor: the experts of a preset behind one interface.

use super::decision::{Event, Preset, Settings, TokenFacts};
use super::experts::{AllExperts, LightExperts, NoExperts, StreamState, expert_names};
use super::mix::PROBABILITY_BITS;
use crate::machine::MachineError;
use crate::machine::instructions::InstructionSet;

/// Mixes the predictions of experts and model into one probability for each decision, and learns
/// from each outcome.
///
/// The caller alternates [`predict`](Predictor::predict) and [`update`](Predictor::update), or
/// calls [`learn_certain`](Predictor::learn_certain) for bits that cost nothing.
pub struct Predictor {
    experts: Experts,
    /// Bytes announced so far.
    expected: usize,
}

/// So many bytes use most pages of the large tables.
const MANY: usize = 4 << 10;

impl std::fmt::Debug for Predictor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Predictor").finish_non_exhaustive()
    }
}

/// The experts of a preset.
enum Experts {
    None(NoExperts),
    Light(Box<LightExperts>),
    All(Box<AllExperts>),
}

impl Predictor {
    /// A predictor that has seen nothing, in code compiled for the instruction set of
    /// [`InstructionSet::choose`].
    ///
    /// # Errors
    /// If its memory or the instruction set that the environment names cannot be had.
    pub fn new(settings: Settings) -> Result<Predictor, MachineError> {
        Predictor::with_instructions(settings, InstructionSet::choose()?)
    }

    /// The same in code compiled for a given instruction set: it changes no probability.
    ///
    /// # Errors
    /// If its memory cannot be had.
    pub fn with_instructions(
        settings: Settings,
        instructions: InstructionSet,
    ) -> Result<Predictor, MachineError> {
        Ok(Predictor {
            expected: 0,
            experts: match settings {
                Settings { experts: false, .. } => Experts::None(NoExperts::new()),
                Settings {
                    preset: Preset::Light,
                    with_model: false,
                    ..
                } => Experts::Light(Box::new(LightExperts::new(instructions)?)),
                _ => Experts::All(Box::new(AllExperts::new(instructions, settings)?)),
            },
        })
    }

    /// A copy that has seen and learned the same.
    ///
    /// # Errors
    /// If its memory cannot be had.
    pub fn try_clone(&self) -> Result<Predictor, MachineError> {
        Ok(Predictor {
            expected: self.expected,
            experts: match &self.experts {
                Experts::None(none) => Experts::None(none.clone()),
                Experts::Light(light) => Experts::Light(Box::new(light.try_clone()?)),
                Experts::All(experts) => Experts::All(Box::new(experts.try_clone()?)),
            },
        })
    }

    /// Announces that `bytes` more bytes will be coded. This changes no probability: a predictor
    /// that sees few bytes is made quickly, and one that sees many works quickly.
    pub fn expect(&mut self, bytes: usize) {
        self.expected = self.expected.saturating_add(bytes);
        if self.expected >= MANY {
            match &mut self.experts {
                Experts::None(_) => {}
                Experts::Light(light) => light.prefer_huge(),
                Experts::All(experts) => experts.prefer_huge(),
            }
        }
    }

    /// The names of the experts of [`Preset::Normal`].
    pub fn expert_names() -> Vec<String> {
        expert_names()
    }

    /// Disables an expert, by its index in [`Predictor::expert_names`], to measure what it is
    /// worth. No decoder can read what is coded afterwards. Other presets are not affected.
    pub fn disable_expert(&mut self, expert: usize) {
        if let Experts::All(experts) = &mut self.experts {
            experts.disable(expert);
        }
    }

    /// The position of the next byte, counted from the beginning of the frame; 0 where nothing
    /// depends on it.
    pub fn position(&self) -> usize {
        match &self.experts {
            Experts::All(experts) => experts.position(),
            _ => 0,
        }
    }

    /// Swaps the state of the current stream of a block with `other`. Called between tokens.
    pub fn exchange(&mut self, other: &mut StreamState) {
        if let Experts::All(experts) = &mut self.experts {
            experts.exchange(other);
        }
    }

    /// Announces a token that will be coded with the language model. Not called in blocks without a
    /// model.
    pub fn begin_token(&mut self, facts: TokenFacts) {
        if let Experts::All(experts) = &mut self.experts {
            experts.begin_token(facts);
        }
    }

    /// P(bit = 1) of the next decision, 24 bits. `model` is the language model's probability, if it
    /// gives one.
    pub fn predict(&mut self, event: Event, model: Option<u32>) -> u32 {
        let p = match &mut self.experts {
            Experts::None(none) => none.predict(event, model),
            Experts::Light(light) => light.predict(event),
            Experts::All(experts) => experts.predict(event, model),
        };
        p.clamp(1, (1 << PROBABILITY_BITS) - 1)
    }

    /// Learns that the outcome of the decision just predicted is `bit`. The eighth [`Event::Bit`]
    /// completes a byte.
    pub fn update(&mut self, bit: bool) {
        match &mut self.experts {
            Experts::None(none) => none.update(bit),
            Experts::Light(light) => light.update(bit),
            Experts::All(experts) => experts.update(bit),
        }
    }

    /// Learns a bit of the current byte that was certain and therefore not coded.
    pub fn learn_certain(&mut self, bit: bool) {
        match &mut self.experts {
            Experts::None(none) => {
                none.predict(Event::Bit, None);
                none.update(bit);
            }
            Experts::Light(light) => light.learn_certain(bit),
            Experts::All(experts) => experts.learn_certain(bit),
        }
    }

    /// Adds to the history the bytes of a stored block, which were not predicted. Called between
    /// bytes.
    pub fn skip_bytes(&mut self, bytes: &[u8]) {
        match &mut self.experts {
            Experts::None(_) => {}
            Experts::Light(light) => bytes.iter().for_each(|&byte| light.skip(byte)),
            Experts::All(experts) => bytes.iter().for_each(|&byte| experts.skip(byte)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits_of(settings: Settings, bytes: &[u8]) -> f64 {
        let mut predictor = Predictor::new(settings).unwrap();
        let mut cost = 0.0;
        for &byte in bytes {
            for position in (0..8).rev() {
                let bit = (byte >> position) & 1 == 1;
                let p = f64::from(predictor.predict(Event::Bit, None)) / 2f64.powi(24);
                cost -= if bit { p } else { 1.0 - p }.log2();
                predictor.update(bit);
            }
        }
        cost
    }

    const ALONE: Settings = Settings {
        experts: true,
        preset: Preset::Normal,
        with_model: false,
    };

    #[test]
    fn every_expert_can_be_disabled_and_all_differ() {
        let text = b"one two three, four five six; seven eight nine\n".repeat(8);
        let heard: Vec<u32> = (0..=Predictor::expert_names().len())
            .map(|silent| {
                let mut predictor = Predictor::new(ALONE).unwrap();
                if silent > 0 {
                    predictor.disable_expert(silent - 1);
                }
                for &byte in &text {
                    for position in (0..8).rev() {
                        predictor.predict(Event::Bit, None);
                        predictor.update(byte >> position & 1 == 1);
                    }
                }
                predictor.predict(Event::Bit, None)
            })
            .collect();
        assert!(
            heard[1..].iter().filter(|&&p| p != heard[0]).count() > 20,
            "{heard:?}"
        );
    }

    #[test]
    fn experts_learn_what_repeats() {
        let text = b"the quick brown fox jumps over the lazy dog; ".repeat(40);
        let cost = bits_of(ALONE, &text) / text.len() as f64;
        assert!(cost < 0.4, "{cost} bits a byte");
    }

    /// A run of decisions as a codec with a model makes them, with a made-up model.
    fn probabilities(instructions: InstructionSet, seed: u64) -> Vec<u32> {
        let settings = Settings {
            with_model: true,
            ..ALONE
        };
        let mut predictor = Predictor::with_instructions(settings, instructions).unwrap();
        let mut random = seed;
        let mut next = move || {
            random = random
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (random >> 33) as u32
        };
        let mut found = Vec::new();
        for token in 0..600 {
            if token % 97 == 96 {
                predictor.skip_bytes(b"stored bytes");
            }
            let top_probability = next() & 0xff_ffff;
            predictor.begin_token(TokenFacts { top_probability });
            let escape = token % 50 == 49;
            found.push(predictor.predict(Event::Escape, None));
            predictor.update(escape);
            for (depth, &byte) in b"the stone"[..1 + (next() as usize & 7)].iter().enumerate() {
                if depth > 0 {
                    found.push(predictor.predict(Event::TokenEnd, Some(1 + (next() & 0xff_fff0))));
                    predictor.update(false);
                }
                for position in (0..8).rev() {
                    let bit = (byte >> position) & 1 == 1;
                    if next() % 11 == 0 {
                        predictor.learn_certain(bit);
                    } else {
                        let model = (!escape).then(|| 1 + (next() & 0xff_fff0));
                        found.push(predictor.predict(Event::Bit, model));
                        predictor.update(bit);
                    }
                }
            }
        }
        found
    }

    #[test]
    fn the_same_calls_give_the_same_probabilities_with_every_instruction_set() {
        let expected = probabilities(InstructionSet::PORTABLE, 7);
        assert!(expected.iter().all(|p| (1..1 << 24).contains(p)));
        for instructions in InstructionSet::available() {
            let found = probabilities(instructions, 7);
            assert!(found == expected, "{}", instructions.name());
        }
        assert!(probabilities(InstructionSet::PORTABLE, 8) != expected);
    }

    #[test]
    fn what_never_happens_costs_next_to_nothing() {
        let mut predictor = Predictor::new(ALONE).unwrap();
        let mut p = 0;
        for _ in 0..20_000 {
            p = predictor.predict(Event::Bit, None);
            predictor.update(false);
        }
        assert!(p < 64, "{p}");
    }

    #[test]
    fn without_experts_the_models_probability_passes_unchanged() {
        let mut predictor = Predictor::new(Settings {
            experts: false,
            ..ALONE
        })
        .unwrap();
        for p in [1, 77, 1 << 23, (1 << 24) - 1] {
            for event in [Event::Bit, Event::TokenEnd, Event::Escape] {
                assert_eq!(predictor.predict(event, Some(p)), p);
                predictor.update(p % 2 == 0);
            }
        }
    }
}
