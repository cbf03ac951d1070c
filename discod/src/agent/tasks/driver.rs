//! What runs tasks on a node.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use disco_store::typed::{GroupRecord, TaskRecord};
use tokio::sync::watch;

use crate::cluster::tasks::Session;

/// A task as its node runs it.
#[derive(Clone)]
pub(super) struct Order {
    /// The task.
    pub(super) task: TaskRecord,
    /// Its version.
    pub(super) group: Arc<GroupRecord>,
    /// The node's name.
    pub(super) node: String,
    /// Where its ports are, as the task itself binds to them.
    pub(super) address: IpAddr,
}

/// One start of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// How often the task was started before.
    pub(super) number: u64,
    /// The task's first process.
    pub(super) pid: u32,
    /// Unix time in milliseconds.
    pub(super) at_ms: u64,
    /// Absent while it runs.
    pub(super) end: Option<End>,
}

/// How a start of a task ended, with all its processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) cause: Cause,
    /// Exit status; absent if a signal ended it, or the status is lost.
    pub(super) code: Option<i32>,
    /// Such as `SIGKILL`.
    pub(super) signal: Option<String>,
    /// The kernel killed one of its processes for want of memory.
    pub(super) out_of_memory: bool,
    /// Unix time in milliseconds.
    pub(super) at_ms: u64,
}

/// Why a start of a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// By itself.
    ByItself,
    /// It was asked to end, and did so in time.
    Stopped,
    /// It was asked to end, and was killed after its grace time.
    Killed,
    /// The node had no news from the leader for too long, and another node may run it.
    Fenced,
    /// Its shim was killed, and the task with it.
    ShimKilled,
    /// The machine was restarted.
    MachineRestarted,
}

/// Why a task was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotStarted {
    /// It starts nowhere: its program is missing, or no program.
    Failed(String),
    /// It does not start here, and another node may start it: a port is taken, the disk is full.
    Refused(String),
    /// It may start here later: its lease had ended.
    Later(String),
}

/// A command that checks a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    /// What it is called where its result is shown: without secrets.
    pub(super) name: String,
    /// The program and its arguments.
    pub(super) words: Vec<String>,
    /// After which it is killed.
    pub(super) limit: Duration,
}

/// What runs tasks on a node: one folder beside this file for each. It survives the end of the daemon, and finds what it
/// has started before.
#[async_trait]
pub(super) trait Driver: Send + Sync {
    /// Its name in [`disco_store::typed::ServiceSpec::driver`].
    fn name(&self) -> &'static str;

    /// Ends tasks of this data folder of which nothing is left there. To be called once, before anything is started.
    async fn end_orphans(&self) -> Result<()>;

    /// Tasks of which anything is left on this node.
    async fn tasks(&self) -> Result<Vec<u64>>;

    /// The starts of a task that are remembered, the oldest first. Only the last one can be running.
    async fn starts(&self, task: u64) -> Result<Vec<Start>>;

    /// Brings what the task needs to this node, before each start. `shown`: how far that is. Dropping the future ends it, and
    /// the next call continues.
    async fn prepare(&self, order: &Order, shown: &watch::Sender<String>) -> Result<(), NotStarted>;

    /// Starts a task, whose earlier starts have ended. `fence_ms`: it ends when this time of the clock of
    /// [`disco_shim::boottime_ms`] passes, unless [`Self::fence`] moves it before.
    async fn start(&self, order: &Order, number: u64, fence_ms: Option<u64>) -> Result<Start, NotStarted>;

    /// Returns when a start has ended, and how.
    async fn ended(&self, task: u64, number: u64) -> End;

    /// Asks it to end, by its stop signal and after its grace time by a kill. Returns at once.
    async fn stop(&self, task: u64, number: u64) -> Result<()>;

    /// Kills it with whatever keeps it running, which does not answer [`Self::stop`].
    async fn kill(&self, task: u64, number: u64) -> Result<()>;

    /// Moves the time at which it ends by itself.
    async fn fence(&self, task: u64, number: u64, at_ms: u64) -> Result<()>;

    /// Runs a command in the environment of a running task. `Err`: why the task is not healthy.
    async fn check(&self, order: &Order, check: Check) -> Result<(), String>;

    /// Runs a program in the environment of a running task until it has ended, or the client is gone. `Err`: why it was not
    /// started.
    async fn session(&self, order: &Order, session: Session) -> Result<(), String>;

    /// Removes all that is left of a task that does not run.
    async fn remove(&self, task: u64) -> Result<()>;

    /// Gives a running task the secrets and configs of the order's version, and the signal by which it reads them again.
    /// `Err`: why that was not possible.
    async fn reload(&self, order: &Order, number: u64) -> Result<(), String>;

    /// Removes the secrets and configs of all other tasks than these.
    async fn keep_values(&self, tasks: BTreeSet<u64>) -> Result<()>;
}

// === impl NotStarted ===

impl NotStarted {
    /// Why, in words.
    pub(super) fn words(self) -> String {
        match self {
            Self::Failed(why) | Self::Refused(why) | Self::Later(why) => why,
        }
    }
}

// === impl End ===

impl End {
    /// In words.
    pub(super) fn words(&self) -> String {
        match self.cause {
            Cause::Fenced => return "ended, as its node had no news from the leader for too long".to_owned(),
            Cause::ShimKilled => return "its shim was killed".to_owned(),
            Cause::MachineRestarted => return "its machine was restarted".to_owned(),
            _ if self.out_of_memory => return "killed by the kernel: out of memory".to_owned(),
            Cause::Killed => return "killed after its grace time".to_owned(),
            Cause::ByItself | Cause::Stopped => {}
        }
        match (&self.signal, self.code) {
            (Some(signal), _) => format!("ended by {signal}"),
            (None, Some(code)) => format!("exit code {code}"),
            (None, None) => "ended".to_owned(),
        }
    }

    /// Whether it ended as a task that is done.
    pub(super) fn is_success(&self) -> bool {
        self.code == Some(0) && self.cause == Cause::ByItself
    }
}
