//! Rotary angles of positions.

/// Cosines and sines of the rotary angles of some positions, `head_dim / 2` of each a position.
#[derive(Clone, Debug, Default)]
pub(crate) struct Angles {
    pub(crate) cos: Vec<f32>,
    pub(crate) sin: Vec<f32>,
}

impl Angles {
    /// Angles of `positions` for rotary `steps`.
    pub(crate) fn set(&mut self, steps: &[u64], positions: impl Iterator<Item = u64>) {
        self.cos.clear();
        self.sin.clear();
        for position in positions {
            for step in steps {
                let (cos, sin) = crate::numerics::cos_sin(position.wrapping_mul(*step));
                self.cos.push(cos);
                self.sin.push(sin);
            }
        }
    }

    pub(crate) fn row(&self, row: usize, pairs: usize) -> (&[f32], &[f32]) {
        (
            &self.cos[row * pairs..][..pairs],
            &self.sin[row * pairs..][..pairs],
        )
    }
}
