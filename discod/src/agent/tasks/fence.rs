//! The lease of this node's singletons.
//!
//! A singleton ends by itself when its lease does (its shim sees to that, whatever happens to the daemon), and the leader starts
//! another one only after that time. So the lease may count only from a moment at which the leader that accepted this node's
//! report really led: after each accepted report the node has a majority confirm the leader. A leader that is cut off
//! accepts reports for a while, and no majority confirms it.

use tokio::sync::watch;

use crate::cluster::workloads::fence::lease;
use crate::node::Node;

/// A report that a leader accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::agent) struct Accepted {
    /// When it was sent, by the clock of [`disco_shim::boottime_ms`].
    pub(in crate::agent) sent_ms: u64,
    /// The node that accepted it, which may be this one.
    pub(in crate::agent) leader: u64,
}

/// Renews the lease until the process ends. `needed`: this node has singletons.
pub(super) async fn run(
    node: Node,
    mut accepted: watch::Receiver<Accepted>,
    needed: watch::Receiver<bool>,
    lease_ms: watch::Sender<u64>,
) {
    let length = u64::try_from(lease(node.raft().pace()).as_millis()).unwrap_or(0);
    loop {
        if accepted.changed().await.is_err() {
            return;
        }
        if !*needed.borrow() {
            continue;
        }
        let Accepted { sent_ms, leader } = *accepted.borrow_and_update();
        let limit = node.raft().pace().request_timeout();
        if let Err(error) = node.raft().read_barrier(limit).await {
            tracing::debug!(%error, "no majority confirms the leader: the leases of singletons are not renewed");
            continue;
        }
        if node.raft().leadership().borrow().leader == Some(leader) {
            lease_ms.send_replace(sent_ms + length);
        }
    }
}
