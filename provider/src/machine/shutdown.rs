//! The orderly end of a machine.

use std::time::Duration;

use rustix::process::Signal;

use crate::local::environment_marks;
use crate::process::{ProcessName, with_environment};

/// How long what runs on a machine may take to end when it is asked to. Less than [`crate::local`] waits for the machine.
const LIMIT: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_millis(20);

/// Asks everything on the machine to end and waits for it. What does not is killed by the watcher afterwards.
pub(super) async fn end_all(id: &str, machine: ProcessName) {
    let marks = environment_marks(id, machine);
    for process in with_environment(&marks) {
        process.signal(Signal::TERM);
    }
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !with_environment(&marks).is_empty() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(INTERVAL).await;
    }
}
