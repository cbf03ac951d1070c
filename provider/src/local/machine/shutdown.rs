//! The graceful shutdown of a machine.

use std::time::Duration;

use rustix::process::Signal;

use crate::local::environment_marks;
use crate::process::{ProcessName, with_environment};

/// How long processes on a machine may take to end after SIGTERM. Less than [`crate::local`] waits for the machine.
const LIMIT: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_millis(20);

/// Sends SIGTERM to everything on the machine and waits for its end. The watcher kills the rest afterwards.
pub(super) async fn end_all(id: &str, machine: ProcessName) {
    let marks = environment_marks(id, machine);
    // Tasks are ended by their shims, with their own signals.
    for process in with_environment(&marks).into_iter().filter(|process| !process.has_variable("DISCO_TASK")) {
        process.signal(Signal::TERM);
    }
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !with_environment(&marks).is_empty() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(INTERVAL).await;
    }
}
