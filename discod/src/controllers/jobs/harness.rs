//! Jobs on the small cluster of `controllers/workloads/harness.rs`, with a clock of whole seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::json;

use super::ages::Ages;
use super::plan::plan_that_fits;
use crate::cluster::workloads::draft::Draft;
use crate::cluster::workloads::{jobs, write};
use crate::controllers::workloads::harness::Cluster;
use crate::controllers::workloads::specs::spec;
use crate::records::Records;
use crate::records::{
    EventRecord, Goal, JobRecord, JobRunRecord, JobRunState, ServiceSpec, TaskState, TaskStateRecord, keys, list,
};

/// 2026-12-01T01:00:00Z, a Tuesday.
pub(super) const BEGIN: i64 = 1_796_086_800_000;

/// A version of a job.
pub(super) fn job(version: &str, job: serde_json::Value) -> ServiceSpec {
    let mut spec = serde_json::to_value(spec(version, "held")).unwrap();
    spec["ports"] = json!([]);
    spec["restart"] = json!({ "condition": "never", "delay_ms": 0 });
    spec["job"] = job;
    serde_json::from_value(spec).unwrap()
}

/// A cluster with jobs. Programs run until a test ends them.
pub(super) struct Bed {
    pub cluster: Cluster,
    /// When each task has started.
    started: BTreeMap<u64, i64>,
    /// When each task that has not started was there first.
    unstarted: BTreeMap<u64, i64>,
    /// Why nodes start no program, if they do not.
    pub lacks: Option<String>,
    /// Since when each run waits: number and recorded beginning.
    waits: BTreeMap<(String, String, u64), (String, i64)>,
    /// What this leader's own clock shows more than the calendar.
    pub ahead: i64,
}

impl Bed {
    pub fn new(nodes: u64) -> Self {
        let mut cluster = Cluster::new(nodes);
        cluster.ms = BEGIN;
        Self {
            cluster,
            started: BTreeMap::new(),
            unstarted: BTreeMap::new(),
            lacks: None,
            waits: BTreeMap::new(),
            ahead: 0,
        }
    }

    /// A cluster with one job, `shop/backup`.
    pub fn with(nodes: u64, spec: serde_json::Value) -> Self {
        let mut bed = Self::new(nodes);
        bed.deploy("1", spec);
        bed
    }

    pub fn deploy(&mut self, version: &str, spec: serde_json::Value) {
        self.cluster.deploy("shop", &[("backup", job(version, spec), 0)]);
        self.settle();
    }

    fn own(&self) -> i64 {
        self.cluster.ms + self.ahead
    }

    fn ages(&mut self) -> Ages {
        let records = self.cluster.records();
        let mut ages = Ages::default();
        let own = self.own();
        for (id, run) in records.runs.iter().filter(|(_, run)| !run.is_over()) {
            let wait = self.waits.entry(id.clone()).or_insert_with(|| (run.since.clone(), own));
            if wait.0 != run.since {
                *wait = (run.since.clone(), own);
            }
            let age = |since: i64| Duration::from_millis(u64::try_from(own - since).unwrap_or(0));
            ages.waits.insert(id.clone(), (wait.0.clone(), age(wait.1)));
            let Some(task) = run.task else { continue };
            if records.states.get(&task).is_some_and(|state| state.started_at.is_some()) {
                ages.tries.insert(task, age(*self.started.entry(task).or_insert(own)));
            } else {
                ages.unstarted.insert(task, age(*self.unstarted.entry(task).or_insert(own)));
            }
        }
        ages
    }

    /// One plan, carried out in one transaction. False if nothing was missing.
    pub fn pass(&mut self) -> bool {
        let ages = self.ages();
        let records = self.cluster.records();
        let seen = self.cluster.seen(&records);
        let (planned, changes) = plan_that_fits(&records, &seen, &ages).expect("a plan that fits");
        if changes.is_empty() {
            return false;
        }
        let written = write::commit_one(&self.cluster.store, changes, planned.draft.news).now_or_never();
        assert!(written.expect("a store in memory answers at once").expect("it accepts every write"));
        true
    }

    /// Passes of both controllers until nothing is missing.
    pub fn settle(&mut self) {
        for _ in 0..200 {
            let one = self.cluster.pass();
            if !self.pass() && !one {
                return;
            }
        }
        panic!("it never rests: {}", self.cluster.describe());
    }

    /// Time goes on by so many seconds, one by one.
    pub fn seconds(&mut self, count: i64) {
        for _ in 0..count {
            self.settle();
            self.act();
            self.cluster.ms += 1_000;
        }
        self.settle();
    }

    /// Nodes begin with what is there, and end what shall end.
    pub fn act(&mut self) {
        for task in self.cluster.tasks() {
            let is_off = self.cluster.faults.contains_key(&task.node) || self.cluster.removed.contains_key(&task.node);
            let state = self.cluster.state(task.id);
            if is_off || state.as_ref().is_some_and(|state| state.gone) {
                continue;
            }
            match (task.goal, state) {
                (Goal::Stop, Some(_)) => self.end_with(task.id, None, Some("SIGTERM"), "SIGTERM"),
                (Goal::Stop, None) => self.end_with(task.id, None, None, ""),
                (_, None) => {
                    let started_at = Some(self.text());
                    let new = |state| TaskStateRecord::new(task.id, task.node, state);
                    self.put(&match self.lacks.clone() {
                        Some(reason) => TaskStateRecord { reason, ..new(TaskState::Pending) },
                        None => TaskStateRecord { started_at, healthy: true, ..new(TaskState::Running) },
                    });
                }
                _ => {}
            }
        }
    }

    pub fn text(&self) -> String {
        jiff::Timestamp::from_millisecond(self.cluster.ms).unwrap().to_string()
    }

    fn put(&self, state: &TaskStateRecord) {
        self.cluster.store.put(&keys::task_state(state.id), state);
    }

    /// The program of a run's task ends.
    pub fn end(&mut self, task: u64, code: i32) {
        let reason = if code == 0 { String::new() } else { format!("exit code {code}") };
        self.end_with(task, Some(code), None, &reason);
        self.settle();
    }

    fn end_with(&self, task: u64, code: Option<i32>, signal: Option<&str>, reason: &str) {
        let record = self.cluster.records().tasks.get(&task).cloned().unwrap();
        let state = self.cluster.state(task).unwrap_or(TaskStateRecord::new(task, record.node, TaskState::Pending));
        let how = if code == Some(0) || record.goal == Goal::Stop { TaskState::Stopped } else { TaskState::Failed };
        self.put(&TaskStateRecord {
            state: how,
            exit_code: code,
            signal: signal.map(str::to_owned),
            finished_at: Some(self.text()),
            reason: reason.to_owned(),
            gone: true,
            healthy: false,
            ..state
        });
    }

    /// A node cannot begin with a task.
    pub fn refuse(&mut self, task: u64) {
        let node = self.cluster.records().tasks.get(&task).unwrap().node;
        let new = TaskStateRecord::new(task, node, TaskState::Failed);
        self.put(&TaskStateRecord { refused: true, gone: true, reason: "no space left on device".to_owned(), ..new });
        self.settle();
    }

    pub fn request<T>(
        &mut self,
        request: impl FnOnce(&mut Draft) -> crate::cluster::Result<T>,
    ) -> crate::cluster::Result<T> {
        let answer = self.cluster.request(request)?;
        self.settle();
        Ok(answer)
    }

    /// A run by request; returns its number.
    pub fn run(&mut self) -> crate::cluster::Result<u64> {
        let request = disco_proto::v1::RunJob {
            stack: "shop".to_owned(),
            job: "backup".to_owned(),
            args: vec!["--full".to_owned()],
            token: String::new(),
        };
        self.request(|draft| jobs::run(draft, &request)).map(|run| run.number)
    }

    pub fn cancel(&mut self, run: u64) {
        let request = disco_proto::v1::CancelJobRun { stack: "shop".to_owned(), job: "backup".to_owned(), run };
        self.request(|draft| jobs::cancel(draft, &request)).unwrap();
    }

    pub fn job(&self) -> JobRecord {
        self.cluster.store.get(&keys::job("shop", "backup")).expect("the job")
    }

    pub fn runs(&self) -> Vec<JobRunRecord> {
        self.cluster.records().runs.values().cloned().collect()
    }

    pub fn last(&self) -> JobRunRecord {
        self.runs().pop().expect("a run")
    }

    pub fn states(&self) -> Vec<(u64, JobRunState)> {
        self.runs().iter().map(|run| (run.number, run.state)).collect()
    }

    /// Tasks of runs that are not over, by node.
    pub fn running(&self) -> Vec<(u64, u64)> {
        let over = |id: u64| self.cluster.state(id).is_some_and(|state| state.gone);
        let tasks = self.cluster.tasks().into_iter().filter(|task| task.run.is_some() && !over(task.id));
        tasks.map(|task| (task.id, task.node)).collect()
    }

    /// Messages of events of this kind.
    pub fn events(&self, kind: &str) -> Vec<String> {
        let events = self.cluster.store.read(|store| list::<EventRecord>(store, keys::EVENTS));
        events
            .into_iter()
            .map(|event| event.value)
            .filter(|event| event.kind == kind)
            .map(|event| event.message)
            .collect()
    }
}
