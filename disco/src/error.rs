//! Failures as the operator sees them: what, where, why, and the next command to type.

use std::{error::Error, fmt, path::Path};

use disco_runtime_js::ErrorCode;

use crate::exit::ExitStatus;

pub(crate) type Outcome<T> = Result<T, Failure>;

/// Ends a command. The printer writes each cause once, at the edge.
pub(crate) struct Failure(Box<Inner>);

struct Inner {
    status: ExitStatus,
    message: String,
    place: Option<Place>,
    /// Frames of a script's stack beyond the place.
    trace: Vec<String>,
    causes: Vec<String>,
    hint: Option<String>,
    /// The error code for scripts, if it is more specific than the exit status.
    code: Option<ErrorCode>,
}

/// A position in a script.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) file: String,
    /// Counted from 1.
    pub(crate) line: u32,
    /// Counted from 1.
    pub(crate) column: u32,
    /// The whole line, if known.
    pub(crate) source: Option<String>,
}

impl Failure {
    pub(crate) fn new(status: ExitStatus, message: impl Into<String>) -> Self {
        let message = message.into();
        let (place, hint, code) = (None, None, None);
        Self(Box::new(Inner { status, message, place, trace: Vec::new(), causes: Vec::new(), hint, code }))
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(ExitStatus::Failed, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitStatus::Usage, message)
    }

    /// A failed operation on a file or folder; names the path.
    pub(crate) fn io(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::failed(format!("cannot {doing} `{}`", path.display())).because(error)
    }

    /// Adds an error and its sources as causes. Skips a text with which the previous one already ends.
    pub(crate) fn because(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            let previous = self.0.causes.last().unwrap_or(&self.0.message);
            if !previous.ends_with(&text) {
                self.0.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    pub(crate) fn cause(mut self, text: impl Into<String>) -> Self {
        self.0.causes.push(text.into());
        self
    }

    /// Prefixes the message.
    pub(crate) fn prefixed(mut self, text: &str) -> Self {
        self.0.message = format!("{text}: {}", self.0.message);
        self
    }

    pub(crate) fn at(mut self, place: Place) -> Self {
        self.0.place = Some(place);
        self
    }

    pub(crate) fn trace(mut self, frames: Vec<String>) -> Self {
        self.0.trace = frames;
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Sets a code for scripts that is more specific than the exit status.
    pub(crate) fn coded(mut self, code: ErrorCode) -> Self {
        self.0.code = Some(code);
        self
    }

    pub(crate) fn status(&self) -> ExitStatus {
        self.0.status
    }

    /// `error.code` in a script that catches this failure.
    pub(crate) fn code(&self) -> ErrorCode {
        self.0.code.unwrap_or(match self.0.status {
            ExitStatus::Usage => ErrorCode::Invalid,
            ExitStatus::Denied => ErrorCode::NotAllowed,
            ExitStatus::Unreachable => ErrorCode::Unavailable,
            ExitStatus::Guarded => ErrorCode::Refused,
            ExitStatus::NotFound => ErrorCode::NotFound,
            ExitStatus::Cancelled => ErrorCode::Cancelled,
            ExitStatus::TimedOut => ErrorCode::Timeout,
            ExitStatus::RolledBack => ErrorCode::RolledBack,
            ExitStatus::Done
            | ExitStatus::Failed
            | ExitStatus::Changes
            | ExitStatus::Unplaced
            | ExitStatus::Program(_) => ErrorCode::Failed,
        })
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    pub(crate) fn place(&self) -> Option<&Place> {
        self.0.place.as_ref()
    }

    pub(crate) fn frames(&self) -> &[String] {
        &self.0.trace
    }

    pub(crate) fn causes(&self) -> &[String] {
        &self.0.causes
    }

    pub(crate) fn next_step(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("status", &self.0.status)
            .field("message", &self.0.message)
            .field("causes", &self.0.causes)
            .finish_non_exhaustive()
    }
}

impl Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        #[source]
        source: Option<Box<Link>>,
    }

    #[test]
    fn a_cause_is_not_repeated() {
        let inner = Link { text: "connection refused", source: None };
        let chain = Link { text: "10.0.0.7:22: connection refused", source: Some(Box::new(inner)) };
        let failure = Failure::failed("cannot install").because(&chain);
        assert_eq!(failure.causes(), ["10.0.0.7:22: connection refused"]);
    }
}
