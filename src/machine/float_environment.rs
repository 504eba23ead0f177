//! The processor's floating-point modes: rounding to nearest, subnormal numbers kept.
//!
//! A caller may have switched on flush-to-zero or another rounding; the engine's results must not depend on it.

/// Puts the standard modes in force on this thread until it is dropped.
#[derive(Debug)]
pub struct FloatEnvironment {
    saved: Modes,
}

#[cfg(target_arch = "x86_64")]
type Modes = u32;
#[cfg(target_arch = "aarch64")]
type Modes = u64;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("llmzip's numerics are defined for x86-64 and aarch64 only");

impl FloatEnvironment {
    /// Saves the modes in force and sets the standard ones.
    #[must_use]
    pub fn enter() -> FloatEnvironment {
        let saved = read();
        write(STANDARD);
        FloatEnvironment { saved }
    }
}

impl Drop for FloatEnvironment {
    fn drop(&mut self) {
        write(self.saved);
    }
}

/// All exceptions masked, nearest-even, no flush to zero.
#[cfg(target_arch = "x86_64")]
const STANDARD: Modes = 0x1f80;
#[cfg(target_arch = "aarch64")]
const STANDARD: Modes = 0;

#[cfg(target_arch = "x86_64")]
fn read() -> Modes {
    let mut modes: Modes = 0;
    // SAFETY: stores four bytes to a variable of four bytes.
    unsafe {
        std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut modes, options(nostack, preserves_flags))
    };
    modes
}

#[cfg(target_arch = "x86_64")]
fn write(modes: Modes) {
    // SAFETY: the value is the standard one or one that was in force before; no reserved bit is set.
    unsafe {
        std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const modes, options(nostack, preserves_flags))
    };
}

#[cfg(target_arch = "aarch64")]
fn read() -> Modes {
    let modes: Modes;
    // SAFETY: reads the floating-point control register.
    unsafe {
        std::arch::asm!("mrs {}, fpcr", out(reg) modes, options(nostack, nomem, preserves_flags))
    };
    modes
}

#[cfg(target_arch = "aarch64")]
fn write(modes: Modes) {
    // SAFETY: the value is the standard one or one that was in force before.
    unsafe { std::arch::asm!("msr fpcr, {}", in(reg) modes, options(nostack, preserves_flags)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_set_and_put_back() {
        let before = read();
        #[cfg(target_arch = "x86_64")]
        let other = 0x9fc0; // flush to zero, subnormal operands are zero
        #[cfg(target_arch = "aarch64")]
        let other = 1 << 24;
        write(other);
        {
            let _environment = FloatEnvironment::enter();
            assert_eq!(read(), STANDARD);
            assert!(std::hint::black_box(1e-40f32) * std::hint::black_box(0.5) > 0.0);
        }
        let after = read();
        write(before);
        assert_eq!(after, other);
    }
}
