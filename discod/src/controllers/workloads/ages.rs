//! How long ago this leader has first seen something, by its own clock.
//!
//! Times in records are of several machines' clocks, which differ and are set. Where safety or a failure depends on a time, both
//! ages are compared.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::workloads::recorded::Workloads;
use crate::cluster::workloads::table::ServiceId;
use crate::records::Goal;

/// When this leader has first seen each goal of a task, and each rollout.
#[derive(Default)]
pub(super) struct Firsts {
    goals: BTreeMap<u64, (Goal, Instant)>,
    rollouts: BTreeMap<ServiceId, (String, Instant)>,
}

/// The time since then.
#[derive(Clone, Debug, Default)]
pub(in crate::controllers) struct Ages {
    /// Of tasks' present goals.
    pub goals: BTreeMap<u64, Duration>,
    /// Of rollouts.
    pub rollouts: BTreeMap<ServiceId, Duration>,
}

// === impl Firsts ===

impl Firsts {
    /// Notes what is new, and forgets what is no more.
    pub fn follow(&mut self, records: &Workloads, now: Instant) -> Ages {
        let mut goals = BTreeMap::new();
        for task in records.tasks.values() {
            let known = self.goals.get(&task.id).filter(|(goal, _)| *goal == task.goal);
            goals.insert(task.id, known.copied().unwrap_or((task.goal, now)));
        }
        let mut rollouts = BTreeMap::new();
        for (id, service) in records.services.iter() {
            let Some(rollout) = &service.rollout else { continue };
            let known = self.rollouts.get(id).filter(|(started, _)| *started == rollout.started_at);
            let first = known.cloned().unwrap_or_else(|| (rollout.started_at.clone(), now));
            rollouts.insert(id.clone(), first);
        }
        (self.goals, self.rollouts) = (goals, rollouts);
        Ages {
            goals: self.goals.iter().map(|(id, (_, first))| (*id, now - *first)).collect(),
            rollouts: self.rollouts.iter().map(|(id, (_, first))| (id.clone(), now - *first)).collect(),
        }
    }
}
