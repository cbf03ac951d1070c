//! How far a node's log is.

use openraft::async_runtime::watch::WatchReceiver;

use super::node::RaftNode;
use super::platform::Platform;

/// Indexes of a node's log; 0: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Of the last entry.
    pub last: u64,
    /// Of the last entry that this node knows to be committed.
    pub committed: u64,
    /// Of the last entry that this node has applied.
    pub applied: u64,
    /// Of the last entry that its newest snapshot covers.
    pub snapshot: u64,
}

// === impl RaftNode ===

impl<P: Platform> RaftNode<P> {
    /// How far this node's log is now.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        Progress {
            last: metrics.last_log_index.unwrap_or(0),
            committed: metrics.local_committed.as_ref().map_or(0, |id| id.index),
            applied: metrics.last_applied.as_ref().map_or(0, |id| id.index),
            snapshot: metrics.snapshot.as_ref().map_or(0, |id| id.index),
        }
    }
}
