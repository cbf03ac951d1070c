//! Stacks, services and tasks.
//!
//! ```text
//! StackRecord ──> ReleaseRecord (what one deployment wants of each service)
//! ServiceRecord ──> GroupRecord (one version of a service, never changed) <── TaskRecord (one copy, on one node)
//!                                                                              │
//!                                                            TaskStateRecord (what its node says of it)
//! ```
//!
//! The leader writes all of them but the states of tasks, which only the task's node writes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ResourceSpec, ServiceSpec, TaskRun};

/// A stack: the services that were deployed together, under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackRecord {
    /// A name in DNS.
    pub name: String,
    /// The latest deployment of it.
    pub deployment: u64,
    /// The releases that were complete once, the newest last, at most [`RELEASES`].
    #[serde(default)]
    pub releases: Vec<ReleaseRecord>,
    /// The deployment that makes a further release when it is complete; absent if none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coming: Option<u64>,
}

/// Releases of a stack that are kept for `disco rollback`.
pub const RELEASES: usize = 10;

/// What a deployment wants of each service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// The deployment that made it.
    pub deployment: u64,
    /// Version and number of copies of each service, by its name.
    pub services: BTreeMap<String, ReleasedService>,
}

/// A service in a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedService {
    /// Its [`GroupRecord`].
    pub group: u64,
    /// How many copies.
    pub copies: Copies,
}

/// How many copies of a service run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Copies {
    /// This many.
    Number(u32),
    /// One on each node.
    EveryNode,
}

/// A service: which version it shall have, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// The stack.
    pub stack: String,
    /// Its name in the stack.
    pub name: String,
    /// How many copies it shall have.
    pub copies: Copies,
    /// The version that it shall have.
    pub group: u64,
    /// The last version that was complete, to which a failed rollout returns; absent before the first one was.
    #[serde(default)]
    pub settled: Option<Settled>,
    /// The deployment whose rollout is under way; absent when the service has its version and number of copies.
    #[serde(default)]
    pub rollout: Option<RolloutRecord>,
    /// The service ends: it is forgotten when its last task is gone.
    #[serde(default)]
    pub removed: bool,
    /// Nothing of it shall run, until it is started again.
    #[serde(default)]
    pub stopped: bool,
    /// Why a task of it has no node now, per node; empty if all have one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unplaced: String,
}

/// A version that was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Its [`GroupRecord`].
    pub group: u64,
    /// Copies that it had.
    pub copies: Copies,
}

/// A rollout of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutRecord {
    /// The deployment that it belongs to; 0 for one of the cluster itself.
    pub deployment: u64,
    /// RFC 3339.
    pub started_at: String,
    /// Why the version that was to come has failed: the rollout now leads back to the settled one.
    #[serde(default)]
    pub failed: Option<String>,
    /// What it waits for, in words.
    #[serde(default)]
    pub waits_for: String,
    /// Tasks with this id or a higher one were made in it.
    #[serde(default)]
    pub first_task: u64,
    /// Failures of such tasks whose records were deleted.
    #[serde(default)]
    pub failures: u64,
}

/// One version of a service. Never changed; removed when no task, service or kept release refers to it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// Its id, never used again.
    pub id: u64,
    /// The stack.
    pub stack: String,
    /// The service.
    pub service: String,
    /// The deployment that made it.
    pub deployment: u64,
    /// Equal for versions that do not differ: `sha256:…` over the resolved service and the contents of its files, and behind a `+`
    /// the versions of its secrets and configs.
    pub hash: String,
    /// What its tasks are.
    pub spec: ServiceSpec,
}

/// One copy of a service, on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Its id, never used again.
    pub id: u64,
    /// The stack.
    pub stack: String,
    /// The service.
    pub service: String,
    /// Its version.
    pub group: u64,
    /// Its number among the copies, from 1; of a service of each node the node's id; of a job the run's number.
    pub index: u64,
    /// Where it runs.
    pub node: u64,
    /// In the order of [`ServiceSpec::ports`].
    pub ports: Vec<TaskPort>,
    /// What it takes of its node.
    pub needs: ResourceSpec,
    /// What shall become of it.
    pub goal: Goal,
    /// Since when it has that goal, RFC 3339.
    pub since: String,
    /// Why it has it; empty for [`Goal::Run`].
    #[serde(default)]
    pub why: String,
    /// The run of a job that it is a try of; absent for a copy of a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<TaskRun>,
}

/// What shall become of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// It runs.
    Run,
    /// It runs, and is no endpoint any more.
    Drain,
    /// It ends.
    Stop,
}

/// A port of a task's node that is the task's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPort {
    /// The number in the stack file.
    pub target: u16,
    /// The number on the node.
    pub number: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// What a node says of one of its tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStateRecord {
    /// The task.
    pub id: u64,
    /// The node.
    pub node: u64,
    /// What it does.
    pub state: TaskState,
    /// Its probes succeed, or it has none and runs.
    pub healthy: bool,
    /// Since when it is healthy, RFC 3339; absent while it is not.
    #[serde(default)]
    pub healthy_since: Option<String>,
    /// Of its first process; 0 while there is none.
    #[serde(default)]
    pub pid: u32,
    /// The IP address at which its ports are.
    #[serde(default)]
    pub address: String,
    /// How often it was started again after an end.
    #[serde(default)]
    pub restarts: u64,
    /// Of its last end; absent before, and after a signal.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// That caused its last end, such as `SIGKILL`.
    #[serde(default)]
    pub signal: Option<String>,
    /// Of its last start, RFC 3339.
    #[serde(default)]
    pub started_at: Option<String>,
    /// Of its last end, RFC 3339.
    #[serde(default)]
    pub finished_at: Option<String>,
    /// Why it is in that state: the last probe, the last end, what the node lacks. Without values of variables.
    #[serde(default)]
    pub reason: String,
    /// It could not be started at all here, and another node may: such as a port that is taken.
    #[serde(default)]
    pub refused: bool,
    /// It runs no more, with all its processes, and never will again.
    #[serde(default)]
    pub gone: bool,
    /// The version of its service whose secrets and configs it has; 0: it has none, or does not run yet.
    #[serde(default)]
    pub applied: u64,
}

impl TaskStateRecord {
    /// Of a task that has never been started.
    #[must_use]
    pub const fn new(id: u64, node: u64, state: TaskState) -> Self {
        Self {
            id,
            node,
            state,
            healthy: false,
            healthy_since: None,
            pid: 0,
            address: String::new(),
            restarts: 0,
            exit_code: None,
            signal: None,
            started_at: None,
            finished_at: None,
            reason: String::new(),
            refused: false,
            gone: false,
            applied: 0,
        }
    }
}

/// What a task does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// No node has begun with it.
    #[default]
    Pending,
    /// Its node fetches its files, starts it, or waits before it starts it again.
    Starting,
    /// It runs.
    Running,
    /// It was asked to end.
    Stopping,
    /// It has ended as it should.
    Stopped,
    /// It has ended and is not started again here.
    Failed,
}

/// What a node has for tasks. Written by the node itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapacityRecord {
    /// Thousandths of a processor.
    pub cpu_millis: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// What can run there: `process`.
    pub drivers: Vec<String>,
    /// Limits that do not hold on the node, each with its reason.
    #[serde(default)]
    pub not_limited: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::typed::{RestartSpec, UpdateSpec};

    #[test]
    fn records_of_a_previous_version_are_read() {
        let stack: StackRecord = serde_json::from_str(r#"{"name":"shop","deployment":3}"#).unwrap();
        assert_eq!((stack.releases, stack.coming), (vec![], None));
        let service = r#"{"stack":"shop","name":"web","copies":{"number":3},"group":1,
            "rollout":{"deployment":3,"started_at":"2026-11-30T15:00:00Z"}}"#;
        let service: ServiceRecord = serde_json::from_str(service).unwrap();
        assert_eq!((service.copies, service.settled, service.stopped), (Copies::Number(3), None, false));
        assert_eq!(service.rollout.map(|rollout| (rollout.first_task, rollout.failed)), Some((0, None)));
        assert_eq!(serde_json::from_str::<Copies>(r#""every_node""#).unwrap(), Copies::EveryNode);
        let state = r#"{"id":1001,"node":2,"state":"running","healthy":true}"#;
        let state: TaskStateRecord = serde_json::from_str(state).unwrap();
        assert!(state.state == TaskState::Running && !state.gone && !state.refused);
        let spec = r#"{"driver":"process","stop_signal":"SIGTERM","stop_grace_ms":10000}"#;
        let spec: ServiceSpec = serde_json::from_str(spec).unwrap();
        assert_eq!((spec.update, spec.restart), (UpdateSpec::default(), RestartSpec::default()));
    }
}
