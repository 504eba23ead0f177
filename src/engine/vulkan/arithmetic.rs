//! Whether a device computes single operations as `docs/NUMERICS.md` wants them: the first part of
//! a self-test. Models use the same functions, but hardly ever with the operands at which a device
//! could differ.

use std::sync::Arc;

use super::device::{Device, Place};
use super::error::DeviceError;
use super::parameters::Parameters;
use super::shader::Shader;
use crate::machine::float_environment::FloatEnvironment;
use crate::numerics::{TINY, exp2, gelu, gelu_tanh, max, min, round, sigmoid, soft_cap};

/// Pairs of operands of each operation.
const COUNT: usize = 1 << 16;

/// An operation of `shaders/arithmetic.comp`.
struct Operation {
    name: &'static str,
    /// Makes operands that the operation is used with out of any.
    operands: fn(f32, f32) -> (f32, f32),
    /// What it gives.
    result: fn(f32, f32) -> f32,
}

/// In the order of the shader.
const OPERATIONS: [Operation; 11] = [
    Operation {
        name: "sums",
        operands: |a, b| (a, b),
        result: |a, b| a + b,
    },
    Operation {
        name: "products",
        operands: |a, b| (a, b),
        result: |a, b| a * b,
    },
    Operation {
        name: "quotients",
        // Of numbers whose quotient is finite: a divisor is normal, and 3 if it divides what is
        // large.
        operands: |a, b| {
            let b = if b.is_normal() { b } else { 1.0 };
            match (a / b).is_finite() {
                true => (a, b),
                false => (a, 3.0),
            }
        },
        result: |a, b| a / b,
    },
    Operation {
        name: "square roots",
        operands: |a, b| (if a.is_normal() { a } else { 2.0 }, b),
        result: |a, _| a.abs().sqrt(),
    },
    Operation {
        name: "powers",
        operands: |a, b| {
            (
                if a.abs() <= 125.0 {
                    a
                } else {
                    within(a, 125.0)
                },
                b,
            )
        },
        result: |a, _| exp2(a),
    },
    Operation {
        name: "sigmoids",
        operands: |a, b| (half(a, 200.0), b),
        result: |a, _| sigmoid(a),
    },
    Operation {
        name: "gelu",
        operands: |a, b| (half(a, 20.0), b),
        result: |a, _| gelu(a),
    },
    Operation {
        name: "gelu_tanh",
        operands: |a, b| (half(a, 20.0), b),
        result: |a, _| gelu_tanh(a),
    },
    Operation {
        name: "capped numbers",
        operands: |a, b| (half(a, 300.0), 1.0 + within(b, 100.0).abs()),
        result: soft_cap,
    },
    Operation {
        name: "conversions",
        operands: |a, b| (a, b),
        result: |a, _| a.to_bits() as i32 as f32,
    },
    Operation {
        name: "levels",
        operands: |a, b| {
            let amax = if b.abs() >= TINY { b.abs() } else { 1.0 };
            (a, 127.0 / amax)
        },
        result: |a, inverse| round(min(max(a * inverse, -127.0), 127.0)) as f32,
    },
];

/// A number of any size becomes one of at most this magnitude, with its own mantissa.
fn within(a: f32, most: f32) -> f32 {
    let fraction = (a.to_bits() & 0x7f_ffff) as f32 / 8_388_608.0;
    most * fraction * a.signum()
}

/// Half of the numbers stay as they are, the others become ones of at most this magnitude.
fn half(a: f32, most: f32) -> f32 {
    match a.to_bits() & 1 {
        0 => a,
        _ => within(a, most),
    }
}

/// Any finite numbers; many are subnormal or nearly so, close to each other, or have few bits.
fn operands() -> Vec<(f32, f32)> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as u32
    };
    let mut number = |exponents: std::ops::Range<u32>, bits: u32| {
        let (sign, exponent, mantissa) = (next(), next(), next());
        let field = exponents.start + exponent % (exponents.end - exponents.start);
        let mantissa = (mantissa & 0x7f_ffff) >> (23 - bits) << (23 - bits);
        f32::from_bits(sign & 0x8000_0000 | field << 23 | mantissa)
    };
    let pair = |index: usize| match index % 8 {
        // Every exponent; subnormal and small ones; those whose product is small.
        0 | 1 => (number(0..255, 23), number(0..255, 23)),
        2 => (number(0..3, 23), number(0..30, 23)),
        3 => (number(0..2, 23), number(90..160, 23)),
        4 => (number(40..80, 23), number(40..80, 23)),
        // Ties: few bits beside many.
        5 => (number(0..60, 3), number(0..60, 23)),
        6 => (number(0..60, 12), number(20..120, 12)),
        // Close to each other.
        _ => {
            let a = number(0..255, 23);
            let other = f32::from_bits(a.to_bits() ^ 0x8000_0000 ^ (index as u32 >> 3 & 15));
            (a, if other.is_finite() { other } else { -a })
        }
    };
    (0..COUNT).map(pair).collect()
}

/// The first operation that the device computes otherwise than the processor; `None` if there is
/// none.
///
/// # Errors
/// If the device fails.
pub fn wrong_operation(device: &Arc<Device>) -> Result<Option<&'static str>, DeviceError> {
    let _environment = FloatEnvironment::enter();
    let len = (COUNT * 4) as u64;
    let buffer = |place| device.buffer("the self-test", len, place);
    let (mut left, mut right) = (buffer(Place::Upload)?, buffer(Place::Upload)?);
    let result = buffer(Place::Download)?;
    let all = operands();
    for (number, operation) in OPERATIONS.iter().enumerate() {
        let pairs = || all.iter().map(|(a, b)| (operation.operands)(*a, *b));
        let bytes = left.bytes_mut().chunks_exact_mut(4);
        let bytes = bytes.zip(right.bytes_mut().chunks_exact_mut(4));
        for ((left, right), (a, b)) in bytes.zip(pairs()) {
            left.copy_from_slice(&a.to_ne_bytes());
            right.copy_from_slice(&b.to_ne_bytes());
        }
        let pipeline = device.pipeline((Shader::Arithmetic, [0; 3]))?;
        let addresses = [left.address, right.address, result.address];
        let parameters = Parameters::new(&addresses).words(&[COUNT, number]);
        device.run(|commands| {
            commands.dispatch(pipeline, parameters.bytes(), [COUNT as u32 / 128, 1, 1]);
            Ok(())
        })?;
        let found = result.bytes().chunks_exact(4);
        let differs = |((a, b), found): ((f32, f32), &[u8])| {
            let found = u32::from_ne_bytes([found[0], found[1], found[2], found[3]]);
            // No result of the engine depends on the sign of a zero.
            let want = (operation.result)(a, b);
            found != want.to_bits() && !(want == 0.0 && found << 1 == 0)
        };
        if pairs().zip(found).any(differs) {
            return Ok(Some(operation.name));
        }
    }
    Ok(None)
}
