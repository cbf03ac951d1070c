//! The records of nodes and machines at one revision of the store.

use std::collections::BTreeMap;

use disco_store::Store;

use crate::records::{self, HealthRecord, MachineRecord, NodeRecord, Records, machine_state};

/// The records from which the state of the cluster is derived, decoded once for a revision.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// The store's revision.
    revision: i64,
    /// Nodes, by their keys.
    pub nodes: Vec<NodeRecord>,
    /// Machines, by their keys.
    pub machines: Vec<MachineRecord>,
    /// The last verdicts of nodes' health hooks.
    pub health: BTreeMap<u64, HealthRecord>,
    /// The target size, if one was set.
    pub desired: Option<u32>,
}

// === impl Recorded ===

impl Recorded {
    /// The records now.
    #[must_use]
    pub fn read(store: &Store) -> Self {
        let health = records::nodes_with_health(store).into_iter();
        Self {
            revision: store.revision(),
            nodes: records::nodes(store),
            machines: records::machines(store),
            health: health.filter_map(|id| Some((id, records::health(store, id)?))).collect(),
            desired: records::desired_nodes(store),
        }
    }

    /// Decodes the records again if the store has changed since. Returns whether it has.
    pub fn follow(&mut self, records: &impl Records) -> bool {
        records.read(|store| {
            let changed = store.revision() != self.revision;
            if changed {
                *self = Self::read(store);
            }
            changed
        })
    }

    /// A node's record.
    #[must_use]
    pub fn node(&self, id: u64) -> Option<&NodeRecord> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// Machines that are ending.
    pub fn ending(&self) -> impl Iterator<Item = &MachineRecord> {
        self.machines.iter().filter(|machine| machine.state == machine_state::TERMINATING)
    }

    /// Machines that have not become nodes yet.
    pub fn in_progress(&self) -> impl Iterator<Item = &MachineRecord> {
        let ending = machine_state::TERMINATING;
        self.machines.iter().filter(move |machine| machine.node.is_none() && machine.state != ending)
    }

    /// Whether a node is being removed.
    #[must_use]
    pub fn is_any_leaving(&self) -> bool {
        self.nodes.iter().any(|node| node.leaving)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{FakeRecords, keys};

    #[test]
    fn records_are_decoded_once_for_each_revision() {
        let records = FakeRecords::default();
        records.put(&keys::node(1), &NodeRecord { id: 1, leaving: true, ..NodeRecord::default() });
        let mut recorded = Recorded::default();
        assert!(recorded.follow(&records) && !recorded.follow(&records));
        assert!(recorded.is_any_leaving() && recorded.node(1).is_some() && recorded.node(2).is_none());
        let machine = |token: &str, state: &str, node| MachineRecord {
            token: token.to_owned(),
            state: state.to_owned(),
            node,
            ..MachineRecord::default()
        };
        records.put(&keys::machine("a"), &machine("a", machine_state::TERMINATING, None));
        records.put(&keys::machine("b"), &machine("b", machine_state::INSTALLING, None));
        records.put(&keys::machine("c"), &machine("c", machine_state::JOINED, Some(3)));
        records.put(keys::DESIRED_NODES, &3_u32);
        assert!(recorded.follow(&records) && !recorded.follow(&records));
        let tokens = |machines: Vec<&MachineRecord>| machines.iter().map(|one| one.token.clone()).collect::<Vec<_>>();
        assert_eq!(tokens(recorded.ending().collect()), ["a"]);
        assert_eq!(tokens(recorded.in_progress().collect()), ["b"]);
        assert_eq!(recorded.desired, Some(3));
    }
}
