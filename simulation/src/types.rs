//! openraft's type configuration: the daemon's, with a runtime whose randomness is a function of the seed.

pub use disco_consensus::types::{Entry, LogId, SnapshotMeta, StoredMembership, Vote};
use disco_consensus::{Platform, types};
use openraft::rt::deterministic_rng::DeterministicRng;
use openraft_rt_tokio::TokioRuntime;

use crate::network::Network;
use crate::storage::{Machine, NodeDisk};

/// Spawning and waiting with task-local seeded randomness.
pub type Runtime = DeterministicRng<TokioRuntime>;

/// openraft's types here.
pub type TypeConfig = types::TypeConfig<Runtime>;
/// A snapshot's bytes, in memory.
pub type SnapshotBytes = std::sync::Arc<[u8]>;
pub type Snapshot = types::Snapshot<crate::storage::Snapshot>;

/// A machine of the simulation.
pub struct Simulated;

/// A node's Raft on it: the daemon's.
pub type RaftNode = disco_consensus::RaftNode<Simulated>;

impl Platform for Simulated {
    type Runtime = Runtime;
    type Disk = NodeDisk;
    type Machine = Machine;
    type Transport = Network;
}

/// A leadership: the term and the node, in openraft's order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leader {
    /// Raft's term.
    pub term: u64,
    /// The node. Of two leaders of one term the one with the higher id came later.
    pub node: u64,
}

/// An entry's place: index and the leader that made it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Index in the log.
    pub index: u64,
    /// The leader that made it.
    pub leader: Leader,
}

/// The place of a log id.
pub fn place(id: &LogId) -> Place {
    let leader = id.committed_leader_id();
    Place { index: id.index, leader: Leader { term: leader.term, node: leader.node_id } }
}

/// The leader that a vote is for.
pub fn leader_of(vote: &Vote) -> Leader {
    Leader { term: vote.leader_id.term, node: vote.leader_id.node_id }
}

// === impl Leader, Place ===

impl std::fmt::Debug for Leader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "t{}n{}", self.term, self.node)
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{:?}", self.index, self.leader)
    }
}
