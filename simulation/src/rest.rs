//! Whether the cluster has come to rest.

use openraft::async_runtime::watch::WatchReceiver;

use crate::cluster::Cluster;
use crate::events::Print;
use crate::invariants::{self, NodeState, Violation};
use crate::node::HostState;
use crate::storage;

/// `Err` with the missing condition.
pub fn check(cluster: &Cluster) -> Result<(), Violation> {
    let mut nodes = Vec::new();
    for host in &cluster.hosts {
        match look(&host.state.lock()) {
            Some(node) => nodes.push(node),
            None => {
                let seen = format!("nothing runs on {}", host.name);
                return Err(Violation { invariant: "convergence", seen });
            }
        }
    }
    invariants::check_rest(&nodes)
}

fn look(state: &HostState) -> Option<NodeState> {
    let process = state.process.as_ref()?;
    let leadership = process.leadership();
    let metrics = process.raft.raft().metrics();
    let metrics = metrics.borrow_watched();
    let membership = metrics.membership_config.membership();
    Some(NodeState {
        id: process.id,
        leads: leadership.own_term.is_some(),
        leader: leadership.leader,
        last: metrics.last_log_index,
        applied: metrics.last_applied.map(|id| id.index),
        voters: membership.get_joint_config().clone(),
        members: membership.nodes().map(|(id, _)| *id).collect(),
        store: Print::of(&storage::encode(&process.raft.store().copy()).ok()?),
        verdict: state.verdict.clone(),
    })
}
