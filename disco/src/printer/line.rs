//! Writes to standard error. Errors are ignored: there is no other place to report to.

use std::io::{Write, stderr};

use jiff::Timestamp;

/// Writes `text` as it is.
pub(super) fn raw(text: &str) {
    let _ = stderr().lock().write_all(text.as_bytes());
}

/// Writes each line of `text` with a timestamp, all in one write, so that lines of several processes do not mix.
pub(super) fn stamped(text: &str) {
    let now = Timestamp::now();
    let lines: String = text.lines().map(|line| format!("{now:.3} {line}\n")).collect();
    raw(&lines);
}
