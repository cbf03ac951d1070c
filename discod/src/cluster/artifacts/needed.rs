//! The contents that this node needs, and those that the cluster needs.

use std::collections::BTreeSet;

use disco_proto::v1::RangeRequest;
use disco_store::{Store, prefix_range};

use super::is_voter;
use crate::local::artifacts::Content;
use crate::node::Node;
use crate::records::{self, GroupRecord, TaskRecord, keys};

/// Those of all versions of services, of which a rollback may need any, on a voter; those of this node's tasks on others.
/// `None`: a version cannot be read, and what it needs is unknown.
#[must_use]
pub fn needed(node: &Node) -> Option<BTreeSet<Content>> {
    let (is_voter, id) = (is_voter(node), node.id());
    node.raft().store().read(|store| if is_voter { all(store) } else { of_tasks(store, id) })
}

/// Those of all versions of services, which no node removes: one that was a voter until now may have the only copy.
/// `None`: a version cannot be read, and what it needs is unknown.
#[must_use]
pub fn referred(node: &Node) -> Option<BTreeSet<Content>> {
    node.raft().store().read(all)
}

fn all(store: &Store) -> Option<BTreeSet<Content>> {
    contents(store, |_| true)
}

fn of_tasks(store: &Store, node: u64) -> Option<BTreeSet<Content>> {
    let tasks = records::list::<TaskRecord>(store, keys::TASKS).into_iter().map(|task| task.value);
    let own: BTreeSet<u64> = tasks.filter(|task| task.node == node).map(|task| task.group).collect();
    contents(store, |group| own.contains(&group.id))
}

fn contents(store: &Store, is_used: impl Fn(&GroupRecord) -> bool) -> Option<BTreeSet<Content>> {
    let groups = records::list::<GroupRecord>(store, keys::GROUPS);
    let count = store.range(&RangeRequest { count_only: true, ..prefix_range(keys::GROUPS) }).map(|found| found.count);
    if count.ok() != i64::try_from(groups.len()).ok() {
        return None;
    }
    let used = groups.iter().map(|group| &group.value).filter(|group| is_used(group));
    let files = used.filter_map(|group| group.spec.process.as_ref()).flat_map(|process| &process.files);
    Some(files.map(Content::from).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::records::{FakeRecords, Records};

    fn group(id: u64, sha256: &str) -> serde_json::Value {
        let file = json!({ "path": "app", "sha256": sha256, "size": 1, "mode": 0o755 });
        json!({
            "id": id, "stack": "shop", "service": "web", "deployment": 1, "hash": "sha256:1",
            "spec": {
                "driver": "process", "stop_signal": "SIGTERM", "stop_grace_ms": 1,
                "process": { "program": "app", "files": [file] },
            },
        })
    }

    #[test]
    fn a_node_without_tasks_needs_nothing_and_removes_nothing_of_a_version() {
        let records = FakeRecords::default();
        records.put(&format!("{}1", keys::GROUPS), &group(1, "a"));
        records.put(&format!("{}2", keys::GROUPS), &group(2, "b"));
        let hashes = |contents: Option<BTreeSet<Content>>| -> Vec<String> {
            contents.expect("readable").into_iter().map(|content| content.sha256).collect()
        };
        assert!(hashes(records.read(|store| of_tasks(store, 4))).is_empty());
        assert_eq!(hashes(records.read(all)), ["a", "b"]);
        records.put(&format!("{}3", keys::GROUPS), &json!({ "id": "unknown" }));
        assert_eq!(records.read(all), None);
    }
}
