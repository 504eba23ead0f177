//! How the program was called. The binary is a process of its own; the Python package calls the
//! command line in the interpreter's process, whose words and whose program are others.

use std::env;
use std::ffi::OsString;
#[cfg(feature = "compare")]
use std::io;
#[cfg(feature = "compare")]
use std::process::Command;
use std::sync::OnceLock;

/// How the program was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The words of the command line. The first is the name of the program.
    pub words: Vec<OsString>,
    /// What starts the program again: a program, and the words before the first of its own.
    pub program: Vec<OsString>,
}

static CALL: OnceLock<Call> = OnceLock::new();

impl Call {
    /// The call of a process that runs nothing but this program.
    pub fn of_process() -> Call {
        let program = env::current_exe().map(OsString::from);
        Call {
            words: env::args_os().collect(),
            program: program.into_iter().collect(),
        }
    }

    /// Makes this the call that is being answered, unless there is one.
    pub(super) fn set(self) {
        // The first call stays: a process answers one.
        let _ = CALL.set(self);
    }
}

/// The words of the command line, the name of the program first.
pub(super) fn words() -> impl ExactSizeIterator<Item = OsString> {
    let words = CALL.get().map_or(&[][..], |call| &call.words);
    words.iter().cloned()
}

/// Starts the program again, with no words yet.
///
/// # Errors
///
/// If the system does not say where the program is.
#[cfg(feature = "compare")]
pub(super) fn program() -> io::Result<Command> {
    let call = CALL.get().and_then(|call| call.program.split_first());
    let (program, words) = call.ok_or(io::ErrorKind::NotFound)?;
    let mut command = Command::new(program);
    command.args(words);
    Ok(command)
}
