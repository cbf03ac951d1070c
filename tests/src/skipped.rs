use std::fmt::Display;

/// Says that the test that calls this is skipped here, and why. `.ci/run` counts these lines.
pub fn skipped(why: impl Display) {
    let thread = std::thread::current();
    println!("skipped: {}: {why}", thread.name().unwrap_or("a test"));
}
