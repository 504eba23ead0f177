//! Forks. A child process has one thread, the one that forked, and a copy of all memory: the
//! threads of its parent are gone, and what they had locked stays locked.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often this process and its ancestors have forked, each time counted in the child.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// The number of forks between the first call of this function in an ancestor, or in this process,
/// and now. What was made under another number has lost its threads.
pub fn count() -> u64 {
    static COUNTED: Once = Once::new();
    COUNTED.call_once(|| around(None, None, Some(note)));
    FORKS.load(Ordering::Relaxed)
}

extern "C" fn note() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// From now on calls `lock` before every fork and `unlock` after it, in the parent and in the
/// child, all three on the thread that forks.
pub(super) fn hold(lock: extern "C" fn(), unlock: extern "C" fn()) {
    around(Some(lock), Some(unlock), Some(unlock));
}

type Handler = Option<extern "C" fn()>;

// Miri does not know it.
#[cfg(all(unix, not(miri)))]
fn around(before: Handler, in_parent: Handler, in_child: Handler) {
    let as_c = |handler: Handler| handler.map(|handler| handler as unsafe extern "C" fn());
    // SAFETY: the functions live as long as the process, and may be called by any thread. The call
    // fails only without memory for three pointers; then nobody is called.
    unsafe { libc::pthread_atfork(as_c(before), as_c(in_parent), as_c(in_child)) };
}

#[cfg(any(not(unix), miri))]
fn around(_: Handler, _: Handler, _: Handler) {}
