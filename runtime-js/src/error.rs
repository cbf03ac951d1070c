//! The two kinds of failure: what a host reports to a script, and what a script run reports to its caller.

use std::fmt;

use crate::ErrorCode;

/// A failure of a host, as the script sees it: a JavaScript `Error` with this `name`, `message` and `.code`.
///
/// A host's error that a script does not catch comes back to the caller as a [`ScriptError`] with the same `code`, so
/// that a command can choose its exit status by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HostError {
    /// JavaScript's `error.name`: `Error`, `TypeError`, `RangeError`, or a name of the host's own.
    pub name: String,
    /// Lower case, no full stop, names the thing that failed.
    pub message: String,
    /// The code; `error.code` in the script.
    pub code: ErrorCode,
}

impl HostError {
    /// An `Error` with the code [`ErrorCode::Failed`].
    pub fn new(message: impl Into<String>) -> Self {
        Self { name: "Error".into(), message: message.into(), code: ErrorCode::Failed }
    }

    /// A `TypeError`: the script passed an invalid argument.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { name: "TypeError".into(), message: message.into(), code: ErrorCode::Invalid }
    }

    /// Not supported by this build, or not available here.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self { name: "Error".into(), message: message.into(), code: ErrorCode::Unsupported }
    }

    /// From the whole chain of a Rust error, with causes after colons.
    pub fn from_error(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::new(message)
    }

    /// The same with another code.
    #[must_use]
    pub fn with_code(mut self, code: ErrorCode) -> Self {
        self.code = code;
        self
    }
}

/// Why a script run ended without a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScriptErrorKind {
    /// The source does not parse.
    Syntax,
    /// The script threw, or a host's error was not caught.
    Thrown,
    /// Ran too long without yielding; the isolate was replaced.
    CpuLimit,
    /// Exceeded its memory limit; the isolate was replaced.
    HeapLimit,
    /// Recursed too deeply.
    StackLimit,
    /// The caller's time limit ([`CallOptions::timeout`](crate::CallOptions)) passed.
    Timeout,
    /// Ended for a reason outside this call: the engine stopped, or another call exceeded a limit and the isolate was
    /// replaced. The call may be repeated.
    Cancelled,
    /// No such file, or no such exported function.
    NotFound,
    /// A file could not be read or imported, or is invalid (`init` without a `Cluster`).
    Load,
}

/// A failed load or call, with its place in the script.
///
/// `Display` is one line, `cluster.js:12:7: message`; [`ScriptError::render`] adds the source line and a caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    /// What happened.
    pub kind: ScriptErrorKind,
    /// The message; begins with the error's name unless that is plain `Error`.
    pub message: String,
    /// [`HostError::code`] or the thrown error's `code`.
    pub code: Option<String>,
    /// Relative to the project, `/` between parts.
    pub file: Option<String>,
    /// From 1.
    pub line: Option<u32>,
    /// From 1, in UTF-16 units as editors count.
    pub column: Option<u32>,
    /// The text of that line, without its end.
    pub source_line: Option<String>,
    /// `    at function (file:line:column)`, one for each frame in the project; may be empty.
    pub stack: String,
}

impl ScriptError {
    /// Makes an error without a place.
    pub fn new(kind: ScriptErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            code: None,
            file: None,
            line: None,
            column: None,
            source_line: None,
            stack: String::new(),
        }
    }

    /// `file:line:column`, as far as known.
    pub fn place(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        Some(match (self.line, self.column) {
            (Some(line), Some(column)) => format!("{file}:{line}:{column}"),
            (Some(line), None) => format!("{file}:{line}"),
            _ => file.clone(),
        })
    }

    /// Several lines: the message with its place, the source line, a caret beneath the column, the remaining frames.
    ///
    /// ```text
    /// cluster.js:12:7: TypeError: cluster.scael is not a function
    ///    12 |   await cluster.scael(3);
    ///       |                 ^
    ///     at helper (lib/a.js:3:1)
    /// ```
    pub fn render(&self) -> String {
        let mut text = self.to_string();
        if let (Some(source), Some(line)) = (&self.source_line, self.line) {
            let number = line.to_string();
            let width = number.len().max(4);
            text.push_str(&format!("\n {number:>width$} | {source}"));
            if let Some(column) = self.column {
                text.push_str(&format!("\n {:>width$} | {}^", "", indent(source, column)));
            }
        }
        // The first frame is the place itself.
        let frames: Vec<&str> = self.stack.lines().collect();
        for frame in frames.iter().skip(usize::from(self.source_line.is_some())) {
            text.push('\n');
            text.push_str(frame);
        }
        text
    }
}

/// White space as wide as the first `column - 1` UTF-16 units of `line`; tabs stay tabs, so that the caret is beneath.
fn indent(line: &str, column: u32) -> String {
    let mut units = 0;
    let mut space = String::new();
    for character in line.chars() {
        if units + 1 >= column {
            break;
        }
        units += character.len_utf16() as u32;
        space.push(if character == '\t' { '\t' } else { ' ' });
    }
    space
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place() {
            Some(place) => write!(f, "{place}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for ScriptError {}
