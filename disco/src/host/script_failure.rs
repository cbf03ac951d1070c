use disco_proto::v1::ScriptFailure;
use disco_runtime_js::{ScriptError, ScriptErrorKind};

use super::failures::Failures;
use crate::{
    error::{Failure, Place},
    exit::ExitStatus,
};

/// A script's error as the operator sees it. What a host method failed with keeps its exit code, causes and hint.
pub(crate) fn from_script_error(error: ScriptError) -> Failure {
    with_failures(error, &Failures::default())
}

pub(super) fn with_failures(error: ScriptError, failures: &Failures) -> Failure {
    let place = place(error.file.as_deref(), error.line, error.column, error.source_line.clone());
    let trace = frames(&error.stack, place.as_ref());
    let failure = match failures.behind(&error.message) {
        // A failure of another script, on a node: its own place says more than where it was asked for.
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

/// A script's failure on a node.
pub(crate) fn from_wire(status: ExitStatus, failure: ScriptFailure) -> Failure {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let number = |value: u32| (value > 0).then_some(value);
    let file = some(failure.file);
    let place = place(file.as_deref(), number(failure.line), number(failure.column), some(failure.source_line));
    let trace = frames(&failure.stack, place.as_ref());
    let said = Failure::new(status, failure.message).trace(trace);
    match place {
        Some(place) => said.at(place),
        None => said,
    }
}

fn place(file: Option<&str>, line: Option<u32>, column: Option<u32>, source: Option<String>) -> Option<Place> {
    Some(Place { file: file?.to_owned(), line: line?, column: column.unwrap_or(1), source })
}

/// Those of other lines than the place's, which is shown already.
fn frames(stack: &str, place: Option<&Place>) -> Vec<String> {
    let shown = place.map(|place| format!("{}:{}:", place.file, place.line));
    let frames = stack.lines().filter(|frame| shown.as_ref().is_none_or(|shown| !frame.contains(shown.as_str())));
    frames.map(str::to_owned).collect()
}
