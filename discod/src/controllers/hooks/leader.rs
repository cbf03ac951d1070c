//! The hook `leader`: called when this node becomes the leader, and again with each new script version.
//!
//! Its signal is aborted when leadership ends or another version arrives. It then has a short time to end.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use disco_runtime_js::{AbortHandle, Arg, ScriptErrorKind};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cluster::nodes::own;
use crate::controllers::driver::{Controller, Outcome, Schedule};
use crate::node::Leader;
use crate::script::{self, Hook, Scripts, Version};

/// How long the hook may take to end after its signal was aborted.
const GRACE: Duration = Duration::from_secs(5);
/// Pauses before a new call of the hook, after it was cancelled because another hook exceeded a limit.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Script versions begin its passes too.
const PERIOD: Duration = Duration::from_secs(60);

/// Calls the hook `leader` with each version. The call ends when this is dropped.
pub(super) struct LeaderHook {
    scripts: Scripts,
    versions: watch::Receiver<Option<Arc<Version>>>,
    /// The version at the last pass.
    found: Option<Arc<Version>>,
    running: Option<Running>,
}

// === impl LeaderHook ===

impl LeaderHook {
    pub(super) fn new(leader: &Leader, scripts: &Scripts) -> Self {
        Self { scripts: scripts.clone(), versions: leader.scripts().versions(), found: None, running: None }
    }
}

impl Controller for LeaderHook {
    const NAME: &'static str = "leader hook";

    fn schedule(&self, _: &Leader) -> Schedule {
        Schedule { period: PERIOD, on_wake_up: false, on_revision: None, pause: None }
    }

    async fn pass(&mut self, leader: &Leader) -> Result<Outcome> {
        let version = self.versions.borrow_and_update().clone();
        if version.as_ref().map(Arc::as_ptr) == self.found.as_ref().map(Arc::as_ptr) {
            return Ok(Outcome::Settled);
        }
        if let Some(mut running) = self.running.take() {
            running.stop("a new script version was loaded").await;
        }
        self.found.clone_from(&version);
        let version = version.filter(|version| version.has(Hook::Leader.name()));
        self.running = version.map(|version| start(leader, &self.scripts, version));
        Ok(Outcome::Settled)
    }

    async fn event(&mut self) {
        if self.versions.changed().await.is_err() {
            pending().await
        }
    }
}

fn start(leader: &Leader, scripts: &Scripts, version: Arc<Version>) -> Running {
    let signal = AbortHandle::new();
    let task = tokio::spawn(call(leader.clone(), scripts.clone(), version, signal.clone()));
    Running { signal, task }
}

/// A running call. It is aborted when this is dropped, which happens when leadership ends.
struct Running {
    signal: AbortHandle,
    task: JoinHandle<()>,
}

// === impl Running ===

impl Running {
    async fn stop(&mut self, reason: &str) {
        self.signal.abort(reason);
        // The task itself limits the time, and a panic in it was logged.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal.abort("this node no longer leads");
    }
}

async fn call(leader: Leader, scripts: Scripts, version: Arc<Version>, signal: AbortHandle) {
    let name = Hook::Leader.name();
    let mut pause = FIRST_PAUSE;
    loop {
        let args = vec![Arg::Cluster, Arg::Node(own::info(&leader)), Arg::Signal];
        let options = Hook::Leader.options().signal(signal.clone());
        let outcome = tokio::select! {
            biased;
            outcome = scripts.call(&leader, name, args, options) => outcome,
            () = overdue(&signal) => {
                tracing::warn!(target: "script", hook = name, "the hook did not end within {} s after its signal", GRACE.as_secs());
                return;
            }
        };
        match outcome {
            Ok(_) => return leader.scripts().succeeded(name),
            // An exception because of the signal is a normal end.
            Err(_) if signal.is_aborted() => return,
            Err(error) if error.kind == ScriptErrorKind::Cancelled => {
                tracing::info!(target: "script", hook = name, script = version.hash, "the hook is called again: {error}");
            }
            Err(error) => return script::report(&leader, name, &error).await,
        }
        tokio::select! {
            _ = signal.aborted() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn overdue(signal: &AbortHandle) {
    signal.aborted().await;
    tokio::time::sleep(GRACE).await;
}
