//! No experts: the language model's probability unchanged, and simple counters for decisions
//! without an opinion of the model.

use crate::predict::decision::Event;
use crate::predict::mix::counter::Counter;

/// How fast the counters adapt.
const LIMIT: u32 = 60;

/// Passes the model's probability on unchanged. Decisions without one have counters: one for each
/// prefix of a byte, and one for each event.
#[derive(Clone)]
pub(crate) struct NoExperts {
    bytes: Vec<Counter>,
    events: [Counter; 2],
    selected: Event,
    /// The bits of the current byte so far, after a leading one.
    partial: u32,
}

impl NoExperts {
    pub(crate) fn new() -> NoExperts {
        NoExperts {
            bytes: vec![Counter::new(1 << 21, 0); 256],
            events: [Counter::new(1 << 21, 0), Counter::new(1 << 12, 30)],
            selected: Event::Bit,
            partial: 1,
        }
    }

    pub(crate) fn predict(&mut self, event: Event, model: Option<u32>) -> u32 {
        self.selected = event;
        model.unwrap_or_else(|| self.counter().p())
    }

    pub(crate) fn update(&mut self, bit: bool) {
        self.counter().update(bit, LIMIT);
        if self.selected == Event::Bit {
            self.partial = self.partial << 1 | u32::from(bit);
            if self.partial >= 256 {
                self.partial = 1;
            }
        }
    }

    fn counter(&mut self) -> &mut Counter {
        match self.selected {
            Event::Bit => &mut self.bytes[self.partial as usize],
            Event::TokenEnd => &mut self.events[0],
            Event::Escape => &mut self.events[1],
        }
    }
}
