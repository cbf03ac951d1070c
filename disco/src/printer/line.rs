//! Writing to standard error. Nothing can be done when that fails, so it is not looked at.

use std::io::{Write, stderr};

use jiff::Timestamp;

/// Writes `text` as it is.
pub(super) fn raw(text: &str) {
    let _ = stderr().lock().write_all(text.as_bytes());
}

/// Each line of `text` with the time before it, in one write, so that lines of several processes do not mix.
pub(super) fn stamped(text: &str) {
    let now = Timestamp::now();
    let lines: String = text.lines().map(|line| format!("{now:.3} {line}\n")).collect();
    raw(&lines);
}
