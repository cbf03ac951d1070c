//! One look at the jobs: what each of them is, and how much of a plan is left.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::ages::Ages;
use crate::cluster::workloads::recorded::Workloads;
use crate::cluster::workloads::table::{RunId, ServiceId};
use crate::controllers::workloads::pass::{Pass, millis};
use crate::controllers::workloads::seen::Seen;
use crate::records::{
    EventRecord, GroupRecord, JobRunRecord, JobSpec, ServiceRecord, Severity, TaskRecord, event, keys,
};

/// One look.
pub(super) struct Look<'a> {
    /// The records as they shall be.
    pub pass: Pass<'a>,
    pub ages: &'a Ages,
    pub now: Timestamp,
    /// Runs that this plan has made: they always have their place in it.
    pub made: BTreeSet<RunId>,
    steps: usize,
    most_steps: usize,
}

/// A job, and what is done with it.
pub(super) struct Job {
    pub id: ServiceId,
    pub mode: Mode,
}

/// What is done with a job.
pub(super) enum Mode {
    /// It runs.
    Runs(Arc<GroupRecord>, JobSpec),
    /// Nothing of it shall run; why.
    Ends(String),
    /// It is forgotten once nothing of it runs.
    Gone,
    /// Its records cannot be read: nothing is done.
    Unknown,
}

// === impl Look ===

impl<'a> Look<'a> {
    /// `most_steps`: after which the plan is full.
    pub fn new(records: Workloads, seen: &'a Seen, ages: &'a Ages, most_steps: usize) -> Self {
        // A clock beyond all years decides nothing.
        let now = Timestamp::from_millisecond(seen.now.ms).unwrap_or_default();
        Self { pass: Pass::new(records, seen), ages, now, made: BTreeSet::new(), steps: 0, most_steps }
    }

    pub fn records(&self) -> &Workloads {
        self.pass.records()
    }

    /// Whether the plan has no room for a further step: the next pass takes it.
    pub fn is_full(&self) -> bool {
        self.steps >= self.most_steps
    }

    /// Counts a step.
    pub fn step(&mut self) {
        self.steps += 1;
    }

    /// What is done with a job.
    pub fn job(&self, id: &ServiceId) -> Job {
        Job { id: id.clone(), mode: self.mode(id) }
    }

    fn mode(&self, id: &ServiceId) -> Mode {
        let records = self.records();
        let Some(service) = records.services.get(id) else {
            return if records.services.exists(id) { Mode::Unknown } else { Mode::Gone };
        };
        // A job that a deployment removes stays until the other services are complete.
        if service.removed && service.rollout.is_none() {
            return Mode::Ends("the job was removed".to_owned());
        }
        if service.stopped {
            return Mode::Ends("the job was stopped".to_owned());
        }
        self.version(service)
    }

    fn version(&self, service: &ServiceRecord) -> Mode {
        let Some(group) = self.records().groups.shared(&service.group) else { return Mode::Unknown };
        match group.spec.job.clone() {
            Some(spec) => Mode::Runs(group, spec),
            None => Mode::Ends("the service is no job any more".to_owned()),
        }
    }

    /// The job as its service's version describes it, whether it runs or not.
    pub fn recorded(&self, id: &ServiceId) -> Option<&JobSpec> {
        let service = self.records().services.get(id)?;
        self.records().groups.get(&service.group)?.spec.job.as_ref()
    }

    /// The job as a run's own version describes it.
    pub fn spec_of(&self, run: &JobRunRecord) -> Option<JobSpec> {
        self.records().groups.get(&run.group)?.spec.job.clone()
    }

    /// The name of a node.
    pub fn node_name(&self, id: u64) -> String {
        self.records().nodes.get(&id).map_or_else(|| id.to_string(), |node| node.name.clone())
    }

    /// Adds an event about a run.
    pub fn note(&mut self, kind: &str, severity: Severity, run: &JobRunRecord, text: String) {
        let data = json!({
            "stack": run.stack, "job": run.job, "run": run.number, "scheduled": run.scheduled, "task": run.task,
            "exit_code": run.exit_code, "reason": run.reason,
        });
        let event = EventRecord { data: Some(data), ..event(kind, severity, run.node, text) };
        self.pass.draft.note(keys::job_run(&run.stack, &run.job, run.number), event);
    }

    /// Milliseconds that a run waits: the longer of what is recorded and what this leader has seen.
    pub fn waits_for(&self, run: &JobRunRecord) -> u64 {
        self.pass.draft.now.since(&run.since).max(self.seen_waiting(run))
    }

    /// Milliseconds that a run waits, as this leader has seen it.
    pub fn seen_waiting(&self, run: &JobRunRecord) -> u64 {
        let seen = self.ages.waits.get(&run_id(run)).filter(|(since, _)| *since == run.since);
        seen.map_or(0, |(_, age)| millis(*age))
    }
}

/// The id of a run's record.
pub(super) fn run_id(run: &JobRunRecord) -> RunId {
    (run.stack.clone(), run.job.clone(), run.number)
}

/// The id of the run that a task belongs to.
pub(super) fn run_of(task: &TaskRecord) -> Option<RunId> {
    let run = task.run.as_ref()?;
    Some((task.stack.clone(), task.service.clone(), run.number))
}
