//! Adaptive probabilities: 22 bits of probability, and a count that determines the rate.

/// `2^16 / (n + 1.5)`.
static RATE: [u32; 1024] = {
    let mut rate = [0; 1024];
    let mut n = 0;
    while n < 1024 {
        rate[n] = (2 << 16) / (2 * n as u32 + 3);
        n += 1;
    }
    rate
};

/// P(bit = 1), moving by `1 / (n + 1.5)` towards the n-th bit until `n` reaches a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter(u32);

impl Counter {
    /// A counter from its bits in a table.
    #[inline]
    pub(super) fn from_bits(bits: u32) -> Counter {
        Counter(bits)
    }

    /// Its bits, to be stored in a table.
    #[inline]
    pub(super) fn to_bits(self) -> u32 {
        self.0
    }

    /// Starts at `p` (22 bits) as if it had seen `n` bits.
    pub(crate) const fn new(p: u32, n: u32) -> Counter {
        Counter((p << 10) | n)
    }

    /// P(bit = 1), 22 bits.
    #[inline]
    pub(crate) fn p22(self) -> u32 {
        self.0 >> 10
    }

    /// P(bit = 1), 24 bits.
    #[inline]
    pub(crate) fn p(self) -> u32 {
        (self.p22() << 2) | 2
    }

    /// Bits seen, up to the limit.
    #[inline]
    pub(crate) fn n(self) -> u32 {
        self.0 & 1023
    }

    /// Learns a bit; `limit` is at most 1023.
    #[inline]
    pub(crate) fn update(&mut self, bit: bool, limit: u32) {
        let n = self.n();
        let p = self.p22() as i32;
        let target = i32::from(bit) * ((1 << 22) - 1);
        let step = ((i64::from(target - p) * i64::from(RATE[n as usize])) >> 16) as i32;
        self.0 = (((p + step) as u32) << 10) | (n + 1).min(limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bits_count_most() {
        let mut counter = Counter::new(1 << 21, 0);
        counter.update(true, 255);
        assert!(counter.p22() > 3 << 20);
        for _ in 0..1000 {
            counter.update(true, 255);
        }
        assert!(counter.p22() > (1 << 22) - (1 << 12));
        assert_eq!(counter.n(), 255);
    }
}
