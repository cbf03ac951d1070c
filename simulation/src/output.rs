//! Writing to the terminal.

use std::io::Write;

/// A line of the result.
pub fn line(text: &str) {
    // Nobody reads any more: nothing to be done, and the run's outcome is the exit status.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A line about the run.
pub fn error(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
