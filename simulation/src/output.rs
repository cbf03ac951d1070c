//! Writing to the terminal.

use std::io::Write;

/// A line of the result.
pub fn line(text: &str) {
    // The reader is gone, which can be ignored: the exit status is the run's outcome.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A line about the run.
pub fn error(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
