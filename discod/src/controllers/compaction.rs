//! Bounds the store's history, by count, by size and by age.

use std::time::Duration;

use anyhow::{Context, Result};
use disco_proto::v1::CompactRequest;
use disco_proto::v1::command::Operation;
use disco_store::{Ages, CompactionPolicy, Store};
use tokio::time::Instant;

use super::driver::{Controller, Outcome, Pause, Schedule};
use crate::node::Leader;

/// Pause between two passes, however fast the store changes.
const GAP: Duration = Duration::from_millis(100);
/// Interval of passes while nothing changes: revisions age too.
const PERIOD: Duration = Duration::from_secs(60);
/// Pause after a failure.
const PAUSE: Pause = Pause { first: Duration::from_millis(100), longest: Duration::from_secs(10) };

/// Compacts the history when [`CompactionPolicy`] requires it.
pub(super) struct Compaction {
    policy: CompactionPolicy,
    start: Instant,
    /// Empty on a new leader, for which all revisions are new.
    ages: Ages,
}

// === impl Compaction ===

impl Default for Compaction {
    fn default() -> Self {
        Self { policy: CompactionPolicy::default(), start: Instant::now(), ages: Ages::default() }
    }
}

impl Controller for Compaction {
    const NAME: &'static str = "compaction";

    fn schedule(&self, _: &Leader) -> Schedule {
        Schedule { period: PERIOD, on_wake_up: false, on_revision: Some(GAP), pause: Some(PAUSE) }
    }

    async fn pass(&mut self, leader: &Leader) -> Result<Outcome> {
        let now_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.ages.note(now_ms, leader.raft().store().read(Store::revision));
        let due = leader.raft().store().read(|store| self.policy.due(store, &self.ages, now_ms));
        let Some(revision) = due else { return Ok(Outcome::Settled) };
        let compact = Operation::Compact(CompactRequest { revision });
        leader.write_in_term(compact).await.with_context(|| format!("compacting the history up to {revision}"))?;
        tracing::debug!(revision, "compacted the history");
        Ok(Outcome::Settled)
    }
}
