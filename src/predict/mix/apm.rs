//! Adaptive probability maps (secondary symbol estimation): correct a predicted probability by how
//! often such predictions came true in a context.

use super::counter::Counter;
use super::logistic::squash;
use crate::machine::MachineError;
use crate::machine::pages::Pages;
use crate::machine::prefetch::prefetch;

/// Knots of a curve, one for each nat from -12 to 12.
const KNOTS: usize = 25;

/// One curve from predicted to observed probability for each context.
pub(crate) struct Apm {
    /// The knots, a [`Counter`] each, curve after curve.
    curves: Pages,
    selected: usize,
    limit: u32,
}

impl Apm {
    /// The identity in each of `contexts`; the rate of a knot falls to `1 / limit`.
    pub(crate) fn new(contexts: usize, limit: u32) -> Result<Apm, MachineError> {
        let knot = |k: usize| Counter::new(squash((k as i32 - 12) * 4096) >> 2, 6).to_bytes();
        let identity: [[u8; 4]; KNOTS] = std::array::from_fn(knot);
        let mut curves = Pages::zeroed("probability maps", contexts * KNOTS * 4)?;
        for curve in curves.chunks_exact_mut(KNOTS * 4) {
            curve.copy_from_slice(identity.as_flattened());
        }
        Ok(Apm {
            curves,
            selected: 0,
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

    /// Prefetches the curve of a context.
    pub(crate) fn prefetch(&self, context: usize) {
        for byte in (0..4 * KNOTS).step_by(64) {
            prefetch(&self.curves, 4 * KNOTS * context + byte);
        }
    }

    /// The refined probability, 24 bits, of `logit` (1/256 nat).
    pub(crate) fn refine(&mut self, logit: i32, context: usize) -> u32 {
        let offset = (logit + 12 * 256).clamp(0, 24 * 256 - 1) as usize;
        let (knot, part) = (offset >> 8, (offset & 255) as u32);
        let at = context * KNOTS + knot;
        self.selected = at + usize::from(part >= 128);
        let (knots, _) = self.curves.as_chunks();
        let p22 = |at: usize| Counter::from_bytes(knots[at]).p22();
        let (low, high) = (p22(at), p22(at + 1));
        (low * (256 - part) + high * part) >> 6
    }

    /// Learns what followed.
    pub(crate) fn update(&mut self, bit: bool) {
        let (knots, _) = self.curves.as_chunks_mut();
        let mut knot = Counter::from_bytes(knots[self.selected]);
        knot.update(bit, self.limit);
        knots[self.selected] = knot.to_bytes();
    }
}
