//! One look at all records: the change that is being made, and what the steps of a plan ask of records.

use std::time::Duration;

use disco_planner::placement::Presence;

use super::seen::Seen;
use crate::cluster::workloads::draft::Draft;
use crate::cluster::workloads::recorded::Workloads;
use crate::cluster::workloads::table::ServiceId;
use crate::records::{Goal, TaskRecord, TaskState, TaskStateRecord};

/// How long a task is no endpoint any more before it is stopped: the time in which clients read that.
pub(in crate::controllers) const DRAIN_TIME: Duration = Duration::from_secs(3);
/// The beginning of [`TaskRecord::why`] of tasks whose output may explain a failure.
pub(in crate::controllers) const FAILED: &str = "failed";

/// One look.
pub(in crate::controllers) struct Pass<'a> {
    /// The records as they shall be.
    pub draft: Draft,
    /// What is seen of nodes.
    pub seen: &'a Seen,
    /// When time alone changes the plan: milliseconds from now.
    pub due: Option<u64>,
    /// What rollouts wait for.
    pub waits: Vec<String>,
}

// === impl Pass ===

impl<'a> Pass<'a> {
    pub fn new(records: Workloads, seen: &'a Seen) -> Self {
        Self { draft: Draft::new(records, seen.now.clone()), seen, due: None, waits: Vec::new() }
    }

    pub fn records(&self) -> &Workloads {
        &self.draft.records
    }

    /// The plan changes at that time, if not before.
    pub fn due_in(&mut self, ms: u64) {
        self.due = Some(self.due.map_or(ms, |due| due.min(ms)));
    }

    pub fn state(&self, task: &TaskRecord) -> Option<&TaskStateRecord> {
        self.records().states.get(&task.id)
    }

    /// Neither a member nor recorded: it does not return.
    pub fn is_removed(&self, node: u64) -> bool {
        !self.seen.nodes.contains_key(&node)
    }

    pub fn presence(&self, node: u64) -> Presence {
        self.seen.nodes.get(&node).map_or(Presence::Lost, |node| node.presence)
    }

    pub fn is_lost(&self, node: u64) -> bool {
        self.presence(node) == Presence::Lost
    }

    /// Never two tasks of its version at a time.
    pub fn is_singleton(&self, task: &TaskRecord) -> bool {
        self.records().groups.get(&task.group).is_none_or(|group| group.spec.singleton)
    }

    /// Whether a singleton may run where nobody sees it. While it shall run it may: its node can return at any time, also
    /// between this look and the write of what follows from it.
    pub fn may_run(&self, task: &TaskRecord) -> bool {
        self.is_lost(task.node)
            && self.is_singleton(task)
            && !self.is_complete(task)
            && (task.goal != Goal::Stop || self.may_run_for(task) > 0)
    }

    /// Milliseconds until the lease of a singleton that nobody sees is over; 0: it is, or there is none.
    pub fn may_run_for(&self, task: &TaskRecord) -> u64 {
        if !self.is_lost(task.node) || !self.is_singleton(task) {
            return 0;
        }
        let silent = match self.seen.nodes.get(&task.node) {
            Some(node) => node.silent_for,
            // It was removed before its task got this goal, and its reports are refused since.
            None if task.goal == Goal::Stop => {
                let recorded = Duration::from_millis(self.draft.now.since(&task.since));
                self.seen.ages.goals.get(&task.id).map_or(recorded, |own| recorded.min(*own))
            }
            None => Duration::ZERO,
        };
        u64::try_from(self.seen.over_after.saturating_sub(silent).as_millis()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since a task has its goal, whichever clock says more.
    pub fn goal_age(&self, task: &TaskRecord) -> u64 {
        let own = self.seen.ages.goals.get(&task.id).map_or(0, |own| millis(*own));
        self.draft.now.since(&task.since).max(own)
    }

    /// It runs no more, and never will again.
    pub fn is_gone(&self, task: &TaskRecord) -> bool {
        self.state(task).is_some_and(|state| state.gone)
            || (self.is_removed(task.node) && task.goal == Goal::Stop && self.may_run_for(task) == 0)
    }

    /// It has ended as it should, and counts as one of the copies.
    pub fn is_complete(&self, task: &TaskRecord) -> bool {
        task.goal == Goal::Run && self.state(task).is_some_and(|state| state.state == TaskState::Stopped)
    }

    /// It runs with the files of its version, and its probes succeed.
    pub fn is_healthy(&self, task: &TaskRecord) -> bool {
        self.state(task).is_some_and(|state| state.healthy && state.state == TaskState::Running && !state.gone)
            && super::reload::has_files(self, task)
    }

    /// Tasks of a service that are not gone, and whose node may still do something with them.
    pub fn live<'b>(&'b self, id: &'b ServiceId) -> impl Iterator<Item = &'b TaskRecord> {
        self.records().tasks_of(id).filter(|task| !self.is_gone(task) && !self.is_lost(task.node))
    }

    /// Sets what shall become of a task.
    pub fn set(&mut self, task: u64, goal: Goal, why: &str) {
        let since = self.draft.now.text.clone();
        self.draft.records.tasks.change(&task, |task| {
            (task.goal, task.since) = (goal, since);
            why.clone_into(&mut task.why);
        });
    }

    /// Ends a task: one that is an endpoint drains first.
    pub fn end(&mut self, task: u64, why: &str) {
        let Some(record) = self.records().tasks.get(&task).filter(|task| task.goal == Goal::Run) else { return };
        // A new leader has heard of no node yet, and what is there serves all the same.
        let is_endpoint = !record.ports.is_empty() && self.is_healthy(record) && !self.is_lost(record.node);
        if is_endpoint {
            self.set(task, Goal::Drain, why);
            self.due_in(millis(DRAIN_TIME));
        } else {
            self.set(task, Goal::Stop, why);
        }
    }
}

pub(in crate::controllers) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
