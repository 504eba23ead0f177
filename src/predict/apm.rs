//! Adaptive probability maps (secondary symbol estimation): what a probability turned out to mean in a context.

use super::counter::Counter;
use super::logistic::squash;
use crate::kernels::prefetch::prefetch;

/// Knots of a curve: one every nat from -12 to 12.
const KNOTS: usize = 25;

/// One curve from predicted to observed probability for each context.
#[derive(Clone)]
pub struct Apm {
    curves: Vec<Counter>,
    selected: usize,
    limit: u32,
}

impl Apm {
    /// Knots settle to a rate of `1 / limit`.
    pub fn new(contexts: usize, limit: u32) -> Apm {
        let identity = (0..KNOTS as i32).map(|k| Counter::new(squash((k - 12) * 4096) >> 2, 6));
        Apm {
            curves: Vec::from_iter(identity).repeat(contexts),
            selected: 0,
            limit,
        }
    }

    /// Asks memory for the curve of a context.
    pub fn prefetch(&self, context: usize) {
        for knot in (0..KNOTS).step_by(64 / size_of::<Counter>()) {
            prefetch(&self.curves, context * KNOTS + knot);
        }
    }

    /// The refined probability, 24 bits, of `logit` (1/256 nat).
    pub fn refine(&mut self, logit: i32, context: usize) -> u32 {
        let place = (logit + 12 * 256).clamp(0, 24 * 256 - 1) as usize;
        let (knot, part) = (place >> 8, (place & 255) as u32);
        let at = context * KNOTS + knot;
        self.selected = at + usize::from(part >= 128);
        let (low, high) = (self.curves[at].p22(), self.curves[at + 1].p22());
        (low * (256 - part) + high * part) >> 6
    }

    /// Learns what followed.
    pub fn update(&mut self, bit: bool) {
        self.curves[self.selected].update(bit, self.limit);
    }
}
