//! What is known about a rollout.

use std::time::Duration;

/// How one version follows another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Strategy {
    /// Which goes first.
    pub order: Order,
    /// How many tasks are exchanged at a time; at least one.
    pub batch: u64,
    /// How many healthy tasks may be missing; with [`Order::StopFirst`] at least one.
    pub max_unavailable: u64,
    /// How long a batch is healthy before the next one begins.
    pub delay: Duration,
    /// How long nothing may become better before the new version counts as failed.
    pub limit: Duration,
    /// How often tasks of the new version may fail, all together, before it counts as failed.
    pub max_failures: u64,
}

/// Whether a new task starts before or after an old one ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// A new one starts and becomes healthy first: nothing is missing meanwhile.
    StartFirst,
    /// An old one ends first: for what cannot exist twice, such as a port of the node or a lock on a volume.
    StopFirst,
}

impl Default for Strategy {
    /// One after the other, nothing missing, five minutes for each.
    fn default() -> Self {
        Self {
            order: Order::StartFirst,
            batch: 1,
            max_unavailable: 0,
            delay: Duration::ZERO,
            limit: Duration::from_secs(300),
            max_failures: 2,
        }
    }
}

/// A task of either version that is not gone.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Task {
    /// Its id.
    pub id: u64,
    /// How long it has been healthy; `None` if it is not.
    pub healthy_for: Option<Duration>,
    /// It is no endpoint any more, or is about to be none.
    pub draining: bool,
    /// It was decided that it ends.
    pub stopping: bool,
    /// It is on a node that does not report: it counts as there, and cannot be asked for anything.
    pub silent: bool,
}

impl Task {
    pub(super) const fn is_available(&self) -> bool {
        self.healthy_for.is_some() && !self.draining && !self.stopping && !self.silent
    }

    pub(super) const fn stays(&self) -> bool {
        !self.draining && !self.stopping
    }
}

/// A service in the middle of a rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// How the versions follow each other.
    pub strategy: Strategy,
    /// How many tasks the service shall have.
    pub copies: u64,
    /// Tasks of the new version.
    pub new: Vec<Task>,
    /// Tasks of all other versions.
    pub old: Vec<Task>,
    /// How often tasks of the new version have failed.
    pub failures: u64,
    /// Time since something became better: a task started, became healthy, drained or went.
    pub idle_for: Duration,
    /// Why tasks of the new version have no node; empty if all have one.
    pub unplaced: Vec<String>,
    /// The rollout waits for a person, and no time counts.
    pub paused: bool,
}
