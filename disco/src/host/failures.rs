use std::sync::{Arc, Mutex, PoisonError};

use disco_runtime_js::HostError;

use crate::error::Failure;

/// Carries failures through a script: the script gets an error with a message and a code; if it does not catch the error, the command
/// ends with the original failure, with its causes, hint and exit code.
#[derive(Clone, Default)]
pub(super) struct Failures(Arc<Mutex<Option<(String, Failure)>>>);

impl Failures {
    /// Converts the failure to the script's error.
    pub(super) fn for_script(&self, failure: Failure) -> HostError {
        let mut message = failure.message().to_owned();
        for cause in failure.causes() {
            message.push_str(": ");
            message.push_str(cause);
        }
        let error = HostError::new(message.clone()).with_code(failure.code());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((message, failure));
        error
    }

    /// The failure behind a script's error, if it is the last one that was converted.
    pub(super) fn behind(&self, message: &str) -> Option<Failure> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_some_and(|(text, _)| message.contains(text.as_str())) {
            return last.take().map(|(_, failure)| failure);
        }
        None
    }
}
