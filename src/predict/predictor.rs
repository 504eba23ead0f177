//! The predictor: from the next decision's context and the model's opinion to one probability.

use super::experts::{self, Experts, Place};
use super::light::Light;
use super::logistic::PROBABILITY_BITS;
use super::plain::Plain;
use crate::machine::MachineError;
use crate::machine::instructions::InstructionSet;

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

/// How much work the experts do a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    /// A few, three times as fast, in 32 MiB. Without a language model only.
    Light,
    /// All experts.
    Normal,
}

/// What a predictor is made of. Encoder and decoder must agree on it: the frame says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Mix the model's opinion with adaptive experts; otherwise it is passed on unchanged.
    pub experts: bool,
    /// How many experts.
    pub preset: Preset,
    /// A language model runs beside it: at most 64 MiB of memory then, else 256 MiB.
    pub with_model: bool,
}

/// Facts of the language model's distribution over the next token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenFacts {
    /// Probability of the most probable token, 24 bits.
    pub top_probability: u32,
}

/// Mixes experts and model into one probability a decision, and learns from each outcome.
///
/// The caller alternates [`predict`](Predictor::predict) and [`update`](Predictor::update), or calls
/// [`learn_certain`](Predictor::learn_certain) for bits that cost nothing.
pub struct Predictor {
    kind: Kind,
}

enum Kind {
    Plain(Plain),
    Light(Box<Light>),
    Mixed(Box<Experts>),
}

impl Predictor {
    /// A predictor that has seen nothing, in code compiled for the instruction set of [`InstructionSet::choose`].
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
            kind: match settings {
                Settings { experts: false, .. } => Kind::Plain(Plain::new()),
                Settings {
                    preset: Preset::Light,
                    with_model: false,
                    ..
                } => Kind::Light(Box::new(Light::new(instructions)?)),
                _ => Kind::Mixed(Box::new(Experts::new(instructions, settings)?)),
            },
        })
    }

    /// A copy that has seen and learned the same.
    ///
    /// # Errors
    /// If its memory cannot be had.
    pub fn try_clone(&self) -> Result<Predictor, MachineError> {
        Ok(Predictor {
            kind: match &self.kind {
                Kind::Plain(plain) => Kind::Plain(plain.clone()),
                Kind::Light(light) => Kind::Light(Box::new(light.try_clone()?)),
                Kind::Mixed(experts) => Kind::Mixed(Box::new(experts.try_clone()?)),
            },
        })
    }

    /// What the experts of [`Preset::Normal`] are called.
    pub fn experts() -> Vec<String> {
        experts::names()
    }

    /// Takes away the voice of one of [`Predictor::experts`], by its number, to measure what it is worth. What is coded
    /// afterwards is in no format. Without effect on other presets.
    pub fn silence(&mut self, expert: usize) {
        if let Kind::Mixed(experts) = &mut self.kind {
            experts.silence(expert);
        }
    }

    /// Where the next byte goes, counted from the beginning of the frame; 0 where nothing depends on it.
    pub fn position(&self) -> usize {
        match &self.kind {
            Kind::Mixed(experts) => experts.position(),
            _ => 0,
        }
    }

    /// Goes on at `place`, where another stream of the block was left, and leaves there what this one needs to go on.
    /// Called between tokens.
    pub fn exchange(&mut self, place: &mut Place) {
        if let Kind::Mixed(experts) = &mut self.kind {
            experts.exchange(place);
        }
    }

    /// Announces a token that will be coded with the language model. Not called in blocks without a model.
    pub fn begin_token(&mut self, facts: TokenFacts) {
        if let Kind::Mixed(experts) = &mut self.kind {
            experts.begin_token(facts);
        }
    }

    /// P(bit = 1) of the next decision, 24 bits. `model` is the language model's opinion where it has one.
    pub fn predict(&mut self, event: Event, model: Option<u32>) -> u32 {
        let p = match &mut self.kind {
            Kind::Plain(plain) => plain.predict(event, model),
            Kind::Light(light) => light.predict(event),
            Kind::Mixed(experts) => experts.predict(event, model),
        };
        p.clamp(1, (1 << PROBABILITY_BITS) - 1)
    }

    /// The decision just predicted came out as `bit`. The eighth [`Event::Bit`] completes a byte.
    pub fn update(&mut self, bit: bool) {
        match &mut self.kind {
            Kind::Plain(plain) => plain.update(bit),
            Kind::Light(light) => light.update(bit),
            Kind::Mixed(experts) => experts.update(bit),
        }
    }

    /// A bit of the current byte that was certain, and so not coded: the experts learn it all the same.
    pub fn learn_certain(&mut self, bit: bool) {
        match &mut self.kind {
            Kind::Plain(plain) => {
                plain.predict(Event::Bit, None);
                plain.update(bit);
            }
            Kind::Light(light) => light.learn_certain(bit),
            Kind::Mixed(experts) => experts.learn_certain(bit),
        }
    }

    /// Bytes that were stored, not predicted. Called between bytes.
    pub fn skip_bytes(&mut self, bytes: &[u8]) {
        match &mut self.kind {
            Kind::Plain(_) => {}
            Kind::Light(light) => bytes.iter().for_each(|&byte| light.skip(byte)),
            Kind::Mixed(experts) => bytes.iter().for_each(|&byte| experts.skip(byte)),
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
    fn every_expert_can_be_silenced_and_none_is_the_others() {
        let text = b"one two three, four five six; seven eight nine\n".repeat(8);
        let heard: Vec<u32> = (0..=Predictor::experts().len())
            .map(|silent| {
                let mut predictor = Predictor::new(ALONE).unwrap();
                if silent > 0 {
                    predictor.silence(silent - 1);
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
                        let opinion = (!escape).then(|| 1 + (next() & 0xff_fff0));
                        found.push(predictor.predict(Event::Bit, opinion));
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
    fn without_experts_the_opinion_passes_unchanged() {
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
