use std::sync::{Arc, Mutex, PoisonError};

use disco_runtime_js::HostError;

use crate::error::Failure;

/// Failures on their way through a script: the script sees an error with a message and a code; when it does not catch it,
/// the command ends with the failure itself, with its causes, its hint and its exit code.
#[derive(Clone, Default)]
pub(super) struct Failures(Arc<Mutex<Option<(String, Failure)>>>);

impl Failures {
    /// The failure as the script sees it.
    pub(super) fn tell(&self, failure: Failure) -> HostError {
        let mut message = failure.message().to_owned();
        for cause in failure.causes() {
            message.push_str(": ");
            message.push_str(cause);
        }
        let error = HostError::new(message.clone()).with_code(failure.code());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((message, failure));
        error
    }

    /// The failure that a script's error came from, if it is the last one that was told.
    pub(super) fn behind(&self, message: &str) -> Option<Failure> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_some_and(|(told, _)| message.contains(told.as_str())) {
            return last.take().map(|(_, failure)| failure);
        }
        None
    }
}
