//! Why a command ends without success.

use std::fmt;
use std::io;

use llmzip::Error;
#[cfg(feature = "hub")]
use llmzip::hub::HubError;
use llmzip::machine::inherited;
use llmzip::report::ReportError;
use llmzip::store::StoreError;

use super::advice;

/// Exit code: all was done.
pub(super) const SUCCESS: u8 = 0;
/// Exit code: something failed.
pub(super) const FAILED: u8 = 1;
/// Exit code: the command line is wrong.
pub(super) const USAGE: u8 = 2;

/// Why a command, or the work on one file, ended.
#[derive(Debug)]
pub(super) enum Failure {
    /// The reader of our output has gone. It has seen enough, so nothing is reported.
    BrokenPipe,
    /// The command line contradicts itself.
    Usage(String),
    /// Anything else, as one sentence for the user.
    Message(String),
}

impl Failure {
    pub(super) fn usage(message: impl Into<String>) -> Failure {
        Failure::Usage(message.into())
    }

    pub(super) fn message(message: impl Into<String>) -> Failure {
        Failure::Message(message.into())
    }

    /// A failure to write output.
    pub(super) fn from_write(error: io::Error) -> Failure {
        Failure::from(Error::Write(error))
    }

    /// The same failure, its sentence preceded by what it is about. A broken pipe stays one.
    #[must_use]
    pub(super) fn about(self, what: impl fmt::Display) -> Failure {
        match self {
            Failure::BrokenPipe => Failure::BrokenPipe,
            Failure::Usage(message) => Failure::Usage(format!("{what}: {message}")),
            Failure::Message(message) => Failure::Message(format!("{what}: {message}")),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match &error {
            Error::Write(cause)
                if cause.kind() == io::ErrorKind::BrokenPipe
                    && !inherited::ignores_broken_pipes() =>
            {
                Failure::BrokenPipe
            }
            _ => Failure::Message(advice::library(&error)),
        }
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Failure {
        Failure::Message(error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::Message(advice::store(&error))
    }
}

#[cfg(feature = "hub")]
impl From<HubError> for Failure {
    fn from(error: HubError) -> Failure {
        Failure::Message(advice::hub(&error))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::BrokenPipe => f.write_str("nobody reads the output"),
            Failure::Usage(message) | Failure::Message(message) => f.write_str(message),
        }
    }
}
