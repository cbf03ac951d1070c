//! Errors, from the host's side to the script's and back.

use std::borrow::Cow;

use deno_core::error::JsError;
use deno_core::v8;
use deno_error::{AdditionalProperties, JsErrorClass, PropertyValue};

use super::loader::{Versions, parse_module_name};
use crate::{HostError, ScriptError, ScriptErrorKind};

/// A [`HostError`] on its way into the engine.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct OpError(#[from] pub(crate) HostError);

/// The classes that exist in every script. The name travels as `own_name` too: `context.js` knows host errors by it.
const CLASSES: [&str; 3] = ["Error", "TypeError", "RangeError"];

impl JsErrorClass for OpError {
    fn get_class(&self) -> Cow<'static, str> {
        CLASSES.iter().find(|class| **class == self.0.name).copied().unwrap_or("Error").into()
    }

    fn get_message(&self) -> Cow<'static, str> {
        self.0.message.clone().into()
    }

    fn get_additional_properties(&self) -> AdditionalProperties {
        let code = self.0.code.clone().map(|code| ("code", code));
        Box::new(
            [("own_name", self.0.name.clone())]
                .into_iter()
                .chain(code)
                .map(|(key, value)| (key.into(), PropertyValue::String(value.into()))),
        )
    }

    fn get_ref(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }
}

/// What a script threw, in the terms of those who called it.
pub(super) fn from_exception<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    exception: v8::Local<'s, v8::Value>,
    versions: &Versions,
) -> ScriptError {
    let code = property(scope, exception, "code");
    let error = JsError::from_v8_exception(scope, exception);
    let name = error.name.clone().unwrap_or_default();
    let text = match (&error.name, &error.message) {
        (Some(name), Some(message)) if name == "Error" || name.is_empty() => message.clone(),
        (Some(name), Some(message)) if message.is_empty() => name.clone(),
        (Some(name), Some(message)) => format!("{name}: {message}"),
        // Not an `Error`: whatever was thrown, as text.
        _ => error.exception_message.trim_start_matches("Uncaught ").to_owned(),
    };
    let kind = match name.as_str() {
        "SyntaxError" => ScriptErrorKind::Syntax,
        "RangeError" | "InternalError" if is_stack_overflow(&text) => ScriptErrorKind::StackLimit,
        _ => ScriptErrorKind::Thrown,
    };
    let text =
        if kind == ScriptErrorKind::StackLimit { "recursed too deeply: the stack is full".to_owned() } else { text };
    if let Some(failure) = versions.take_failure(&text) {
        return failure;
    }
    let mut result = ScriptError::new(kind, text);
    result.code = code;
    place(&mut result, frames(&error), versions);
    result
}

/// One frame of a stack.
#[derive(Clone)]
pub(super) struct Frame {
    pub(super) function: Option<String>,
    pub(super) file: String,
    pub(super) line: i64,
    pub(super) column: i64,
}

/// The frames of an error.
pub(super) fn frames(error: &JsError) -> Vec<Frame> {
    let frames = error.frames.iter().map(|frame| Frame {
        function: frame.function_name.clone(),
        file: frame.file_name.clone().unwrap_or_default(),
        line: frame.line_number.unwrap_or_default(),
        column: frame.column_number.unwrap_or_default(),
    });
    frames.collect()
}

/// Fills in where it happened: the first frame that is in the project.
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

/// Engines do not agree on the words.
fn is_stack_overflow(text: &str) -> bool {
    text.contains("Maximum call stack size exceeded") || text.contains("stack overflow")
}

/// A text property of an object, if it has one.
fn property<'s>(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>, name: &str) -> Option<String> {
    let object = v8::Local::<v8::Object>::try_from(value).ok()?;
    let key = v8::String::new(scope, name)?;
    let value = object.get(scope, key.into())?;
    value.is_string().then(|| value.to_rust_string_lossy(scope))
}
