//! What the tasks of one version of a service are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FileRecord, JobSpec, ValueUse};

/// What the tasks of one version of a service are. Without a `Debug` that shows values: they may be secrets.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// What runs: `process`.
    pub driver: String,
    /// The program of the driver `process`.
    #[serde(default)]
    pub process: Option<ProcessSpec>,
    /// Variables of the tasks.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// In the order of the file, `ports` before `expose`.
    #[serde(default)]
    pub ports: Vec<PortSpec>,
    /// What each task takes of its node, at least.
    #[serde(default)]
    pub needs: ResourceSpec,
    /// What each task gets of its node, at most; 0: as much as there is.
    #[serde(default)]
    pub limits: ResourceSpec,
    /// Processes and threads of a task; 0: not limited.
    #[serde(default)]
    pub pids: u32,
    /// Open files of each process; 0: as the system has it.
    #[serde(default)]
    pub open_files: u64,
    /// Conditions on a node's labels, such as `node.labels.disk == ssd`.
    #[serde(default)]
    pub constraints: Vec<String>,
    /// Labels over whose values the tasks are spread, such as `node.labels.zone`.
    #[serde(default)]
    pub spread: Vec<String>,
    /// How the node finds out whether a task is healthy.
    #[serde(default)]
    pub health: Option<HealthSpec>,
    /// When a task that ended is started again.
    #[serde(default)]
    pub restart: RestartSpec,
    /// Such as `SIGTERM`.
    pub stop_signal: String,
    /// Milliseconds between the stop signal and the kill.
    pub stop_grace_ms: u64,
    /// How a version follows this one and this one follows another.
    #[serde(default)]
    pub update: UpdateSpec,
    /// Never two tasks at a time.
    #[serde(default)]
    pub singleton: bool,
    /// Services of the stack that come first, by their name.
    #[serde(default)]
    pub depends_on: BTreeMap<String, DependencySpec>,
    /// Labels of the service.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// It is a job: it has no copies, and its tasks are runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobSpec>,
    /// Secrets and configs, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<ValueUse>,
    /// The signal by which a task reads changed files of `values` again; absent: another task takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<String>,
}

/// The largest file of a program, in bytes.
pub const LARGEST_FILE: u64 = 1 << 30;

/// The program of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// The file to execute, one of `files`.
    pub program: String,
    /// The program, or a folder with it; contents are artifacts on the nodes' disks, paths relative to the task's folder.
    pub files: Vec<FileRecord>,
    /// Arguments behind the program.
    #[serde(default)]
    pub args: Vec<String>,
    /// Name or number on the node; absent: that of the daemon.
    #[serde(default)]
    pub user: Option<String>,
    /// On the node; absent: a folder of the task's own.
    #[serde(default)]
    pub working_folder: Option<String>,
}

/// A port of each task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSpec {
    /// The number in the stack file.
    pub target: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Where clients connect, first and last of a range; absent for `expose` and for ports that the cluster chooses.
    #[serde(default)]
    pub published: Option<(u16, u16)>,
    /// The published port is one of the task's own node.
    #[serde(default)]
    pub host: bool,
}

/// Resources. 0: nothing, or not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceSpec {
    /// Thousandths of a processor.
    #[serde(default)]
    pub cpu_millis: u64,
    /// Bytes of memory.
    #[serde(default)]
    pub memory: u64,
}

/// How a node finds out whether a task is healthy. Times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthSpec {
    /// What is asked.
    pub probe: ProbeSpec,
    /// Between two probes.
    pub interval_ms: u64,
    /// For one probe.
    pub timeout_ms: u64,
    /// Failures in a row that make a task unhealthy.
    pub retries: u32,
    /// Failures do not count during it; the first success ends it.
    pub start_period_ms: u64,
    /// Between two probes during the start period.
    pub start_interval_ms: u64,
}

/// A probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeSpec {
    /// A program with its arguments, in the task's environment; exit code 0 is healthy.
    Command(Vec<String>),
    /// A line for `/bin/sh`, likewise.
    Shell(String),
    /// GET of a path at the first port; 200 to 399 is healthy.
    Http(String),
    /// A connection to the port with this target.
    Tcp(u16),
}

/// When a task that ended is started again, on its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartSpec {
    /// After which ends.
    pub condition: RestartCondition,
    /// Milliseconds before the first restart; each further one doubles it, up to a minute.
    pub delay_ms: u64,
    /// Restarts before the task counts as failed; 0: without end.
    #[serde(default)]
    pub attempts: u32,
}

/// Ends of a task after which it is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartCondition {
    /// All.
    Any,
    /// Those with another exit code than 0, or by a signal.
    OnFailure,
    /// None.
    Never,
}

impl Default for RestartSpec {
    fn default() -> Self {
        Self { condition: RestartCondition::Any, delay_ms: 1_000, attempts: 0 }
    }
}

/// How one version follows another. Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateSpec {
    /// Tasks that are exchanged at a time.
    pub batch: u32,
    /// How long a batch is healthy before the next one begins.
    pub delay_ms: u64,
    /// An old task ends before a new one starts.
    pub stop_first: bool,
    /// Healthy tasks that may be missing.
    pub max_unavailable: u32,
    /// How long nothing may become better before the version counts as failed.
    pub limit_ms: u64,
    /// Failures of new tasks, all together, after which the version counts as failed.
    pub max_failures: u32,
    /// A failed version stays, and does not go back to the one before.
    #[serde(default)]
    pub keep_failed: bool,
}

impl Default for UpdateSpec {
    fn default() -> Self {
        Self {
            batch: 1,
            delay_ms: 0,
            stop_first: false,
            max_unavailable: 0,
            limit_ms: 300_000,
            max_failures: 2,
            keep_failed: false,
        }
    }
}

/// What must be true of another service first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependencySpec {
    /// One task of it runs.
    Started,
    /// All its tasks are healthy.
    Healthy,
    /// One task of it ended with exit code 0.
    Completed,
}
