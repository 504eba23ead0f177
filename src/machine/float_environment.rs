//! The processor's floating-point modes: rounding to nearest, subnormal numbers kept.
//!
//! A caller may have switched on flush-to-zero or another rounding. The engine's results must not
//! depend on it.

use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    /// Guards of this thread, and the modes that were in force before the first of them.
    static GUARDS: Cell<(usize, Modes)> = const { Cell::new((0, STANDARD)) };
}

/// Keeps the standard modes in force on this thread until it is dropped. If a thread has several
/// guards, the last one that is dropped restores the modes that the first one found.
#[derive(Debug)]
pub struct FloatEnvironment {
    /// Modes belong to a thread, so a guard stays on its own.
    not_send: PhantomData<*const ()>,
}

#[cfg(target_arch = "x86_64")]
type Modes = u32;
#[cfg(target_arch = "aarch64")]
type Modes = u64;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("llmzip's numerics are defined for x86-64 and aarch64 only");

impl FloatEnvironment {
    /// Puts the standard modes in force.
    #[must_use]
    pub fn enter() -> FloatEnvironment {
        let found = read();
        write(STANDARD);
        GUARDS.set(match GUARDS.get() {
            (0, _) => (1, found),
            (guards, first) => (guards + 1, first),
        });
        FloatEnvironment {
            not_send: PhantomData,
        }
    }
}

impl Drop for FloatEnvironment {
    fn drop(&mut self) {
        let (guards, first) = GUARDS.get();
        GUARDS.set((guards - 1, first));
        if guards == 1 {
            write(first);
        }
    }
}

/// All exceptions masked, nearest-even, no flush to zero.
#[cfg(target_arch = "x86_64")]
const STANDARD: Modes = 0x1f80;
#[cfg(target_arch = "aarch64")]
const STANDARD: Modes = 0;

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn read() -> Modes {
    let mut modes: Modes = 0;
    // SAFETY: stores four bytes to a variable of four bytes.
    unsafe {
        std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut modes, options(nostack, preserves_flags));
    };
    modes
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn write(modes: Modes) {
    // SAFETY: the value is the standard one or was in force before; no reserved bit is set.
    unsafe {
        std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const modes, options(nostack, preserves_flags));
    };
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
fn read() -> Modes {
    let modes: Modes;
    // SAFETY: reads the floating-point control register.
    unsafe {
        std::arch::asm!("mrs {}, fpcr", out(reg) modes, options(nostack, nomem, preserves_flags))
    };
    modes
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
fn write(modes: Modes) {
    // SAFETY: the value is the standard one or was in force before.
    unsafe { std::arch::asm!("msr fpcr, {}", in(reg) modes, options(nostack, preserves_flags)) };
}

/// Miri has the standard modes and knows no assembly.
#[cfg(miri)]
fn read() -> Modes {
    STANDARD
}

#[cfg(miri)]
fn write(_: Modes) {}

/// Flush to zero; on x86-64 subnormal operands are zero, too.
#[cfg(all(test, target_arch = "x86_64"))]
const OTHER: Modes = 0x9fc0;
#[cfg(all(test, target_arch = "aarch64"))]
const OTHER: Modes = 1 << 24;

/// Does `work` while subnormal numbers are flushed to zero, on this thread and on those that it
/// starts.
#[cfg(all(test, feature = "gpu"))]
pub(crate) fn flushing<T>(work: impl FnOnce() -> T) -> T {
    let before = read();
    write(OTHER);
    let result = work();
    write(before);
    result
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    /// The modes after `work` that began with others than the standard ones.
    fn modes_after(work: impl FnOnce()) -> Modes {
        let before = read();
        write(OTHER);
        work();
        let after = read();
        write(before);
        after
    }

    #[test]
    fn modes_are_set_and_put_back() {
        let after = modes_after(|| {
            let _environment = FloatEnvironment::enter();
            assert_eq!(read(), STANDARD);
            assert!(std::hint::black_box(1e-40f32) * std::hint::black_box(0.5) > 0.0);
        });
        assert_eq!(after, OTHER);
    }

    #[test]
    fn the_order_of_guards_does_not_matter() {
        let after = modes_after(|| {
            let first = FloatEnvironment::enter();
            let second = FloatEnvironment::enter();
            drop(first);
            assert_eq!(read(), STANDARD);
            drop(second);
        });
        assert_eq!(after, OTHER);
    }
}
