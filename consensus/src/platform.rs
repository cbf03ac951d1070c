//! What a node runs on.

use std::future::Future;
use std::time::Duration;

use disco_planner::twins::Life;
use openraft::RaftNetworkFactory;
use openraft::async_runtime::AsyncRuntime;
use openraft::storage::RaftStateMachine;

use super::disk::Disk;
use super::types::TypeConfig;

/// A runtime, a disk and a network.
pub trait Platform: Sized + 'static {
    /// Spawns tasks, and draws the random times of elections. Time is tokio's.
    type Runtime: AsyncRuntime;
    /// Keeps the log and the snapshots.
    type Disk: Disk;
    /// Applies the log's entries: [`StateMachine`](super::StateMachine), or one that observes it.
    type Machine: RaftStateMachine<TypeConfig<Self::Runtime>, SnapshotData = <Self::Disk as Disk>::Snapshot>;
    /// Reaches the other nodes.
    type Transport: Transport<Self::Runtime>;
}

/// The way to the other nodes. Cheap to clone. openraft's own messages go through the connections that it makes
/// ([`RaftNetworkFactory`]).
pub trait Transport<R: AsyncRuntime>: RaftNetworkFactory<TypeConfig<R>> + Clone + Send + Sync + 'static {
    /// Takes note of a node's address in the membership, which may have changed.
    fn set_address(&self, node: u64, address: &str);

    /// The address to use for a node whose address in the membership is `recorded`.
    fn resolve(&self, node: u64, recorded: &str) -> String;

    /// The leader's read index; the caller limits the time.
    ///
    /// # Errors
    /// Why: the node does not lead, has no quorum, or was not reached.
    fn read_index(&self, leader: u64, address: &str) -> impl Future<Output = Result<u64, String>> + Send;

    /// The start of the node that answers on a new connection to the address within the limit. `None` if none answers,
    /// or another node.
    fn identify(&self, node: u64, address: &str, limit: Duration) -> impl Future<Output = Option<Life>> + Send;
}
