//! The channel from the thread that runs the language model to the thread that codes.

use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread::{Builder, Scope};

use super::CodecError;
use crate::engine::{EngineError, Helper, Runtime};
use crate::machine::MachineError;

/// The receiving end. A thread that waits for an answer helps the runtime meanwhile.
pub(super) struct Answers<'a, T> {
    sent: Receiver<Result<T, EngineError>>,
    helper: Option<Box<dyn Helper + 'a>>,
}

impl<'a, T> Answers<'a, T> {
    pub(super) fn new(runtime: &'a dyn Runtime, sent: Receiver<Result<T, EngineError>>) -> Self {
        Answers {
            sent,
            helper: runtime.helper(),
        }
    }

    /// The next answer; `None` if the sending thread has ended.
    pub(super) fn next(&mut self) -> Result<Option<T>, CodecError> {
        let received = match &mut self.helper {
            Some(helper) => helped(&mut **helper, &self.sent),
            None => self.sent.recv().ok(),
        };
        Ok(received.transpose()?)
    }
}

/// Helps the runtime until an answer arrives; `None` if the sending thread has ended.
fn helped<T>(helper: &mut dyn Helper, sent: &Receiver<T>) -> Option<T> {
    let mut received = Err(TryRecvError::Empty);
    helper.help_until(&mut || {
        received = sent.try_recv();
        !matches!(received, Err(TryRecvError::Empty))
    });
    received.ok()
}

/// Starts the thread that runs the language model.
pub(super) fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    run: impl FnOnce() + Send + 'scope,
) -> Result<(), CodecError> {
    let builder = Builder::new().name("llmzip-model".into());
    match builder.spawn_scoped(scope, run) {
        Ok(_) => Ok(()),
        Err(cause) => Err(MachineError::Threads { cause }.into()),
    }
}
