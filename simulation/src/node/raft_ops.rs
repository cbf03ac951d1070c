//! Membership changes and leadership transfers, with the same calls of openraft as in the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use disco_consensus::types::NodeInfo;
use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::error::{ChangeMembershipError, ClientWriteError, RaftError};

use super::Process;

/// Pause before a retry of a membership change. Without it a leader without a quorum would do nothing else.
const CHANGE_PAUSE: Duration = Duration::from_millis(50);

impl Process {
    /// Adds a learner.
    pub(super) async fn add_learner(&self, id: u64, info: NodeInfo) -> Result<(), String> {
        self.change(ChangeMembers::AddNodes(BTreeMap::from([(id, info)]))).await
    }

    /// Makes learners voters.
    pub(super) async fn promote(&self, ids: &[u64]) -> Result<(), String> {
        self.change(ChangeMembers::AddVoterIds(ids.iter().copied().collect())).await
    }

    /// Makes voters learners.
    pub(super) async fn demote(&self, ids: &[u64]) -> Result<(), String> {
        self.change(ChangeMembers::RemoveVoters(ids.iter().copied().collect())).await
    }

    /// Replaces a voter by another.
    pub(super) async fn replace(&self, old: u64, new: u64) -> Result<(), String> {
        let voters: BTreeSet<u64> = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            let voters = metrics.membership_config.membership().voter_ids();
            voters.filter(|id| *id != old).chain([new]).collect()
        };
        self.change(ChangeMembers::ReplaceAllVoters(voters)).await
    }

    /// Whether a change of the voters is in progress.
    pub(super) fn is_joint(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().get_joint_config().len() > 1
    }

    /// Completes a change that another leader has started.
    pub(super) async fn finish_change(&self) -> Result<(), String> {
        self.change(ChangeMembers::AddVoterIds(BTreeSet::new())).await
    }

    async fn change(&self, change: ChangeMembers<u64, NodeInfo>) -> Result<(), String> {
        let waits = !matches!(change, ChangeMembers::ReplaceAllVoters(_));
        let work = async {
            let mut metrics = self.raft.metrics();
            loop {
                drop(metrics.borrow_and_update());
                match self.raft.change_membership(change.clone(), true).await {
                    Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(
                        ChangeMembershipError::InProgress(_),
                    ))) if waits && metrics.changed().await.is_ok() => {
                        tokio::time::sleep(CHANGE_PAUSE).await;
                    }
                    Err(RaftError::APIError(ClientWriteError::PreconditionFailed(_))) if waits => {
                        tokio::time::sleep(CHANGE_PAUSE).await;
                    }
                    other => return other.map(|_| ()).map_err(|error| error.to_string()),
                }
            }
        };
        let limit = self.host.pace.request_timeout() * 2;
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err("no quorum answered".to_owned()))
    }
}
