//! Why a command ends without success.

use std::fmt;
use std::io;

use llmzip::Error;
use llmzip::report::ReportError;

/// What ended a command or the work on one file.
#[derive(Debug)]
pub(super) enum Failure {
    /// Whoever was reading our output has gone: not worth a word.
    BrokenPipe,
    /// The command line asks for something contradictory.
    Usage(String),
    /// Anything else, in one sentence.
    Said(String),
}

impl Failure {
    pub(super) fn said(message: impl Into<String>) -> Failure {
        Failure::Said(message.into())
    }

    /// A failure to write output.
    pub(super) fn from_write(error: io::Error) -> Failure {
        Failure::from(Error::Write(error))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match &error {
            Error::Write(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
            Error::MissingModel { name, .. } => {
                let mend = match name {
                    Some(name) => format!("llmzip model pull {name}"),
                    None => "llmzip model add PATH".to_owned(),
                };
                Failure::Said(format!("{error}; run: {mend}"))
            }
            _ => Failure::Said(error.to_string()),
        }
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Failure {
        Failure::Said(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::BrokenPipe => f.write_str("nobody reads the output"),
            Failure::Usage(message) | Failure::Said(message) => f.write_str(message),
        }
    }
}
