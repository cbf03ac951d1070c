//! The tasks of a node that leaves: others take their place first.

use std::collections::BTreeSet;
use std::time::Duration;

use disco_store::Store;
use tokio::time::Instant;

use crate::cluster::workloads::fence;
use crate::node::Leader;
use crate::records::{self, TaskRecord, TaskStateRecord, keys};

/// The state of a node that leaves while its tasks move, as reported to clients.
pub const MOVING: &str = "moving its tasks to other nodes";
/// Tasks that no other node can take end with the node after this time.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Whether a node that reports has tasks that are not gone.
#[must_use]
pub fn has_tasks(leader: &Leader, id: u64) -> bool {
    let reports = leader.reports();
    let silent_for = reports.heard_at(id).map_or_else(|| reports.listening_for(), |heard| heard.elapsed());
    let is_lost = id != leader.id() && silent_for >= fence::lost_after(leader.raft().pace());
    !is_lost && leader.raft().store().read(|store| runs(store, id))
}

/// Waits until the tasks of a node that leaves are gone, for a limited time.
pub async fn end(leader: &Leader, id: u64) {
    let (begun, mut revisions) = (Instant::now(), leader.raft().store().revisions());
    while !leader.has_ended() && begun.elapsed() < LIMIT && has_tasks(leader, id) {
        // A node that is lost changes no revision.
        let _ = tokio::time::timeout(leader.raft().pace().report(), revisions.changed()).await;
    }
}

fn runs(store: &Store, id: u64) -> bool {
    let states = records::list::<TaskStateRecord>(store, keys::TASK_STATES);
    let gone: BTreeSet<u64> = states.into_iter().filter(|state| state.value.gone).map(|state| state.value.id).collect();
    let tasks = records::list::<TaskRecord>(store, keys::TASKS);
    tasks.into_iter().any(|task| task.value.node == id && !gone.contains(&task.value.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::FakeRecords;

    #[test]
    fn only_tasks_of_the_node_that_are_not_gone_are_waited_for() {
        let records = FakeRecords::default();
        let runs = |id: u64| crate::records::Records::read(&records, |store| super::runs(store, id));
        assert!(!runs(2));
        let task = serde_json::json!({
            "id": 1001, "stack": "shop", "service": "web", "group": 1, "index": 1, "node": 2, "ports": [],
            "needs": { "cpu_millis": 0, "memory": 0 }, "goal": "run", "since": "", "why": "",
        });
        records.put(&keys::task(1001), &task);
        assert!(runs(2) && !runs(3));
        let state = serde_json::json!({ "id": 1001, "node": 2, "state": "stopped", "healthy": false, "gone": true });
        records.put(&keys::task_state(1001), &state);
        assert!(!runs(2));
    }
}
