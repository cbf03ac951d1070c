//! What this node says of its tasks, and writing it.
//!
//! Only the newest state of a task is written, and only if it differs from the last one: nothing is written periodically. A
//! write that fails is repeated until it succeeds or the task is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use disco_store::Store;
use disco_store::typed::{TaskRecord, TaskStateRecord, Txn, succeeded};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::node::Node;
use crate::records::{self, keys};

/// States that are written in one transaction.
const BATCH: usize = 32;
/// Pauses after a write that came too early, as this node's copy of the cluster's state lags: the first and the longest.
const CONFLICT: Duration = Duration::from_millis(20);
const LAGGING: Duration = Duration::from_secs(1);
/// Pause after a write that failed.
const PAUSE: Duration = Duration::from_millis(300);

/// The states of this node's tasks. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct States(Arc<Inner>);

#[derive(Default)]
struct Inner {
    content: Mutex<Content>,
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Content {
    /// The newest of each task.
    last: BTreeMap<u64, TaskStateRecord>,
    /// Those that are to be written.
    open: BTreeMap<u64, TaskStateRecord>,
    /// Those that are being written.
    writing: BTreeSet<u64>,
}

// === impl States ===

impl States {
    /// What is recorded already.
    pub(super) fn seed(&self, state: Option<TaskStateRecord>) {
        if let Some(state) = state {
            self.0.content.lock().last.entry(state.id).or_insert(state);
        }
    }

    /// The newest state of a task.
    pub(super) fn get(&self, task: u64) -> Option<TaskStateRecord> {
        self.0.content.lock().last.get(&task).cloned()
    }

    /// Sets the state of a task.
    pub(super) fn set(&self, state: TaskStateRecord) {
        {
            let mut content = self.0.content.lock();
            if content.last.get(&state.id) == Some(&state) {
                return;
            }
            tracing::debug!(task = state.id, state = ?state.state, healthy = state.healthy, reason = state.reason, "task");
            content.last.insert(state.id, state.clone());
            content.open.insert(state.id, state);
        }
        self.changed();
    }

    /// What is recorded is newer than what is known here.
    pub(super) fn adopt(&self, state: TaskStateRecord) {
        {
            let mut content = self.0.content.lock();
            content.open.remove(&state.id);
            content.last.insert(state.id, state);
        }
        self.changed();
    }

    /// Compares what is recorded of these tasks with what is known here, which is written where it differs: a state that was
    /// committed just before the daemon was killed may not have been here when it was compared first.
    pub(super) fn compare(&self, recorded: &BTreeMap<u64, Option<TaskStateRecord>>) {
        let differs = {
            let Content { last, open, writing } = &mut *self.0.content.lock();
            let before = open.len();
            for (id, recorded) in recorded {
                if let Some(own) = last.get(id)
                    && recorded.as_ref().is_none_or(|recorded| recorded != own && (own.gone || !recorded.gone))
                    && !writing.contains(id)
                {
                    open.entry(*id).or_insert_with(|| own.clone());
                }
            }
            open.len() > before
        };
        if differs {
            self.changed();
        }
    }

    /// The cluster has forgotten a task.
    pub(super) fn forget(&self, task: u64) {
        {
            let mut content = self.0.content.lock();
            content.last.remove(&task);
            content.open.remove(&task);
        }
        self.changed();
    }

    /// Tasks that have a state here.
    pub(super) fn ids(&self) -> Vec<u64> {
        self.0.content.lock().last.keys().copied().collect()
    }

    /// Changes of any state.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    fn changed(&self) {
        self.0.changes.send_modify(|count| *count += 1);
    }

    fn take(&self) -> Vec<TaskStateRecord> {
        let mut content = self.0.content.lock();
        let ids: Vec<u64> = content.open.keys().copied().take(BATCH).collect();
        content.writing = ids.iter().copied().collect();
        ids.into_iter().filter_map(|id| content.open.remove(&id)).collect()
    }

    /// What was taken is written, or put back.
    fn written(&self) {
        self.0.content.lock().writing.clear();
    }

    /// To be written again, unless there is a newer one.
    fn put_back(&self, states: Vec<TaskStateRecord>) {
        let mut content = self.0.content.lock();
        for state in states {
            if content.last.get(&state.id) == Some(&state) {
                content.open.entry(state.id).or_insert(state);
            }
        }
    }
}

/// Writes states until the process ends, once this node's copy of the cluster's state is newer than its start (`confirmed`).
pub(super) async fn write(node: Node, states: States, mut confirmed: watch::Receiver<bool>) {
    if confirmed.wait_for(|confirmed| *confirmed).await.is_err() {
        return;
    }
    let mut changes = states.changes();
    let mut revisions = node.raft().store().revisions();
    let (mut logged, mut pause) = (false, CONFLICT);
    loop {
        states.written();
        changes.mark_unchanged();
        revisions.mark_unchanged();
        let batch = states.take();
        if batch.is_empty() {
            if changes.changed().await.is_err() {
                return;
            }
            continue;
        }
        match write_all(&node, &batch).await {
            Ok(true) => (logged, pause) = (false, CONFLICT),
            Ok(false) => {
                // The leader has changed the record of one of them meanwhile, which arrives here soon.
                for state in batch {
                    if !matches!(write_all(&node, std::slice::from_ref(&state)).await, Ok(true)) {
                        states.put_back(vec![state]);
                    }
                }
                states.written();
                // Each attempt is an entry of the cluster's log: before the record is here, a further one fails as well.
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LAGGING);
                let _nothing_new = tokio::time::timeout(LAGGING, revisions.changed()).await;
            }
            Err(error) => {
                // A night without a quorum would displace all other lines from memory.
                if !std::mem::replace(&mut logged, true) {
                    tracing::warn!(error, "cannot record the states of tasks");
                }
                states.put_back(batch);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Writes the states of those tasks that exist. False if one of them was changed or deleted at the same time.
async fn write_all(node: &Node, states: &[TaskStateRecord]) -> Result<bool, String> {
    let txn = node.raft().store().read(|store| {
        states.iter().fold(Txn::new(), |txn, state| {
            let key = keys::task(state.id);
            match records::get::<TaskRecord>(store, &key) {
                // This daemon began before it was here that the task is over for good.
                Some(_) if !state.gone && recorded_gone(store, state.id) => txn,
                // Otherwise the state would stay for ever.
                Some(task) => txn.expect(&key, task.revision).put(&keys::task_state(state.id), state),
                None => txn,
            }
        })
    });
    if txn.is_empty() {
        return Ok(true);
    }
    node.write(txn.operation()).await.map(|response| succeeded(&response)).map_err(|error| error.to_string())
}

fn recorded_gone(store: &Store, task: u64) -> bool {
    records::get::<TaskStateRecord>(store, &keys::task_state(task)).is_some_and(|state| state.value.gone)
}

#[cfg(test)]
mod tests {
    use disco_store::typed::TaskState;

    use super::*;

    fn state(id: u64, state: TaskState) -> TaskStateRecord {
        TaskStateRecord::new(id, 1, state)
    }

    #[test]
    fn only_the_newest_state_is_written_and_only_if_it_differs() {
        let states = States::default();
        states.seed(Some(state(1, TaskState::Running)));
        states.set(state(1, TaskState::Running));
        assert!(states.take().is_empty());
        states.set(state(1, TaskState::Stopping));
        states.set(state(1, TaskState::Stopped));
        assert_eq!(states.take(), [state(1, TaskState::Stopped)]);
        assert!(states.take().is_empty());
    }

    #[test]
    fn what_is_recorded_otherwise_is_written_again() {
        let states = States::default();
        let recorded = |found: Option<TaskState>| BTreeMap::from([(1, found.map(|found| state(1, found)))]);
        states.set(state(1, TaskState::Running));
        let batch = states.take();
        states.compare(&recorded(None));
        assert!(states.take().is_empty(), "it is being written");
        states.written();
        states.compare(&recorded(Some(TaskState::Running)));
        assert!(states.take().is_empty(), "it is written");
        for found in [None, Some(TaskState::Stopped)] {
            states.compare(&recorded(found));
            assert_eq!(states.take(), batch);
            states.written();
        }
        states.compare(&BTreeMap::from([(1, Some(TaskStateRecord { gone: true, ..state(1, TaskState::Failed) }))]));
        assert!(states.take().is_empty(), "what is over for good stays so");
        // Of a task that this daemon knows nothing of.
        states.compare(&BTreeMap::from([(2, None)]));
        assert!(states.take().is_empty());
    }

    #[test]
    fn a_failed_write_is_repeated_unless_it_is_outdated() {
        let states = States::default();
        states.set(state(1, TaskState::Running));
        let batch = states.take();
        states.put_back(batch.clone());
        assert_eq!(states.take(), batch);
        states.set(state(1, TaskState::Stopped));
        states.put_back(batch.clone());
        assert_eq!(states.take(), [state(1, TaskState::Stopped)]);
        states.forget(1);
        states.put_back(batch);
        assert!(states.take().is_empty());
    }
}
