//! The elementary functions of numerics v1: polynomials with fixed coefficients, evaluated by
//! Horner's rule with every product and every sum rounded on its own.
//!
//! They are inlined into each kernel set and compiled for its instructions; IEEE arithmetic without
//! contraction makes the results the same everywhere. Coefficients are minimax fits rounded to f32,
//! given by their bits.

/// Adding and subtracting 1.5 * 2^23 rounds an f32 of magnitude below 2^22 to the nearest integer,
/// ties to even.
const ROUNDER: f32 = 12_582_912.0;
/// Logarithm of e to base 2.
pub const LOG2_E: f32 = f32::from_bits(0x3fb8_aa3b);
/// Magnitudes below this count as zero where a reciprocal is taken.
pub const TINY: f32 = 1e-30;

/// 2^f - 1 over f, for -0.5 <= f <= 0.5; relative error of 2^f below 2e-9 before rounding.
const EXP2: [f32; 6] = [
    f32::from_bits(0x3f31_7218),
    f32::from_bits(0x3e75_fdf0),
    f32::from_bits(0x3d63_5768),
    f32::from_bits(0x3c1d_94d5),
    f32::from_bits(0x3aaf_a3d8),
    f32::from_bits(0x3922_47e0),
];

/// (sin x - x) / x^3 in powers of x^2, for |x| <= pi/4.
const SIN: [f32; 3] = [
    f32::from_bits(0xbe2a_aaa0),
    f32::from_bits(0x3c08_82da),
    f32::from_bits(0xb94c_6d33),
];

/// (cos x - 1) / x^2 in powers of x^2, for |x| <= pi/4.
const COS: [f32; 4] = [
    f32::from_bits(0xbf00_0000),
    f32::from_bits(0x3d2a_aa9f),
    f32::from_bits(0xbab6_043f),
    f32::from_bits(0x37cc_9a18),
];

/// One turn in radians over 2^32.
const RADIANS: f32 = f32::from_bits(0x30c9_0fdb);

/// Half the logarithm of e to base 2.
const HALF_LOG2_E: f32 = f32::from_bits(0x3f38_aa3b);

/// Half of the coefficients a1 to a5 in formula 7.1.26 of Abramowitz and Stegun.
const TAIL: [f32; 5] = [
    f32::from_bits(0x3e02_7906),
    f32::from_bits(0xbe11_a98e),
    f32::from_bits(0x3f35_f0e3),
    f32::from_bits(0xbf3a_00e3),
    f32::from_bits(0x3f07_dc22),
];
/// The coefficient p of that formula over the root of 2.
const TAIL_SLOPE: f32 = f32::from_bits(0x3e6d_3388);

/// ln(1 + t) over s in powers of s^2, with s = t / (2 + t), for 0 <= t <= 1; relative error below
/// 5e-9 before rounding.
const LOG_1P: [f32; 5] = [
    2.0,
    f32::from_bits(0x3f2a_aa80),
    f32::from_bits(0x3ecc_e93e),
    f32::from_bits(0x3e8f_5b09),
    f32::from_bits(0x3e8f_7c38),
];

/// Twice the root of 2 / pi.
const GELU_LINEAR: f32 = f32::from_bits(0x3fcc_422a);
/// The same times 0.044715.
const GELU_CUBIC: f32 = f32::from_bits(0x3d92_2279);

/// The larger of two numbers that are not NaN.
#[inline(always)]
pub fn max(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// The smaller of two numbers that are not NaN.
#[inline(always)]
pub fn min(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// Nearest integer, ties to even, for magnitudes up to 2^22.
#[inline(always)]
pub fn round(x: f32) -> i32 {
    ((x + ROUNDER).to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32)
}

/// 2^fraction * 2^whole for -0.5 <= fraction <= 0.5; the result must be a normal number.
#[inline(always)]
pub fn exp2_parts(fraction: f32, whole: i32) -> f32 {
    exp2_parts_of([fraction], [whole])[0]
}

/// [`exp2_parts`] of several numbers. Each step is taken for all of them before the next, so that a
/// processor need not wait for one result after another.
#[inline(always)]
pub fn exp2_parts_of<const N: usize>(fractions: [f32; N], wholes: [i32; N]) -> [f32; N] {
    let mut p = [EXP2[5]; N];
    for coefficient in [EXP2[4], EXP2[3], EXP2[2], EXP2[1], EXP2[0], 1.0] {
        for i in 0..N {
            p[i] = p[i] * fractions[i] + coefficient;
        }
    }
    for i in 0..N {
        p[i] = f32::from_bits((p[i].to_bits() as i32).wrapping_add(wholes[i] << 23) as u32);
    }
    p
}

/// 2^x for -125 <= x <= 125.
#[inline(always)]
pub fn exp2(x: f32) -> f32 {
    let rounded = x + ROUNDER;
    let whole = (rounded.to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32);
    exp2_parts(x - (rounded - ROUNDER), whole)
}

/// 2^x for x <= 0, exactly zero below -64.
#[inline(always)]
pub fn exp2_or_zero(x: f32) -> f32 {
    let value = exp2(max(x, -64.0));
    if x < -64.0 { 0.0 } else { value }
}

/// Sigmoid: `1 / (1 + 2^(-x log2 e))`, with the exponent clamped to -125..125.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let exponent = min(max(x * -LOG2_E, -125.0), 125.0);
    1.0 / (1.0 + exp2(exponent))
}

/// The natural logarithm of `1 + e^x`.
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    let t = exp2_or_zero(x.abs() * -LOG2_E);
    let s = t / (2.0 + t);
    let u = s * s;
    let mut p = LOG_1P[4];
    p = p * u + LOG_1P[3];
    p = p * u + LOG_1P[2];
    p = p * u + LOG_1P[1];
    p = p * u + LOG_1P[0];
    max(x, 0.0) + p * s
}

/// `cap * tanh(x / cap)`, for a cap that is not 0.
#[inline(always)]
pub fn soft_cap(x: f32, cap: f32) -> f32 {
    cap * (2.0 * sigmoid(2.0 * (x / cap)) - 1.0)
}

/// `x * Phi(x)`, with the distribution function of the normal distribution. The tail of `Phi` is
/// formula 7.1.26 of Abramowitz and Stegun, whose absolute error is below 1e-7.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    let t = 1.0 / (1.0 + x.abs() * TAIL_SLOPE);
    let mut tail = TAIL[4];
    tail = tail * t + TAIL[3];
    tail = tail * t + TAIL[2];
    tail = tail * t + TAIL[1];
    tail = tail * t + TAIL[0];
    tail = tail * t * exp2_or_zero((x * x) * -HALF_LOG2_E);
    x * if x < 0.0 { tail } else { 1.0 - tail }
}

/// The approximation of [`gelu`] that models trained with tanh use:
/// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))`.
#[inline(always)]
pub fn gelu_tanh(x: f32) -> f32 {
    x * sigmoid(x * (GELU_LINEAR + GELU_CUBIC * (x * x)))
}

/// Cosine and sine of `phase` / 2^64 turns.
///
/// The nearest quarter turn is split off exactly; the upper 32 bits of the rest give an angle of at
/// most pi/4.
pub fn cos_sin(phase: u64) -> (f32, f32) {
    let quarter = phase.wrapping_add(1 << 61) >> 62;
    let rest = (phase.wrapping_sub(quarter << 62) as i64 >> 32) as i32;
    let angle = rest as f32 * RADIANS;
    let square = angle * angle;
    let mut sin = SIN[2];
    sin = sin * square + SIN[1];
    sin = sin * square + SIN[0];
    sin = sin * square * angle + angle;
    let mut cos = COS[3];
    cos = cos * square + COS[2];
    cos = cos * square + COS[1];
    cos = cos * square + COS[0];
    cos = cos * square + 1.0;
    match quarter {
        0 => (cos, sin),
        1 => (-sin, cos),
        2 => (-cos, -sin),
        _ => (sin, -cos),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_accurate_and_exact_where_it_must_be() {
        for step in -4000..=4000 {
            let x = step as f32 * 0.03125 + 0.013;
            let error = f64::from(exp2(x.clamp(-125.0, 125.0)))
                / f64::from(x.clamp(-125.0, 125.0)).exp2()
                - 1.0;
            assert!(error.abs() < 1.5e-7, "{x}: {error}");
        }
        assert_eq!(exp2(0.0), 1.0);
        assert_eq!(exp2_or_zero(-0.0), 1.0);
        assert_eq!(exp2_or_zero(-64.0), 2f32.powi(-64));
        assert_eq!(exp2_or_zero(-64.001), 0.0);
        assert_eq!(exp2_or_zero(f32::MIN), 0.0);
    }

    #[test]
    fn rounding_goes_to_even() {
        for (x, want) in [
            (0.5, 0),
            (1.5, 2),
            (-0.5, 0),
            (-2.5, -2),
            (2.5001, 3),
            (4_194_303.5, 4_194_304),
        ] {
            assert_eq!(round(x), want);
        }
    }

    #[test]
    fn sigmoid_saturates_without_overflow() {
        assert_eq!(sigmoid(0.0), 0.5);
        assert_eq!(sigmoid(1e30), 1.0);
        assert!(sigmoid(-1e30) > 0.0 && sigmoid(-1e30) < 1e-37);
        assert!((f64::from(sigmoid(-3.0)) - 1.0 / (1.0 + 3f64.exp())).abs() < 1e-8);
    }

    #[test]
    fn softplus_is_accurate_on_both_sides() {
        for step in -3000..=3000 {
            let x = step as f32 * 0.0137;
            let want = f64::from(x).exp().ln_1p();
            let error = (f64::from(softplus(x)) - want).abs();
            assert!(error <= 2e-6 * want, "{x}: {error} of {want}");
        }
        assert_eq!(softplus(-1e30), 0.0);
        assert_eq!(softplus(1e30), 1e30);
    }

    /// Values of x and `x * Phi(x)`, from 30-digit arithmetic.
    #[test]
    fn gelu_is_accurate_on_both_sides() {
        for (x, want) in [
            (0.0, 0.0),
            (0.5, 0.345_731_23),
            (1.0, 0.841_344_8),
            (-1.0, -0.158_655_26),
            (-3.0, -0.004_049_694),
            (2.5, 2.484_475_8),
            (-9.0, 0.0),
            (1e30, 1e30),
            (-1e30, 0.0),
        ] {
            assert!((gelu(x) - want).abs() <= 3e-7 * want.abs().max(1.0), "{x}");
            // The approximation with tanh is within 5e-4 of it.
            assert!(
                (gelu_tanh(x) - want).abs() <= 5e-4 * want.abs().max(1.0),
                "{x}"
            );
        }
        assert!((gelu_tanh(1.0) - 0.841_192).abs() < 1e-6);
        assert!((gelu_tanh(-0.7) + 0.169_429_87).abs() < 1e-6);
    }

    #[test]
    fn a_capped_number_stays_below_its_cap() {
        for (x, want) in [
            (0.0, 0.0),
            (1.0, 0.999_866_7),
            (-100.0, -48.201_38),
            (1e30, 50.0),
        ] {
            assert!((soft_cap(x, 50.0) - want).abs() < 1e-4, "{x}");
        }
    }

    #[test]
    fn rotations_are_accurate_all_around() {
        for step in 0..1000u64 {
            let phase = step.wrapping_mul(0x0041_8937_4bc6_a7ef) | step;
            let (cos, sin) = cos_sin(phase);
            let angle = phase as f64 / 2f64.powi(64) * std::f64::consts::TAU;
            assert!(
                (f64::from(cos) - angle.cos()).abs() < 1.2e-7,
                "cos {phase:x}"
            );
            assert!(
                (f64::from(sin) - angle.sin()).abs() < 1.2e-7,
                "sin {phase:x}"
            );
        }
        assert_eq!(cos_sin(0), (1.0, 0.0));
        assert_eq!(cos_sin(1 << 62), (-0.0, 1.0));
        assert_eq!(cos_sin(1 << 63), (-1.0, -0.0));
    }
}
