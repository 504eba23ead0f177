//! Adaptive probability maps (secondary symbol estimation): correct a predicted probability by how
//! often such predictions came true in a context.

use super::counter::Counter;
use super::counter_table::CounterTable;
use super::logistic::squash;
use crate::machine::MachineError;

/// Knots of a curve, one for each nat from -12 to 12.
const KNOTS: usize = 25;

/// One curve from predicted to observed probability for each context.
pub(crate) struct Apm {
    /// The knots, curve after curve.
    curves: CounterTable,
    /// The knots of a curve at first: the identity.
    identity: [Counter; KNOTS],
    /// The knot that learns next: its curve, and its place in the curve.
    selected: (usize, usize),
    limit: u32,
}

impl Apm {
    /// The identity in each of `contexts`; the rate of a knot falls to `1 / limit`.
    pub(crate) fn new(contexts: usize, limit: u32) -> Result<Apm, MachineError> {
        let knot = |k: usize| Counter::new(squash((k as i32 - 12) * 4096) >> 2, 6);
        Ok(Apm {
            curves: CounterTable::new("probability maps", contexts * KNOTS)?,
            identity: std::array::from_fn(knot),
            selected: (0, 0),
            limit,
        })
    }

    /// A copy in memory of its own.
    pub(crate) fn try_clone(&self) -> Result<Apm, MachineError> {
        Ok(Apm {
            curves: self.curves.try_clone()?,
            ..*self
        })
    }

    /// Expects that most curves will be used.
    pub(crate) fn prefer_huge(&mut self) {
        self.curves.prefer_huge();
    }

    /// Prefetches the curve of a context.
    pub(crate) fn prefetch(&self, context: usize) {
        for knot in (0..KNOTS).step_by(16) {
            self.curves.prefetch(KNOTS * context + knot);
        }
    }

    /// The refined probability, 24 bits, of `logit` (1/256 nat).
    pub(crate) fn refine(&mut self, logit: i32, context: usize) -> u32 {
        let offset = (logit + 12 * 256).clamp(0, 24 * 256 - 1) as usize;
        let (knot, part) = (offset >> 8, (offset & 255) as u32);
        self.selected = (context, knot + usize::from(part >= 128));
        let p22 = |knot: usize| {
            let at = context * KNOTS + knot;
            self.curves.get(at, self.identity[knot]).p22()
        };
        let (low, high) = (p22(knot), p22(knot + 1));
        (low * (256 - part) + high * part) >> 6
    }

    /// Learns what followed.
    pub(crate) fn update(&mut self, bit: bool) {
        let (context, knot) = self.selected;
        let (at, first) = (context * KNOTS + knot, self.identity[knot]);
        let mut counter = self.curves.get(at, first);
        counter.update(bit, self.limit);
        self.curves.set(at, first, counter);
    }
}
