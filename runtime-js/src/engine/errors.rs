//! Converts errors of the host for scripts, and errors of scripts for the host.

use std::borrow::Cow;

use deno_error::{AdditionalProperties, JsErrorClass, PropertyValue};

use super::loader::{Versions, parse_module_name};
use crate::{HostError, ScriptError, ScriptErrorKind};

/// A [`HostError`] on its way into the engine.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct OpError(#[from] pub(crate) HostError);

/// The classes that exist in every script. The name is also sent as `own_name`, by which `context.js` recognises host errors.
const CLASSES: [&str; 3] = ["Error", "TypeError", "RangeError"];

impl JsErrorClass for OpError {
    fn get_class(&self) -> Cow<'static, str> {
        CLASSES.iter().find(|class| **class == self.0.name).copied().unwrap_or("Error").into()
    }

    fn get_message(&self) -> Cow<'static, str> {
        self.0.message.clone().into()
    }

    fn get_additional_properties(&self) -> AdditionalProperties {
        let properties = [("own_name", self.0.name.clone()), ("code", self.0.code.as_str().to_owned())];
        Box::new(properties.into_iter().map(|(key, value)| (key.into(), PropertyValue::String(value.into()))))
    }

    fn get_ref(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }
}

/// A value thrown by a script, as described by `failure.js`.
pub(super) struct Thrown {
    /// Empty if the value is not an error.
    pub(super) name: String,
    pub(super) message: String,
    pub(super) code: String,
    pub(super) stack: String,
    /// Its causes: for each `\u{1}` depth, `\u{2}` text, `\u{2}` stack.
    pub(super) behind: String,
}

impl Thrown {
    /// Converts to the error for the caller.
    pub(super) fn into_error(self, versions: &Versions) -> ScriptError {
        let Self { name, message, code, stack, behind } = self;
        let text = match name.as_str() {
            "" | "Error" if !message.is_empty() || name.is_empty() => message,
            _ if message.is_empty() => name.clone(),
            _ => format!("{name}: {message}"),
        };
        let kind = match name.as_str() {
            "SyntaxError" => ScriptErrorKind::Syntax,
            "RangeError" | "InternalError" if is_stack_overflow(&text) => ScriptErrorKind::StackLimit,
            _ => ScriptErrorKind::Thrown,
        };
        let text = if kind == ScriptErrorKind::StackLimit {
            "recursed too deeply: the stack is full".to_owned()
        } else {
            text
        };
        if let Some(failure) = versions.take_failure(&text) {
            return failure;
        }
        let mut result = ScriptError::new(kind, text);
        result.code = Some(code).filter(|code| !code.is_empty());
        place(&mut result, frames(&stack), versions);
        for line in causes(&behind) {
            if !result.stack.is_empty() {
                result.stack.push('\n');
            }
            result.stack.push_str(&line);
        }
        result
    }
}

/// Lines about the causes of an error, each with its place.
fn causes(behind: &str) -> impl Iterator<Item = String> {
    behind.split('\u{1}').filter_map(|part| {
        let mut fields = part.splitn(3, '\u{2}');
        let (depth, text, stack) = (fields.next()?, fields.next()?, fields.next()?);
        let indent = "  ".repeat(depth.parse::<usize>().ok()?.min(8));
        let place = frames(stack).into_iter().find_map(|frame| {
            let (_, path) = parse_module_name(&frame.file)?;
            Some(format!(" ({path}:{}:{})", frame.line, frame.column))
        });
        Some(format!("  {indent}{text}{}", place.unwrap_or_default()))
    })
}

/// One frame of a stack.
#[derive(Clone)]
pub(super) struct Frame {
    pub(super) function: Option<String>,
    pub(super) file: String,
    pub(super) line: i64,
    pub(super) column: i64,
}

/// The most frames of a stack that are parsed.
const MAX_FRAMES: usize = 50;

/// The frames of a stack's text: lines of the form `at function (file:line:column)` or `at file:line:column`.
pub(super) fn frames(stack: &str) -> Vec<Frame> {
    stack.lines().filter_map(frame).take(MAX_FRAMES).collect()
}

fn frame(line: &str) -> Option<Frame> {
    let text = line.trim_start().strip_prefix("at ")?;
    let (function, place) = match text.strip_suffix(')').and_then(|text| text.rsplit_once(" (")) {
        Some((function, place)) => (Some(function), place),
        None => (None, text.strip_prefix("async ").unwrap_or(text)),
    };
    let (rest, column) = place.rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    let function = function.map(|name| {
        let name = name.strip_prefix("async ").unwrap_or(name);
        // The engine's names of what a file's own functions belong to.
        name.strip_prefix("Module.").or_else(|| name.strip_prefix("Object.")).unwrap_or(name)
    });
    Some(Frame {
        function: function.filter(|name| *name != "<anonymous>").map(str::to_owned),
        file: file.to_owned(),
        line: line.parse().ok()?,
        column: column.parse().ok()?,
    })
}

/// Sets the place: the first frame in the project.
pub(super) fn place(error: &mut ScriptError, frames: Vec<Frame>, versions: &Versions) {
    let mut lines = Vec::new();
    for frame in frames {
        let Some((version, path)) = parse_module_name(&frame.file) else { continue };
        let (line, column) = (u32::try_from(frame.line).ok(), u32::try_from(frame.column).ok());
        if error.file.is_none() {
            error.source_line = line.and_then(|line| versions.source_line(version, &path, line));
            (error.line, error.column) = (line, column);
            error.file = Some(path.clone());
        }
        let place = format!("{path}:{}:{}", frame.line, frame.column);
        lines.push(match frame.function.filter(|name| !name.is_empty()) {
            Some(name) => format!("    at {name} ({place})"),
            None => format!("    at {place}"),
        });
    }
    error.stack = lines.join("\n");
}

/// Engines use different texts.
fn is_stack_overflow(text: &str) -> bool {
    text.contains("Maximum call stack size exceeded") || text.contains("stack overflow")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_from_the_stacks_text() {
        let stack = "Error: at last (1:2)\n    at deep (disco://3/lib/a.js:4:5)\n    at async disco://3/cluster.js:6:7\n    at native";
        let read: Vec<_> =
            frames(stack).into_iter().map(|frame| (frame.function, frame.file, frame.line, frame.column)).collect();
        let expected = [
            (Some("deep".to_owned()), "disco://3/lib/a.js".to_owned(), 4, 5),
            (None, "disco://3/cluster.js".to_owned(), 6, 7),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn what_caused_it_is_told_with_its_place() {
        let thrown = Thrown {
            name: "Error".into(),
            message: "outer".into(),
            code: String::new(),
            stack: String::new(),
            behind: "\u{1}1\u{2}caused by TypeError: inner\u{2}TypeError: inner\n    at f (disco://1/cluster.js:2:3)"
                .into(),
        };
        let error = thrown.into_error(&Versions::default());
        assert_eq!(
            (error.message.as_str(), error.stack.as_str()),
            ("outer", "    caused by TypeError: inner (cluster.js:2:3)")
        );
    }
}
