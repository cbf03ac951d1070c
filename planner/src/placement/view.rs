//! What is known: nodes, tasks, and what services want.

use std::collections::{BTreeMap, BTreeSet};

/// What a task takes or a node has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Resources {
    /// Thousandths of a processor.
    pub cpu_millis: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of disk.
    pub disk: u64,
}

impl Resources {
    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
            memory: self.memory.saturating_add(other.memory),
            disk: self.disk.saturating_add(other.disk),
        }
    }
}

/// A port of a node.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// What it carries.
    pub protocol: Protocol,
}

/// What a port carries.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Protocol {
    /// A stream.
    Tcp,
    /// Datagrams.
    Udp,
}

/// Whether a node can be used.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Presence {
    /// It reports.
    #[default]
    Here,
    /// It does not, for less than the grace time: its tasks stay, and it gets no new ones.
    Silent,
    /// It does not, for longer: its tasks are replaced.
    Lost,
}

/// A node.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Node {
    /// Its id.
    pub id: u64,
    /// Its labels, without the prefix `node.labels.`.
    pub labels: BTreeMap<String, String>,
    /// What tasks may take of it together.
    pub resources: Resources,
    /// Whether it can be used.
    pub presence: Presence,
    /// It shall be emptied.
    pub drained: bool,
    /// What can run there: `process`, `docker`.
    pub drivers: BTreeSet<String>,
    /// Volumes that exist on it.
    pub volumes: BTreeSet<String>,
    /// Ports that something else uses.
    pub ports: BTreeSet<Port>,
    /// Groups that it refused, by their id, with its reason.
    pub refused: BTreeMap<u64, String>,
}

/// One version of a service: tasks that are all alike.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Group {
    /// Its id; a new version of a service is another group.
    pub id: u64,
    /// The service, which groups of other versions share. Tasks of one service are kept apart.
    pub service: String,
    /// How many tasks.
    pub copies: Copies,
    /// What each takes.
    pub resources: Resources,
    /// What it needs to run.
    pub driver: String,
    /// Ports of the node itself that each occupies.
    pub host_ports: Vec<Port>,
    /// How many further ports of the node are to be chosen for each.
    pub ports: usize,
    /// Where it may run.
    pub constraints: Vec<Constraint>,
    /// Labels over whose values the tasks are spread, the most important first. Below all of them, over nodes.
    pub spread: Vec<String>,
    /// Volumes that the node must have.
    pub volumes: Vec<String>,
    /// The nodes to which tasks are bound by data that they have left there, by the task's index.
    pub bound: BTreeMap<u64, u64>,
    /// Never two at a time.
    pub singleton: bool,
    /// Numbers of tasks that have ended as they should: they count, and use nothing.
    pub done: BTreeSet<u64>,
    /// Which nodes are preferred for a task, by its index: the higher, the more; 0 for others. It decides before all else
    /// among nodes where the task can run.
    pub preferred: BTreeMap<u64, BTreeMap<u64, i64>>,
}

/// How many tasks a group has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Copies {
    /// This many.
    Count(u64),
    /// One on each node where it can run. Its index is the node's id.
    EachNode,
}

impl Default for Copies {
    fn default() -> Self {
        Self::Count(1)
    }
}

/// A condition on a node's label. A missing label is an empty one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Constraint {
    /// The label has this value.
    Is(String, String),
    /// It has another one.
    IsNot(String, String),
}

/// A task that exists in the records.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Task {
    /// Its id, never used again.
    pub id: u64,
    /// The group that it belongs to.
    pub group: u64,
    /// The service of its group, also if the group is not known any more.
    pub service: String,
    /// Its number in the group.
    pub index: u64,
    /// Where it is.
    pub node: u64,
    /// What its node says of it.
    pub state: State,
    /// Its probes succeed, or it has none and runs.
    pub healthy: bool,
    /// It was decided that it ends.
    pub stopping: bool,
    /// Its node says that it is gone, with all that it used.
    pub gone: bool,
    /// It may still run where nobody sees it: on a node that is lost, before the task's lease is over for certain.
    pub may_run: bool,
    /// What it takes, also if its group is not known any more.
    pub resources: Resources,
    /// Ports of the node that it occupies.
    pub ports: Vec<Port>,
}

/// What a task does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum State {
    /// Placed, or being started.
    #[default]
    Starting,
    /// It runs.
    Running,
    /// It has ended although it should not have.
    Failed,
}
