//! Begins runs of jobs at the times of their schedules or by request, tries again what failed, and notes how they ended.
//!
//! ```text
//! schedule, clock ──┐
//! requests ─────────┼─> plan ──> runs ──> tasks ──> the node's agent
//! states of tasks ──┘               <── how they ended
//! ```
//!
//! [`mod@plan`] decides, without I/O; this module reads and writes. Each plan is one transaction: that a time of a schedule is decided,
//! the run that it begins and the task of that run are recorded together or not at all, and by one leader alone. A plan is bounded;
//! what is left follows in the next pass, at once.

mod ages;
mod ends;
mod plan;
mod starts;
mod ticks;
mod tidy;
mod view;

#[cfg(test)]
mod harness;
#[cfg(test)]
mod nodes_test;
#[cfg(test)]
mod runs_test;
#[cfg(test)]
mod ticks_test;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use disco_planner::placement::Presence;
use disco_proto::v1::RangeRequest;
use disco_store::{Store, prefix_range};
use tokio::time::Instant;

use self::ages::Firsts;
use self::plan::plan_that_fits;
use super::driver::{Controller, Outcome, Schedule};
use super::plans::{self, Conflicts};
use super::workloads::seen::Seen;
use crate::cluster::workloads::recorded::Workloads;
use crate::cluster::workloads::write;
use crate::node::Leader;
use crate::records::keys;

/// Brings runs to their end.
#[derive(Default)]
pub(super) struct Jobs {
    records: Workloads,
    firsts: Firsts,
    presences: BTreeMap<u64, Presence>,
    /// When time alone changes the plan, by this process's clock and by the calendar: that may be set meanwhile.
    due: Option<(Instant, i64)>,
    /// What runs wait for.
    waits: Vec<String>,
    conflicts: Conflicts,
}

// === impl Jobs ===

impl Controller for Jobs {
    const NAME: &'static str = "jobs";

    fn schedule(&self, leader: &Leader) -> Schedule {
        plans::schedule(leader)
    }

    async fn event(&mut self) {
        match self.due {
            Some((due, _)) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    async fn pass(&mut self, leader: &Leader) -> Result<Outcome> {
        if !leader.raft().store().read(has_jobs) {
            // Without jobs a leader keeps nothing in memory for them.
            *self = Self::default();
            return Ok(Outcome::Settled);
        }
        let changed = self.records.follow(leader);
        let seen = Seen::look(leader, &self.records);
        let presences = seen.presences();
        let is_due = self.due.is_some_and(|(due, ms)| due <= Instant::now() || ms <= seen.now.ms);
        if !changed && !is_due && presences == self.presences {
            return Ok(plans::outcome(&self.waits));
        }
        let ages = self.firsts.follow(&self.records, &seen.now, Instant::now());
        let (planned, changes) = match plan_that_fits(&self.records, &seen, &ages) {
            Ok(planned) => planned,
            Err(why) => {
                self.due = Some((Instant::now(), seen.now.ms));
                bail!("a plan of jobs is too large: {why}");
            }
        };
        if changes.is_empty() {
            self.presences = presences;
            self.waits = planned.waits;
            self.due = planned.due.map(|ms| later(seen.now.ms, ms.max(1)));
            return Ok(plans::outcome(&self.waits));
        }
        // Until a plan was written there is another one to make.
        self.due = Some((Instant::now(), seen.now.ms));
        let written = write::commit_one(leader, changes, planned.draft.news).await;
        self.conflicts.note(written.context("writing what becomes of jobs")?, "jobs").await?;
        Ok(Outcome::Changed)
    }
}

/// So many milliseconds later, by both clocks.
fn later(now_ms: i64, ms: u64) -> (Instant, i64) {
    (Instant::now() + Duration::from_millis(ms), now_ms.saturating_add_unsigned(ms))
}

/// Whether there is any job.
fn has_jobs(store: &Store) -> bool {
    let first = RangeRequest { limit: 1, keys_only: true, ..prefix_range(keys::JOBS) };
    store.range(&first).is_ok_and(|found| !found.kvs.is_empty())
}
