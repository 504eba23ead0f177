//! The plain experts: bytes seen after the last zero, one and two bytes.

use super::logistic::stretch;

/// Direct bit probabilities of orders 0, 1 and (hashed) 2.
#[derive(Clone)]
pub struct PlainExperts {
    tables: [Vec<u16>; 3],
    slots: [usize; 3],
}

impl PlainExperts {
    /// How many logits [`PlainExperts::logits`] gives.
    pub const INPUTS: usize = 3;

    pub fn new() -> PlainExperts {
        PlainExperts {
            tables: [8, 16, 22].map(|bits| vec![1 << 15; 1 << bits]),
            slots: [0; 3],
        }
    }

    /// Opinions on the next bit. `partial`: the bits of this byte so far behind a leading one; `history`: the
    /// last bytes, the latest lowest.
    pub fn logits(&mut self, partial: u32, history: u64, logits: &mut [i16; Self::INPUTS]) {
        let order2 = (history as u32 & 0xffff).wrapping_mul(0x9e37_79b1) >> 10;
        self.slots = [
            partial as usize,
            ((history as usize & 0xff) << 8) | partial as usize,
            (order2 ^ (partial.wrapping_mul(0x01_0193))) as usize & ((1 << 22) - 1),
        ];
        for ((logit, table), &slot) in logits.iter_mut().zip(&self.tables).zip(&self.slots) {
            *logit = stretch((u32::from(table[slot]) << 8) + 128) as i16;
        }
    }

    /// Learns the bit that followed.
    pub fn update(&mut self, bit: bool) {
        for (table, &slot) in self.tables.iter_mut().zip(&self.slots) {
            let p = &mut table[slot];
            if bit {
                *p += (65_535 - *p) >> 4;
            } else {
                *p -= *p >> 4;
            }
        }
    }
}
