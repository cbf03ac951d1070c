use std::fmt::Display;

/// Prints that the calling test is skipped, and why. `.ci/run` counts these lines.
pub fn skipped(why: impl Display) {
    let thread = std::thread::current();
    println!("skipped: {}: {why}", thread.name().unwrap_or("a test"));
}
