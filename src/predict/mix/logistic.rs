//! The logistic domain in integers: `stretch(p) = ln(p / (1 - p))` and its inverse `squash`.
//!
//! Probabilities have 24 bits. Logits are in 1/256 nat where they are inputs and in 1/4096 nat
//! where they are sums. The domain is wide, 16 nats to either side, so that a decision on which all
//! inputs agree costs less than 2^-20 bit. All tables are computed at compile time in integers, so
//! they are the same everywhere.

/// Bits of a probability: `p` stands for `p / 2^24` and lies in `1..2^24`.
pub const PROBABILITY_BITS: u32 = 24;

/// Largest logit, in 1/256 nat (16 nats: a probability of 2^-23).
pub(crate) const LOGIT_MAX: i32 = 4095;

/// Knots of the squash table, one every 1/32 nat.
const KNOTS: usize = 16 * 32 + 2;

/// `2^30 / (1 + e^(k/32))`, the powers by repeated multiplication with the series for `e^(-1/32)`.
const fn squash_knots() -> [u32; KNOTS] {
    let mut step: u128 = 0;
    let mut term: u128 = 1 << 62;
    let mut n = 0;
    while n < 14 {
        if n % 2 == 0 {
            step += term;
        } else {
            step -= term;
        }
        n += 1;
        term /= 32 * n as u128;
    }
    let mut table = [0; KNOTS];
    let mut power: u128 = 1 << 60;
    let mut k = 0;
    while k < KNOTS {
        table[k] = ((power << 30) / ((1 << 60) + power)) as u32;
        power = (power * step) >> 62;
        k += 1;
    }
    table
}

static SQUASH: [u32; KNOTS] = squash_knots();

/// `2^30 / (1 + e^x)` for `x` in 1/4096 nat, `0 <= x < 16.06` nats. The function is convex there:
/// interpolating linearly errs by 1e-4 of its value.
#[inline(always)]
const fn squash_tail(x: u32) -> u32 {
    let (knot, part) = ((x >> 7) as usize, x & 127);
    let (high, low) = (SQUASH[knot], SQUASH[knot + 1]);
    // Two knots differ by less than 2^23, so the product fits.
    high - (((high - low) * part) >> 7)
}

/// `1 / (1 + e^-x)` for `x` in 1/4096 nat.
#[inline(always)]
pub(crate) fn squash(x: i32) -> u32 {
    let magnitude = x.unsigned_abs().min(LOGIT_MAX as u32 * 16);
    let tail = (squash_tail(magnitude) >> (30 - PROBABILITY_BITS)).max(1);
    if x < 0 {
        tail
    } else {
        (1 << PROBABILITY_BITS) - tail
    }
}

/// Significant bits of a probability, below its leading one, that choose its logit.
const MANTISSA_BITS: u32 = 8;

/// `-stretch(p)` in 1/256 nat for `p` up to one half, by octave and mantissa.
const fn stretch_table() -> [i16; 24 << MANTISSA_BITS] {
    let mut table = [0; 24 << MANTISSA_BITS];
    let mut logit = 0;
    let mut index = table.len();
    while index > 0 {
        index -= 1;
        let (octave, mantissa) = (index >> MANTISSA_BITS, index as u64 & 255);
        // Twice the middle of the interval that shares the entry; small octaves hold exact values
        // only.
        let inexact = (octave > MANTISSA_BITS as usize) as u64;
        let wanted = (512 + 2 * mantissa + inexact) << octave;
        while logit < LOGIT_MAX && ((squash_tail((logit as u32 + 1) * 16) as u64) << 3) >= wanted {
            logit += 1;
        }
        table[index] = logit as i16;
    }
    table
}

static STRETCH: [i16; 24 << MANTISSA_BITS] = stretch_table();

/// `ln(p / (1 - p))` in 1/256 nat, for a probability of 24 bits.
#[inline]
pub(crate) const fn stretch(p: u32) -> i32 {
    let upper = p > 1 << (PROBABILITY_BITS - 1);
    let tail = if upper {
        (1 << PROBABILITY_BITS) - p
    } else {
        p
    };
    let tail = if tail == 0 { 1 } else { tail };
    let octave = tail.ilog2();
    let mantissa = ((tail << MANTISSA_BITS) >> octave) & ((1 << MANTISSA_BITS) - 1);
    let logit = STRETCH[((octave << MANTISSA_BITS) | mantissa) as usize] as i32;
    if upper { logit } else { -logit }
}

/// Bits of the probabilities that the quick table tells apart.
const QUICK_BITS: u32 = 14;

/// `stretch` of the middle of each interval of the quick table.
static QUICK: [i16; 1 << QUICK_BITS] = {
    let mut table = [0; 1 << QUICK_BITS];
    let mut index = 0;
    while index < table.len() {
        let middle = (2 * index as u32 + 1) << (PROBABILITY_BITS - QUICK_BITS - 1);
        table[index] = stretch(middle) as i16;
        index += 1;
    }
    table
};

/// `stretch` to 14 bits of the probability (22 bits), in one look-up.
#[inline(always)]
pub(crate) fn stretch_quick(p22: u32) -> i32 {
    i32::from(QUICK[(p22 >> (22 - QUICK_BITS)) as usize & ((1 << QUICK_BITS) - 1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squash_is_the_logistic_function() {
        for x in (-70_000..70_000).step_by(37) {
            let exact =
                2f64.powi(24) / (1.0 + (-f64::from(x.clamp(-65_520, 65_520)) / 4096.0).exp());
            let error = (f64::from(squash(x)) - exact).abs();
            assert!(
                error <= 1.5 + 2e-4 * exact.min(2f64.powi(24) - exact),
                "{x}: {error}"
            );
        }
    }

    #[test]
    fn stretch_inverts_squash() {
        for logit in -2000..=2000 {
            assert!((stretch(squash(logit * 16)) - logit).abs() <= 2, "{logit}");
        }
        assert_eq!(stretch(1 << 23), 0);
        assert_eq!(stretch(1), -LOGIT_MAX);
        assert_eq!(stretch((1 << 24) - 1), LOGIT_MAX);
    }

    #[test]
    fn stretch_is_odd_and_monotonic() {
        let mut last = i32::MIN;
        for p in (1..1 << 24).step_by(101) {
            let logit = stretch(p);
            assert!(logit >= last, "{p}");
            assert_eq!(logit, -stretch((1 << 24) - p));
            last = logit;
        }
    }
}
