//! A stack that is large enough, where the system gives the main thread a small one.

use std::io;

/// Bytes; a quarter of it is used.
#[cfg(unix)]
const ENOUGH: usize = 1 << 20;

/// Runs `main` in this thread, or in one of its own if the stack of the main thread is limited to
/// less than is needed. A panic goes on here.
///
/// # Errors
/// If the system refuses a thread.
pub fn run<T: Send + 'static>(main: fn() -> T) -> io::Result<T> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        if getrlimit(Resource::Stack)
            .current
            .is_some_and(|limit| limit < ENOUGH as u64)
        {
            let thread = std::thread::Builder::new().stack_size(ENOUGH).spawn(main)?;
            return match thread.join() {
                Ok(result) => Ok(result),
                Err(panic) => std::panic::resume_unwind(panic),
            };
        }
    }
    Ok(main())
}
