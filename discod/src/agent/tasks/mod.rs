//! The tasks of this node: what the cluster has placed here is made so, and what becomes of it is recorded.
//!
//! ```text
//!  records of tasks ──> reconcile ──goal──> actor ──> driver ──> shim ──> task
//!                                             │ ^
//!  records of states <── states <─────────────┘ └── probes, lease of singletons
//! ```
//!
//! Level-triggered: the records, what the driver finds on disk, and what was recorded last are all that counts, so that a
//! restart of the daemon at any moment changes nothing for a task. One actor for each task that is not over.
//!
//! Invariants:
//! - Nothing is started or removed before this node's copy of the cluster's state is known to be newer than the daemon's
//!   start. Until then, what runs is adopted, and ended only if its record says so.
//! - A task that is over for good (`gone`) is never started again; its folder stays until its record is deleted.

mod actor;
mod capacity;
mod contents;
mod decide;
mod driver;
mod fence;
mod health;
mod prepare;
mod probes;
mod process;
mod sessions;
mod states;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use disco_store::prefix_end;
use disco_store::typed::{Goal, GroupRecord, TaskRecord, TaskState, TaskStateRecord};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use self::actor::Context;
use self::contents::ClusterContents;
use self::driver::{Driver, Order};
use self::process::{Fetch, Fetching, Process, Program};
use self::states::States;
use crate::cluster::secrets;
use crate::cluster::tasks::Session;
use crate::node::Node;
use crate::records::{self, keys};

pub(super) use self::fence::Accepted;
pub(super) use self::process::end_all;

/// The longest time between two passes.
const PERIOD: Duration = Duration::from_secs(10);
/// How long changes are collected before a pass.
const COLLECT: Duration = Duration::from_millis(5);
/// How long the folder of a task stays that the cluster has forgotten.
const LINGER: Duration = Duration::from_secs(3);
/// Pause after a failure.
const AGAIN: Duration = Duration::from_millis(500);

/// Runs this node's tasks until the process ends. `accepted`: reports that a leader has accepted. `removed`: the cluster has
/// removed this node. `sessions`: programs that clients run beside tasks.
pub(super) async fn run(
    node: Node,
    accepted: watch::Receiver<Accepted>,
    removed: watch::Receiver<bool>,
    sessions: mpsc::Receiver<Session>,
) {
    let (confirmed, lease_ms, needed) = (watch::Sender::new(false), watch::Sender::new(0), watch::Sender::new(false));
    let states = States::default();
    tokio::spawn(states::write(node.clone(), states.clone(), confirmed.subscribe()));
    tokio::spawn(capacity::run(node.clone()));
    let (looked, recording, versions) = (node.clone(), node.clone(), node.clone());
    let context = Context {
        driver: driver(&node),
        states,
        confirmed: confirmed.subscribe(),
        lease_ms: lease_ms.subscribe(),
        // A daemon that is about to stop starts nothing.
        look: Arc::new(move |id| (!looked.is_draining()).then(|| own(&looked, id)).flatten()),
        recorded: Arc::new(move |id| recorded(&recording, id)),
        version: Arc::new(move |id| version(&versions, id)),
        address: node.address().ip().to_string(),
        probes: node.probes().clone(),
    };
    tokio::spawn(sessions::run(node.clone(), context.driver.clone(), sessions));
    if let Err(error) = context.driver.end_orphans().await {
        tracing::error!(error = format!("{error:#}"), "cannot look for tasks whose folders were removed");
    }
    tokio::spawn(confirm(node.clone(), confirmed.clone()));
    tokio::spawn(fence::run(node.clone(), accepted, needed.subscribe(), lease_ms));
    Agent {
        node,
        context,
        confirmed,
        removed,
        needed,
        actors: BTreeMap::new(),
        leftovers: BTreeSet::new(),
        ended: JoinSet::new(),
        seen: 0,
    }
    .run()
    .await;
}

fn driver(node: &Node) -> Arc<dyn Driver> {
    let cluster: String = node.cluster_id().to_string().chars().take(8).collect();
    let name = format!("{cluster}-{}", node.id());
    let own = node.clone();
    let fetch: Fetch = Arc::new(move |task, group| -> Fetching {
        let node = own.clone();
        Box::pin(async move { secrets::fetch(&node, task, group).await })
    });
    let (artifacts, contents) = (node.artifacts().clone(), Arc::new(ClusterContents(node.clone())));
    Arc::new(Process::new(node.home().path(), name, Program::own(), artifacts, contents, fetch))
}

/// The record of a task of this node.
fn own(node: &Node, task: u64) -> Option<TaskRecord> {
    let record = node.raft().store().read(|store| records::get::<TaskRecord>(store, &keys::task(task)));
    record.map(|record| record.value).filter(|task| task.node == node.id())
}

/// The state of a task, as it is recorded.
fn recorded(node: &Node, task: u64) -> Option<TaskStateRecord> {
    let record = node.raft().store().read(|store| records::get::<TaskStateRecord>(store, &keys::task_state(task)));
    record.map(|record| record.value)
}

/// A version of a service.
fn version(node: &Node, group: u64) -> Option<GroupRecord> {
    let record = node.raft().store().read(|store| records::get::<GroupRecord>(store, &keys::group(group)));
    record.map(|record| record.value)
}

/// Returns when this node's copy of the cluster's state is newer than the call.
async fn confirm(node: Node, confirmed: watch::Sender<bool>) {
    while let Err(error) = node.raft().read_barrier(node.raft().pace().request_timeout()).await {
        tracing::debug!(%error, "the tasks of this node wait for the cluster");
        tokio::time::sleep(AGAIN).await;
    }
    confirmed.send_replace(true);
}

struct Agent {
    node: Node,
    context: Context,
    /// See [`Context::confirmed`].
    confirmed: watch::Sender<bool>,
    /// The cluster has removed this node: nothing may run here, whatever its old copy of the state says.
    removed: watch::Receiver<bool>,
    /// Whether this node has singletons.
    needed: watch::Sender<bool>,
    actors: BTreeMap<u64, Actor>,
    /// Tasks without a record that are being removed.
    leftovers: BTreeSet<u64>,
    /// Actors and removals, by the task.
    ended: JoinSet<u64>,
    /// Revision up to which changes of tasks were taken into account; 0: none.
    seen: i64,
}

struct Actor {
    goal: watch::Sender<Option<Goal>>,
    singleton: bool,
    /// The version of the service that the actor was last woken for.
    group: u64,
}

// === impl Agent ===

impl Agent {
    async fn run(mut self) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut revisions = self.node.raft().store().revisions();
        let (mut confirmed, mut removed) = (self.context.confirmed.clone(), self.removed.clone());
        loop {
            let mut compare = false;
            let pass = tokio::select! {
                biased;
                _ = ticks.tick() => {
                    compare = true;
                    true
                }
                Ok(()) = removed.changed() => true,
                Ok(()) = confirmed.changed() => {
                    compare = true;
                    true
                }
                Some(ended) = self.ended.join_next() => {
                    self.note_ended(ended);
                    true
                }
                Ok(()) = revisions.changed() => {
                    tokio::time::sleep(COLLECT).await;
                    revisions.mark_unchanged();
                    self.has_changed()
                }
            };
            if pass && let Err(error) = self.pass(compare).await {
                tracing::error!(error = format!("{error:#}"), "cannot compare this node's tasks with the records");
            }
        }
    }

    /// Whether a record of a task was changed since the last pass. Most revisions are of other keys.
    fn has_changed(&mut self) -> bool {
        let (key, end) = (keys::TASKS.as_bytes(), prefix_end(keys::TASKS.as_bytes()));
        let seen = self.seen;
        let history = self.node.raft().store().read(|store| store.history(seen + 1, key, &end, 1));
        match history {
            Ok(history) if seen > 0 && history.revisions.is_empty() => {
                self.seen = history.next - 1;
                false
            }
            _ => true,
        }
    }

    fn note_ended(&mut self, ended: Result<u64, tokio::task::JoinError>) {
        match ended {
            Ok(id) => {
                self.actors.remove(&id);
                self.leftovers.remove(&id);
            }
            Err(error) => {
                tracing::error!(%error, "the actor of a task has ended");
                self.actors.retain(|_, actor| !actor.goal.is_closed());
            }
        }
    }

    /// Compares the records with what runs; with `compare`, also those of states with what is known here: rarely, as what was just
    /// written arrives here a moment later.
    async fn pass(&mut self, compare: bool) -> Result<()> {
        let id = self.node.id();
        let confirmed = *self.context.confirmed.borrow();
        let (revision, tasks) = self.node.raft().store().read(|store| {
            let all = records::list::<TaskRecord>(store, keys::TASKS).into_iter().map(|task| task.value);
            (store.revision(), all.filter(|task| task.node == id).map(|task| (task.id, task)).collect())
        });
        let mut tasks: BTreeMap<u64, TaskRecord> = tasks;
        self.seen = revision;
        let removed = *self.removed.borrow_and_update();
        if removed {
            tasks.clear();
        }
        for (id, actor) in &mut self.actors {
            let task = tasks.get(id);
            let (goal, group) = (task.map(|task| task.goal), task.map_or(actor.group, |task| task.group));
            let is_other = std::mem::replace(&mut actor.group, group) != group;
            actor.goal.send_if_modified(|known| std::mem::replace(known, goal) != goal || is_other);
        }
        if removed {
            // After the goals: no actor sees this with its old one.
            self.confirmed.send_if_modified(|confirmed| !std::mem::replace(confirmed, true));
        }
        for task in tasks.values() {
            self.begin(task);
        }
        if confirmed && compare {
            let recorded = tasks.keys().map(|id| (*id, recorded(&self.node, *id))).collect();
            self.context.states.compare(&recorded);
        }
        if confirmed {
            self.clean(&tasks).await?;
        }
        let needed = self.actors.values().any(|actor| actor.singleton);
        self.needed.send_if_modified(|known| std::mem::replace(known, needed) != needed);
        Ok(())
    }

    /// Starts the actor of a task that has none and is not over.
    fn begin(&mut self, task: &TaskRecord) {
        let id = task.id;
        if self.actors.contains_key(&id) || self.leftovers.contains(&id) {
            return;
        }
        let (state, group) = self.node.raft().store().read(|store| {
            let state = records::get::<TaskStateRecord>(store, &keys::task_state(id));
            (state, records::get::<GroupRecord>(store, &keys::group(task.group)))
        });
        self.context.states.seed(state.map(|state| state.value));
        if self.context.states.get(id).is_some_and(|state| state.gone) {
            return;
        }
        let Some(group) = group else {
            return tracing::error!(task = id, group = task.group, "the version of a task is missing");
        };
        let group = group.value;
        if group.spec.driver != self.context.driver.name() {
            let reason = format!("this node has no driver `{}`", group.spec.driver);
            return self.context.states.set(refused(task, reason));
        }
        let singleton = group.spec.singleton;
        let goal = watch::Sender::new(Some(task.goal));
        let order = order(&self.node, task.clone(), group);
        let (context, goals) = (self.context.clone(), goal.subscribe());
        self.ended.spawn(async move {
            actor::run(context, order, goals).await;
            id
        });
        self.actors.insert(id, Actor { goal, singleton, group: task.group });
    }

    /// Removes what is left of tasks that the cluster has forgotten.
    async fn clean(&mut self, tasks: &BTreeMap<u64, TaskRecord>) -> Result<()> {
        for id in self.context.states.ids() {
            if !tasks.contains_key(&id) && !self.actors.contains_key(&id) {
                self.context.states.forget(id);
            }
        }
        self.context.driver.keep_values(self.actors.keys().copied().collect()).await?;
        for id in self.context.driver.tasks().await? {
            let known = tasks.contains_key(&id) || self.actors.contains_key(&id);
            if known || !self.leftovers.insert(id) {
                continue;
            }
            let driver = self.context.driver.clone();
            self.ended.spawn(async move {
                while let Err(error) = remove(&*driver, id).await {
                    tracing::warn!(task = id, error = format!("{error:#}"), "cannot remove a task");
                    tokio::time::sleep(AGAIN).await;
                }
                id
            });
        }
        Ok(())
    }
}

/// Ends a task without a record, and removes it.
async fn remove(driver: &dyn Driver, id: u64) -> Result<()> {
    if let Some(last) = driver.starts(id).await?.pop().filter(|last| last.end.is_none()) {
        tracing::info!(task = id, "ending a task that the cluster has forgotten");
        driver.stop(id, last.number).await?;
        driver.ended(id, last.number).await;
    }
    // Those who follow its output read what it printed last.
    tokio::time::sleep(LINGER).await;
    driver.remove(id).await
}

/// A task of this node as it is run.
fn order(node: &Node, task: TaskRecord, group: GroupRecord) -> Order {
    Order { task, group: Arc::new(group), node: node.name().to_owned(), address: address(node) }
}

/// The address to which tasks bind: that of the daemon itself.
fn address(node: &Node) -> IpAddr {
    let listen = node.args().listen.ip();
    if listen.is_unspecified() { node.address().ip() } else { listen }
}

fn refused(task: &TaskRecord, reason: String) -> TaskStateRecord {
    TaskStateRecord { reason, refused: true, gone: true, ..TaskStateRecord::new(task.id, task.node, TaskState::Failed) }
}
