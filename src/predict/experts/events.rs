//! The experts on the two events that are not bits of a byte: a token ends here, and the next byte
//! escapes.
//!
//! Unlike the model, they know where tokens ended in this file after the same bytes, and where a
//! token ended in the earlier text that a match model points to.

use crate::machine::MachineError;
use crate::machine::instructions::InstructionSet;
use crate::predict::kernels::mixer::LANES;
use crate::predict::mix::counter::Counter;
use crate::predict::mix::counter_table::CounterTable;
use crate::predict::mix::logistic::{squash, stretch};
use crate::predict::mix::mixer::{Mixer, Rate, Set};

/// Contexts of an event.
pub(super) const CONTEXTS: usize = 6;

/// Hashed counters a context.
const COUNTERS: usize = 1 << 15;

/// A counter at first.
const FIRST: Counter = Counter::new(1 << 21, 0);

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

/// What the prediction of an event depends on.
pub(super) struct EventContexts {
    /// Hashes; each selects a counter.
    pub hashes: [u32; CONTEXTS],
    /// A context below 64 that selects weights.
    pub small: usize,
    /// The logit of the model's probability, or of a typical one if the model gives none.
    pub model_logit: i32,
}

/// Predicts one kind of event.
pub(super) struct EventExperts {
    counters: CounterTable,
    selected: [usize; CONTEXTS],
    inputs: [i32; LANES],
    mixer: Mixer,
}

impl EventExperts {
    pub(super) fn new(instructions: InstructionSet) -> Result<EventExperts, MachineError> {
        let sets = [64, 64, 1].map(|contexts| Set { contexts, pace: 1 });
        // At first the model's logit alone counts.
        let mut initial = [0; LANES];
        initial[0] = 1 << 20;
        Ok(EventExperts {
            counters: CounterTable::new("the experts on events", CONTEXTS * COUNTERS)?,
            selected: [0; CONTEXTS],
            inputs: [0; LANES],
            mixer: Mixer::new(instructions, &initial, &sets, 1, RATES),
        })
    }

    /// A copy in memory of its own.
    pub(super) fn try_clone(&self) -> Result<EventExperts, MachineError> {
        Ok(EventExperts {
            counters: self.counters.try_clone()?,
            mixer: self.mixer.clone(),
            ..*self
        })
    }

    /// P(the event happens), 24 bits.
    pub(super) fn predict(&mut self, contexts: &EventContexts) -> u32 {
        self.inputs[0] = contexts.model_logit;
        self.inputs[1] = 256;
        for (i, hash) in contexts.hashes.iter().enumerate() {
            let hash = (hash ^ hash >> 15).wrapping_mul(0x2c1b_3c6d);
            self.selected[i] = i * COUNTERS + (hash >> 17) as usize;
            let counter = self.counters.get(self.selected[i], FIRST);
            let known = counter.n() > 0;
            self.inputs[2 + 2 * i] = i32::from(known) * stretch(counter.p());
            self.inputs[3 + 2 * i] = i32::from(known) * ((counter.p22() as i32 - (1 << 21)) >> 12);
        }
        let confidence = ((contexts.model_logit >> 6) + 32).clamp(0, 63) as usize;
        squash(
            self.mixer
                .mix(&self.inputs, &[contexts.small, confidence, 0], 0),
        )
    }

    /// Learns whether it happened.
    pub(super) fn update(&mut self, happened: bool) {
        self.mixer.update(&self.inputs, happened);
        for &selected in &self.selected {
            let mut counter = self.counters.get(selected, FIRST);
            counter.update(happened, 255);
            self.counters.set(selected, FIRST, counter);
        }
    }
}
