//! What controllers share that plan from records, and write a plan only if those have not changed meanwhile.

use std::time::Duration;

use anyhow::{Result, bail};

use super::driver::{Outcome, Pause, Schedule};
use crate::node::Leader;

/// For how long further changes are collected before a pass.
const GAP: Duration = Duration::from_millis(5);
/// After a pass that could not write.
const PAUSE: Pause = Pause { first: Duration::from_millis(200), longest: Duration::from_secs(5) };
/// Plans in a row whose records have changed before they were written. Events and states of tasks change all the time; more
/// than this is an error.
const CONFLICTS: u32 = 50;

/// When plans are made.
pub(super) fn schedule(leader: &Leader) -> Schedule {
    let period = leader.raft().pace().report();
    Schedule { period, on_wake_up: true, on_revision: Some(GAP), pause: Some(PAUSE) }
}

/// The outcome of a pass that had nothing to write. `waits`: for what the plan waits.
pub(super) fn outcome(waits: &[String]) -> Outcome {
    if waits.is_empty() { Outcome::Settled } else { Outcome::Waits(waits.join("; ")) }
}

/// Counts the plans in a row that were not written.
#[derive(Default)]
pub(super) struct Conflicts(u32);

// === impl Conflicts ===

impl Conflicts {
    /// Notes whether a plan was written. `what`: the records it is about.
    pub(super) async fn note(&mut self, written: bool, what: &str) -> Result<()> {
        if written {
            self.0 = 0;
            return Ok(());
        }
        self.0 += 1;
        if self.0 > CONFLICTS {
            bail!("the records of {what} have changed {} times before they were written", self.0);
        }
        tokio::task::yield_now().await;
        Ok(())
    }
}
