//! The stack as typed data: what deployments need. Everything else is in the JSON of each service.

mod job;
mod operation;
mod read;

use std::{collections::BTreeMap, fmt, time::Duration};

use serde_json::Value as Json;

pub use self::job::{Job, Overlap};
pub use self::operation::{Exposed, OnFailure, Resources, Restart, RestartWhen, Update};
pub(crate) use self::read::{RELOADS, signal, stack};
use crate::place::Place;

/// A stack file, loaded, merged and checked.
#[derive(Clone, Debug)]
pub struct Stack {
    /// A name in DNS.
    pub name: String,
    /// By name.
    pub services: BTreeMap<String, Service>,
    /// Secrets that services use, by key.
    pub secrets: BTreeMap<String, Secret>,
    /// Configs that services use, by key.
    pub configs: BTreeMap<String, Config>,
    /// In the shape of `docker compose config --format json`, without values of secrets.
    pub json: Json,
}

/// A service.
#[derive(Clone)]
pub struct Service {
    /// What its tasks run.
    pub runs: Runs,
    /// A variable without a value is unset.
    pub environment: BTreeMap<String, Option<String>>,
    /// In the order of the file.
    pub ports: Vec<Port>,
    /// `expose`, in the order of the file.
    pub expose: Vec<Exposed>,
    /// Services that start before.
    pub depends_on: BTreeMap<String, Dependency>,
    /// How many copies.
    pub copies: Copies,
    /// Never two copies at a time.
    pub singleton: bool,
    /// How the node asks whether a task is healthy.
    pub health: Option<Health>,
    /// Names of hosts that lead here.
    pub ingress: Option<Ingress>,
    /// Such as `SIGTERM`, as written.
    pub stop_signal: Option<String>,
    /// Time between the stop signal and the end; 10 s unless given.
    pub stop_grace_period: Duration,
    /// What each task needs.
    pub needs: Resources,
    /// What each task gets at most.
    pub limits: Resources,
    /// `ulimits.nofile`: how many files each process may open.
    pub open_files: Option<u64>,
    /// Conditions on a node, such as `node.labels.zone==a`.
    pub constraints: Vec<String>,
    /// Labels over whose values the tasks are spread.
    pub spread: Vec<String>,
    /// When a task that ended is started again; `None`: not given.
    pub restart: Option<Restart>,
    /// How one version follows another.
    pub update: Update,
    /// It runs to its end, by a schedule or by request.
    pub job: Option<Job>,
    /// `labels`, and over them those of `deploy`.
    pub labels: BTreeMap<String, String>,
    /// `working_dir`.
    pub working_dir: Option<String>,
    /// Files with secrets, in the order of the file.
    pub secrets: Vec<Mount>,
    /// Files with configs, in the order of the file.
    pub configs: Vec<Mount>,
    /// Variables with secrets: the secret's key by the variable's name.
    pub secret_environment: BTreeMap<String, String>,
    /// The signal by which the program reads changed secrets and configs again, such as `SIGHUP`.
    pub reload: Option<String>,
    /// Equal for services that need no new deployment, whatever file they come from.
    pub hash: String,
    /// Where its keys stand, by their path such as `deploy.mode`; the service itself is the empty path.
    pub places: BTreeMap<String, Place>,
    /// In the shape of `docker compose config --format json`, with all values, not doubled `$`, and so not for output.
    pub json: Json,
}

impl fmt::Debug for Service {
    /// Without values of variables.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("runs", &self.runs)
            .field("environment", &self.environment.keys())
            .field("ports", &self.ports)
            .field("copies", &self.copies)
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

/// What a task runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Runs {
    /// A container.
    Container {
        /// Its image; `None` where it is to be built.
        image: Option<String>,
        /// `None`: the image's own.
        command: Option<Vec<String>>,
        /// `None`: the image's own.
        entrypoint: Option<Vec<String>>,
    },
    /// A program of the project, without a container.
    Process(Process),
}

/// `x-disco.process`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Process {
    /// A program or a folder, seen from the project's folder.
    pub path: String,
    /// Arguments behind the program.
    pub args: Vec<String>,
    /// Name or number.
    pub user: Option<String>,
}

/// A file with a secret or config.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mount {
    /// The key below `secrets` or `configs` of the stack.
    pub source: String,
    /// Where the task finds it, as written or filled in; `None`: under its key.
    pub target: Option<String>,
    /// Its owner; `None`: the task's user.
    pub uid: Option<String>,
    /// Its group; `None`: that of the task's user.
    pub gid: Option<String>,
    /// Its permission bits; `None`: 0444.
    pub mode: Option<u32>,
}

/// A port of each task.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Port {
    /// Where the task listens.
    pub target: u16,
    /// Where the cluster listens; `None`: chosen by the cluster.
    pub published: Option<Published>,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// On the task's node alone instead of on every node.
    pub host: bool,
    /// The address to listen on; `None`: all.
    pub host_ip: Option<String>,
}

/// A published port, or a range of which one is taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Published {
    /// The lowest.
    pub first: u16,
    /// The highest; equal to `first` for a single port.
    pub last: u16,
}

/// What must be true of another service before this one starts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dependency {
    /// The state to wait for.
    pub condition: Condition,
    /// Restart when the other one was replaced.
    pub restart: bool,
    /// Without it the other one may be missing.
    pub required: bool,
}

/// A state of another service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Condition {
    /// It runs.
    Started,
    /// Its probe succeeds.
    Healthy,
    /// It ended with exit code 0.
    Completed,
}

/// How many copies of a service run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Copies {
    /// This many.
    Number(u32),
    /// One on each node.
    EveryNode,
}

/// How to find out whether a task is healthy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Health {
    /// What is asked.
    pub probe: Probe,
    /// Time between two probes; 30 s unless given, 5 s for one that starts no program.
    pub interval: Duration,
    /// Limit for one probe; 30 s unless given, 5 s for one that starts no program.
    pub timeout: Duration,
    /// Failures in a row that make a task unhealthy; 3 unless given.
    pub retries: u32,
    /// Time during which failures do not count; the first success ends it. 0 s unless given, 30 s for a probe that starts no program.
    pub start_period: Duration,
    /// Time between two probes during the start period; 5 s unless given, 0.5 s for one that starts no program.
    pub start_interval: Duration,
}

/// A probe.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Probe {
    /// A program with its arguments, in the task.
    Command(Vec<String>),
    /// A line for the shell, in the task.
    Shell(String),
    /// GET of a path at the first port.
    Http(String),
    /// A connection to a port.
    Tcp(u16),
    /// None, not even the image's.
    Disabled,
}

/// `x-disco.ingress`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ingress {
    /// The name that clients use.
    pub host: String,
    /// A prefix, `/` unless given.
    pub path: String,
    /// Whether and with which certificate.
    pub tls: Tls,
}

/// TLS of an ingress.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Tls {
    /// None.
    Off,
    /// A certificate that the cluster obtains.
    Own,
    /// The certificate in this secret.
    Secret(String),
}

/// Where a secret's value comes from.
#[derive(Clone, Eq, PartialEq)]
pub enum Secret {
    /// A file, seen from the project's folder.
    File(String),
    /// A variable, and its value if it is set.
    Variable {
        /// The variable's name.
        name: String,
        /// Never printed.
        value: Option<String>,
    },
    /// A secret of the cluster.
    External(String),
}

/// Where a config's content comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Config {
    /// A file, seen from the project's folder.
    File(String),
    /// Text of the stack file, or the value of a variable.
    Content(String),
    /// A variable that is not set.
    Unset(String),
    /// A config of the cluster.
    External(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Variable { name, value } => {
                f.debug_struct("Variable").field("name", name).field("is_set", &value.is_some()).finish()
            }
            Self::External(name) => f.debug_tuple("External").field(name).finish(),
        }
    }
}
