//! Failures of scripts on nodes, as sent by the nodes.

use disco_proto::v1::ScriptFailure;

use crate::{
    error::{Failure, Place},
    exit::ExitStatus,
};

/// Converts a script's failure on a node.
pub(crate) fn from_wire(status: ExitStatus, failure: ScriptFailure) -> Failure {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let number = |value: u32| (value > 0).then_some(value);
    let file = some(failure.file);
    let place = place(file.as_deref(), number(failure.line), number(failure.column), some(failure.source_line));
    let trace = frames(&failure.stack, place.as_ref());
    let failure = Failure::new(status, failure.message).trace(trace);
    match place {
        Some(place) => failure.at(place),
        None => failure,
    }
}

/// The position in a script, if known.
pub(crate) fn place(
    file: Option<&str>,
    line: Option<u32>,
    column: Option<u32>,
    source: Option<String>,
) -> Option<Place> {
    Some(Place { file: file?.to_owned(), line: line?, column: column.unwrap_or(1), source })
}

/// The stack's frames, without those of the place's line, which is already shown.
pub(crate) fn frames(stack: &str, place: Option<&Place>) -> Vec<String> {
    let shown = place.map(|place| format!("{}:{}:", place.file, place.line));
    let frames = stack.lines().filter(|frame| shown.as_ref().is_none_or(|shown| !frame.contains(shown.as_str())));
    frames.map(str::to_owned).collect()
}
