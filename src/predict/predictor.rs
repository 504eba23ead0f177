//! The predictor: from the next decision's context and the model's opinion to one probability.

use super::logistic::stretch;
use super::mixer::Mixer;
use super::plain::PlainExperts;

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
pub enum Preset {
    /// Few experts: at least twice as fast as [`Preset::Normal`].
    Fast,
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

/// A bit counter: 16-bit probability, adapting by 1/32 a step.
#[derive(Clone, Copy)]
struct Counter(u16);

impl Counter {
    fn p(self) -> u32 {
        (u32::from(self.0) << 8) + 128
    }

    fn update(&mut self, bit: bool) {
        if bit {
            self.0 += (65_535 - self.0) >> 5;
        } else {
            self.0 -= self.0 >> 5;
        }
    }
}

/// Mixes experts and model into one probability a decision, and learns from each outcome.
///
/// The caller alternates [`predict`](Predictor::predict) and [`update`](Predictor::update), or calls
/// [`learn_certain`](Predictor::learn_certain) for bits that cost nothing.
#[derive(Clone)]
pub struct Predictor {
    settings: Settings,
    experts: PlainExperts,
    mixer: Mixer,
    logits: [i16; PlainExperts::INPUTS + 1],
    /// Without experts: bytes by order 0, the two events by themselves.
    order0: Vec<Counter>,
    events: [Counter; 2],
    event: Event,
    /// Bits of the current byte behind a leading one.
    partial: u32,
    /// The last eight bytes, the latest lowest.
    history: u64,
}

impl Predictor {
    /// A predictor that has seen nothing.
    pub fn new(settings: Settings) -> Predictor {
        Predictor {
            settings,
            experts: PlainExperts::new(),
            mixer: Mixer::new(PlainExperts::INPUTS + 1, 512),
            logits: [0; PlainExperts::INPUTS + 1],
            order0: vec![Counter(1 << 15); 256],
            events: [Counter(1 << 15), Counter(1 << 10)],
            event: Event::Bit,
            partial: 1,
            history: 0,
        }
    }

    /// Announces a token that will be coded with the language model. Not called in blocks without a model.
    pub fn begin_token(&mut self, _facts: TokenFacts) {}

    /// P(bit = 1) of the next decision, 24 bits. `model` is the language model's opinion where it has one.
    pub fn predict(&mut self, event: Event, model: Option<u32>) -> u32 {
        self.event = event;
        let p = match (event, model) {
            (Event::Bit, model) if self.settings.experts => {
                let (model_logit, experts) = self.logits.split_first_mut().expect("not empty");
                *model_logit = model.map_or(0, stretch) as i16;
                let experts = experts.try_into().expect("one logit an expert");
                self.experts.logits(self.partial, self.history, experts);
                let context = self.partial as usize + 256 * usize::from(model.is_some());
                self.mixer.mix(&self.logits, context)
            }
            (_, Some(p)) => p,
            (Event::Bit, None) => self.order0[self.partial as usize].p(),
            (Event::TokenEnd, None) => self.events[0].p(),
            (Event::Escape, None) => self.events[1].p(),
        };
        p.clamp(1, (1 << super::PROBABILITY_BITS) - 1)
    }

    /// The decision just predicted came out as `bit`. The eighth [`Event::Bit`] completes a byte.
    pub fn update(&mut self, bit: bool) {
        match self.event {
            Event::Bit => {
                if self.settings.experts {
                    self.mixer.update(&self.logits, bit);
                    self.experts.update(bit);
                }
                self.order0[self.partial as usize].update(bit);
                self.advance(bit);
            }
            Event::TokenEnd => self.events[0].update(bit),
            Event::Escape => self.events[1].update(bit),
        }
    }

    /// A bit of the current byte that was certain, and so not coded: the experts learn it all the same.
    pub fn learn_certain(&mut self, bit: bool) {
        let mut logits = [0; PlainExperts::INPUTS];
        if self.settings.experts {
            self.experts.logits(self.partial, self.history, &mut logits);
            self.experts.update(bit);
        }
        self.order0[self.partial as usize].update(bit);
        self.advance(bit);
    }

    /// Bytes that were stored, not predicted. Called between bytes.
    pub fn skip_bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.history = (self.history << 8) | u64::from(byte);
        }
    }

    fn advance(&mut self, bit: bool) {
        self.partial = (self.partial << 1) | u32::from(bit);
        if self.partial >= 256 {
            self.history = (self.history << 8) | u64::from(self.partial & 255);
            self.partial = 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits_of(settings: Settings, bytes: &[u8]) -> f64 {
        let mut predictor = Predictor::new(settings);
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
    fn experts_learn_what_repeats() {
        let text = b"the quick brown fox jumps over the lazy dog; ".repeat(40);
        let cost = bits_of(ALONE, &text) / text.len() as f64;
        assert!(cost < 2.5, "{cost} bits a byte");
    }

    #[test]
    fn without_experts_the_opinion_passes_unchanged() {
        let mut predictor = Predictor::new(Settings {
            experts: false,
            ..ALONE
        });
        for p in [1, 77, 1 << 23, (1 << 24) - 1] {
            for event in [Event::Bit, Event::TokenEnd, Event::Escape] {
                assert_eq!(predictor.predict(event, Some(p)), p);
                predictor.update(p % 2 == 0);
            }
        }
    }
}
