//! The permission to use AMX, the processor's tile registers.
//!
//! Linux saves the tile registers of a process only if the process has asked for it, so that
//! nobody else pays for the 8 kB they take at each signal and each change of threads.

use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::sync::LazyLock;

/// `AMX-TILE` and `AMX-INT8` among the features of leaf 7.
const FEATURES: u32 = 1 << 24 | 1 << 25;

/// Whether this processor multiplies tiles of bytes, and the system lets this process use them.
///
/// If it does, the permission holds for all threads of the process, and for processes forked from
/// it. The answer is kept: a virtual machine takes long to read a processor's features.
pub(super) fn is_available() -> bool {
    static IS_AVAILABLE: LazyLock<bool> = LazyLock::new(|| has_instructions() && is_permitted());
    *IS_AVAILABLE
}

fn has_instructions() -> bool {
    let highest = __cpuid(0).eax;
    highest >= 7 && __cpuid_count(7, 0).edx & FEATURES == FEATURES
}

/// Asks for the permission. It is refused by a kernel that does not know the registers, and if a
/// thread has a signal stack that is too small to save them.
#[cfg(all(target_os = "linux", not(miri)))]
fn is_permitted() -> bool {
    /// `ARCH_REQ_XCOMP_PERM` of `asm/prctl.h`.
    const REQUEST_PERMISSION: libc::c_int = 0x1023;
    /// `XFEATURE_XTILEDATA` of the kernel.
    const TILE_DATA: libc::c_ulong = 18;
    // SAFETY: the call takes two numbers. It changes what the kernel saves, and with it how large a
    // signal stack must be.
    unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0 }
}

/// Other systems have rules of their own.
#[cfg(any(not(target_os = "linux"), miri))]
fn is_permitted() -> bool {
    false
}
