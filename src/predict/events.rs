//! The experts on the two events beside the bits of bytes: a token ends here, the next byte escapes.
//!
//! What they can know and the model does not: where tokens ended in this file after the same bytes, and at
//! the place that the match model points to.

use super::counter::Counter;
use super::logistic::{squash, stretch};
use super::mixer::{Mixer, Rate, Set};
use crate::machine::instructions::InstructionSet;
use crate::predict::kernels::mixer::LANES;

/// Contexts of an event.
pub const CONTEXTS: usize = 6;

/// Hashed counters a context.
const COUNTERS: usize = 1 << 15;

const RATES: [Rate; 2] = [
    Rate {
        floor: 150,
        extra: 1000,
        halving: 100,
    },
    Rate {
        floor: 60,
        extra: 300,
        halving: 100,
    },
];

/// What is known when an event is to be predicted.
pub struct Situation {
    /// Hashes that select a counter each.
    pub hashes: [u32; CONTEXTS],
    /// A small context (below 64) for the weights.
    pub small: usize,
    /// Logit that is right most of the time, the model's opinion if it has one.
    pub opinion: i32,
}

/// Predicts one kind of event.
#[derive(Clone)]
pub struct EventExperts {
    counters: Vec<Counter>,
    selected: [usize; CONTEXTS],
    inputs: [i32; LANES],
    mixer: Mixer,
}

impl EventExperts {
    pub fn new(instructions: InstructionSet) -> EventExperts {
        let sets = [64, 64, 1].map(|contexts| Set { contexts, pace: 1 });
        // The opinion counts until the counters have shown their worth.
        let mut initial = [0; LANES];
        initial[0] = 1 << 20;
        EventExperts {
            counters: vec![Counter::new(1 << 21, 0); CONTEXTS * COUNTERS],
            selected: [0; CONTEXTS],
            inputs: [0; LANES],
            mixer: Mixer::new(instructions, &initial, &sets, 1, RATES),
        }
    }

    /// P(the event happens), 24 bits.
    pub fn predict(&mut self, situation: &Situation) -> u32 {
        self.inputs[0] = situation.opinion;
        self.inputs[1] = 256;
        for (i, hash) in situation.hashes.iter().enumerate() {
            let hash = (hash ^ hash >> 15).wrapping_mul(0x2c1b_3c6d);
            self.selected[i] = i * COUNTERS + (hash >> 17) as usize;
            let counter = self.counters[self.selected[i]];
            let known = counter.n() > 0;
            self.inputs[2 + 2 * i] = i32::from(known) * stretch(counter.p());
            self.inputs[3 + 2 * i] = i32::from(known) * ((counter.p22() as i32 - (1 << 21)) >> 12);
        }
        let confidence = ((situation.opinion >> 6) + 32).clamp(0, 63) as usize;
        squash(
            self.mixer
                .mix(&self.inputs, &[situation.small, confidence, 0], 0),
        )
    }

    /// Learns whether it happened.
    pub fn update(&mut self, happened: bool) {
        self.mixer.update(&self.inputs, happened);
        for &selected in &self.selected {
            self.counters[selected].update(happened, 255);
        }
    }
}
