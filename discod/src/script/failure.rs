//! Failures of scripts: as an event of the cluster, and in answers to clients.

use disco_proto::v1::ScriptFailure;
use disco_runtime_js::ScriptError;
use serde_json::json;

use crate::local::HOOK_DISABLED;
use crate::node::Node;
use crate::records::{self, Severity};

/// Kind of the event that reports a failure.
pub const FAILED: &str = "script.failed";
/// Maximum size of texts from scripts: the head of an answer has space for a few kilobytes.
const MESSAGE_BYTES: usize = 2000;
const SOURCE_BYTES: usize = 300;
const STACK_BYTES: usize = 1500;

/// Reports a failure of a hook by an event. A repeated failure is reported once, until the hook succeeds or fails
/// differently.
pub async fn report(node: &Node, hook: &'static str, error: &ScriptError) {
    // It has its own event.
    if error.code.as_deref() == Some(HOOK_DISABLED) {
        return;
    }
    let text = error.to_string();
    if !node.scripts().is_news(hook, &text) {
        tracing::debug!(hook, "failed again: {text}");
        return;
    }
    tracing::warn!(target: "script", hook, "{}", error.render());
    let wire = to_wire(error);
    let data = json!({
        "hook": hook,
        "script": node.scripts().current(),
        "message": wire.message,
        "file": error.file,
        "line": error.line,
        "column": error.column,
        "source_line": error.source_line.as_deref().map(|line| cut(line, SOURCE_BYTES)),
        "stack": wire.stack,
    });
    let message = format!("`{hook}` of `cluster.js` failed: {}", cut(&text, MESSAGE_BYTES));
    records::emit_with(node, 0, FAILED, Severity::Error, Some(node.id()), message, Some(data)).await;
}

/// Converts a failure for a client.
#[must_use]
pub fn to_wire(error: &ScriptError) -> ScriptFailure {
    ScriptFailure {
        message: cut(&error.message, MESSAGE_BYTES).to_owned(),
        file: error.file.clone().unwrap_or_default(),
        line: error.line.unwrap_or(0),
        column: error.column.unwrap_or(0),
        source_line: error.source_line.as_deref().map(|line| cut(line, SOURCE_BYTES).to_owned()).unwrap_or_default(),
        stack: cut(&error.stack, STACK_BYTES).to_owned(),
        code: error.code.clone().unwrap_or_default(),
    }
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use disco_runtime_js::ScriptErrorKind;

    use super::*;

    #[test]
    fn failures_for_clients_are_bounded() {
        let mut error = ScriptError::new(ScriptErrorKind::Thrown, "ü".repeat(10_000));
        error.stack = "s".repeat(10_000);
        error.source_line = Some("x".repeat(10_000));
        error.line = Some(7);
        let wire = to_wire(&error);
        assert_eq!((wire.message.len(), wire.stack.len(), wire.source_line.len()), (2000, 1500, 300));
        assert_eq!((wire.line, wire.column, wire.file.as_str()), (7, 0, ""));
    }
}
