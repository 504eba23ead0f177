//! What this process inherited from the one that started it: which of the standard streams are
//! open, and which signals it should ignore.
//!
//! Before `main`, Rust's runtime opens `/dev/null` in place of standard streams that are closed,
//! and ignores SIGPIPE. So a program that wants to know calls [`record`] before that; see there.

use std::sync::atomic::{AtomicU8, Ordering};

/// A bit for each standard stream that was closed.
static CLOSED: AtomicU8 = AtomicU8::new(0);
/// Set in [`CLOSED`] if SIGPIPE was ignored.
const PIPE_IGNORED: u8 = 1 << 3;

/// A standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard input.
    Input = 0,
    /// Standard output.
    Output = 1,
}

/// Whether this process was started without the stream, as `>&-` does in a shell, or with one of
/// the wrong direction.
pub fn was_closed(stream: Stream) -> bool {
    CLOSED.load(Ordering::Relaxed) & 1 << stream as u8 != 0
}

/// Whether this process was started with SIGPIPE ignored: then a write to a pipe that nobody reads
/// is an error like others.
pub fn ignores_broken_pipes() -> bool {
    CLOSED.load(Ordering::Relaxed) & PIPE_IGNORED != 0
}

/// Records what was inherited. A program has it called before Rust's runtime starts:
///
/// ```ignore
/// #[used]
/// #[unsafe(link_section = ".init_array")] // "__DATA,__mod_init_func" on Apple's systems
/// static RECORD: extern "C" fn() = llmzip::machine::inherited::record;
/// ```
#[cfg(unix)]
pub extern "C" fn record() {
    let mut bits = 0;
    for stream in 0..3 {
        // SAFETY: the call reads the flags of a descriptor, or fails if that is not open.
        match unsafe { libc::fcntl(stream, libc::F_GETFL) } {
            -1 => {
                bits |= 1 << stream;
                occupy();
            }
            flags if !can_be_used(stream, flags) => bits |= 1 << stream,
            _ => {}
        }
    }
    if is_ignored(libc::SIGPIPE) {
        bits |= PIPE_IGNORED;
    }
    CLOSED.store(bits, Ordering::Relaxed);
}

/// Whether a standard stream that was opened with these flags can be read or written, as it should
/// be. Rust takes a stream that cannot for one at its end.
#[cfg(unix)]
fn can_be_used(stream: i32, flags: i32) -> bool {
    #[cfg(target_os = "linux")]
    if flags & libc::O_PATH != 0 {
        return false;
    }
    let refused = match stream {
        0 => libc::O_WRONLY,
        _ => libc::O_RDONLY,
    };
    flags & libc::O_ACCMODE != refused
}

/// Opens what can neither be read nor written, in place of the lowest stream that is closed, so
/// that no other file takes it. Rust's runtime opens `/dev/null` there, and aborts where there is
/// none.
#[cfg(unix)]
fn occupy() {
    let open = |path: &std::ffi::CStr, flags| {
        // SAFETY: the call opens a descriptor that nobody else knows, or fails.
        unsafe { libc::open(path.as_ptr(), flags) }
    };
    if open(c"/dev/null", libc::O_RDWR) == -1 {
        open(c"/", libc::O_RDONLY | libc::O_DIRECTORY);
    }
}

/// Whether the process ignores a signal, as `nohup` makes it ignore SIGHUP.
#[cfg(unix)]
pub fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action, the call only writes the present one to `action`.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: a call that succeeded has written it.
    asked == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}
