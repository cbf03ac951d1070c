//! Starts, replaces and ends tasks until each service has its version and its number of copies.
//!
//! ```text
//! request ──> stack, services, versions ──┐
//! agents ───> states of tasks ────────────┼─> plan ──> tasks, ends of rollouts and deployments, events
//! reports ──> presence of nodes ──────────┘
//! ```
//!
//! Runs of jobs are those of `controllers/jobs`; here they only take their part of a node.
//! New tasks of a plan are shown to the script's hook [`place`](hook), and planned again with what it prefers.
//!
//! [`mod@plan`] decides, without I/O; this module reads and writes. A plan is written in transactions of bounded size; any first part
//! of them is a state from which the next pass continues, here or on the next leader.

mod ages;
mod apply;
mod ends;
mod failure;
mod finish;
mod hook;
pub(super) mod pass;
pub(super) mod place;
mod plan;
mod reload;
mod rollout;
pub(super) mod seen;
mod service;
mod tidy;

#[cfg(test)]
mod deploy_test;
#[cfg(test)]
mod failure_test;
#[cfg(test)]
pub(super) mod harness;
#[cfg(test)]
mod nodes_test;
#[cfg(test)]
mod reload_test;
#[cfg(test)]
pub(super) mod specs;
#[cfg(test)]
mod world_test;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use disco_planner::placement::Presence;
use tokio::time::Instant;

use self::ages::Firsts;
use self::hook::PlaceHook;
use self::plan::plan;
use self::seen::Seen;
use super::driver::{Controller, Outcome, Schedule};
use super::plans::{self, Conflicts};
use crate::cluster::workloads::recorded::Workloads;
use crate::cluster::workloads::write;
use crate::node::Leader;
use crate::script::Scripts;

/// Brings tasks to what services shall be.
#[derive(Default)]
pub(super) struct Tasks {
    records: Workloads,
    firsts: Firsts,
    presences: BTreeMap<u64, Presence>,
    /// When time alone changes the plan.
    due: Option<Instant>,
    /// What the last plan waits for.
    waits: Vec<String>,
    conflicts: Conflicts,
    hook: PlaceHook,
}

// === impl Tasks ===

impl Controller for Tasks {
    const NAME: &'static str = "workloads";

    fn schedule(&self, leader: &Leader) -> Schedule {
        plans::schedule(leader)
    }

    async fn event(&mut self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    async fn pass(&mut self, leader: &Leader) -> Result<Outcome> {
        let changed = self.records.follow(leader);
        let mut seen = Seen::look(leader, &self.records);
        let presences = seen.presences();
        let is_due = self.due.is_some_and(|due| due <= Instant::now());
        if !changed && !is_due && presences == self.presences {
            return Ok(plans::outcome(&self.waits));
        }
        seen.ages = self.firsts.follow(&self.records, Instant::now());
        let mut planned = plan(&self.records, &seen);
        seen.preferred = self.hook.preferred(leader, &self.records, &planned.draft.records, &seen).await;
        if !seen.preferred.is_empty() {
            planned = plan(&self.records, &seen);
        }
        let changes = planned.draft.records.changes_since(&self.records);
        if changes.is_empty() {
            self.presences = presences;
            self.waits = planned.waits;
            self.due = planned.due.map(|ms| Instant::now() + Duration::from_millis(ms.max(1)));
            return Ok(plans::outcome(&self.waits));
        }
        // Until a plan was written there is another one to make.
        self.due = Some(Instant::now());
        let written = write::commit(leader, changes, planned.draft.news).await;
        self.conflicts.note(written.context("writing what becomes of tasks")?, "tasks").await?;
        Ok(Outcome::Changed)
    }
}

impl Tasks {
    pub(super) fn new(scripts: &Scripts) -> Self {
        Self { hook: PlaceHook::new(scripts), ..Self::default() }
    }
}
