use disco_runtime_js::{ScriptError, ScriptErrorKind};

use super::failures::Failures;
use crate::{
    client::{frames, place},
    error::Failure,
    exit::ExitStatus,
};

/// Converts a script's error to a failure. The failure of a host method keeps its exit code, causes and hint.
pub(crate) fn from_script_error(error: ScriptError) -> Failure {
    with_failures(error, &Failures::default())
}

pub(super) fn with_failures(error: ScriptError, failures: &Failures) -> Failure {
    let place = place(error.file.as_deref(), error.line, error.column, error.source_line.clone());
    let trace = frames(&error.stack, place.as_ref());
    let failure = match failures.behind(&error.message) {
        // A failure of another script, on a node: its own place is more helpful than the place of the call.
        Some(failure) if failure.place().is_some() => return failure,
        Some(failure) => failure,
        None => {
            let status = match error.kind {
                ScriptErrorKind::Cancelled => ExitStatus::Failed,
                ScriptErrorKind::Timeout => ExitStatus::TimedOut,
                _ => ExitStatus::Usage,
            };
            Failure::new(status, error.message)
        }
    };
    match place {
        Some(place) => failure.at(place).trace(trace),
        None => failure.trace(trace),
    }
}
