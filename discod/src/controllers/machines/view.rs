//! The records and the members as a pass of the machines controller sees them.

use std::time::Duration;

use disco_planner::repair::{Machine, Stage};
use disco_planner::{Member, Policy};
use disco_store::Store;

use super::leading::Leading;
use crate::cluster::machines::view::{machine, since_replacement};
use crate::records::{self, MachineRecord, NodeRecord};

/// The target size, and the revision of its record; `None`: none was set yet.
pub(super) fn target(store: &Store) -> Option<(usize, i64)> {
    let target = records::get::<u32>(store, records::keys::DESIRED_NODES)?;
    Some((target.value as usize, target.revision))
}

/// What the machines have become.
pub(super) struct Seen {
    /// All machines, as decisions see them.
    pub(super) machines: Vec<Machine>,
    /// Time since a machine was requested to replace a dead node.
    pub(super) replaced: Option<Duration>,
}

// === impl Seen ===

impl Seen {
    pub(super) fn look(leader: &impl Leading) -> Self {
        let records = leader.read(records::machines);
        Self { machines: records.iter().map(machine).collect(), replaced: since_replacement(&records) }
    }

    /// Whether nothing is missing, and nothing too many.
    pub(super) fn is_settled(&self, desired: usize, members: &[Member], limits: &Policy) -> bool {
        members.len() == desired
            && self.machines.iter().all(|machine| matches!(machine.stage, Stage::Joined(_)))
            && members.iter().all(|member| !member.is_lost(limits))
    }
}

/// Machines that are not recorded as joined, with the records of their nodes, which are members.
pub(super) fn joined(leader: &impl Leading) -> Vec<(MachineRecord, NodeRecord)> {
    let (nodes, machines) = leader.read(|store| (records::nodes(store), records::machines(store)));
    let members = leader.members();
    let of = |machine: MachineRecord| {
        let node = nodes.iter().find(|node| node.machine == machine.id)?;
        members.iter().any(|member| member.id == node.id).then(|| (machine, node.clone()))
    };
    machines.into_iter().filter(|machine| machine.node.is_none() && !machine.id.is_empty()).filter_map(of).collect()
}

/// The node to remove next: one that already leaves is one of the surplus nodes, and goes before another one is chosen.
pub(super) fn next_to_leave(store: &Store, chosen: u64) -> u64 {
    records::nodes(store).iter().find(|node| node.leaving).map_or(chosen, |node| node.id)
}

/// Whether the node was marked for its removal, which is not complete.
pub(super) fn leaves(store: &Store, id: u64) -> bool {
    records::node(store, id).is_some_and(|node| node.leaving)
}

/// The display name of a node.
pub(super) fn name_of(store: &Store, id: u64) -> String {
    records::node(store, id).map_or_else(|| format!("node {id}"), |record| record.name)
}
