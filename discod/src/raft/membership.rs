//! The members of the cluster: who they are, and changes of who votes and who receives the log.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::error::{ChangeMembershipError, ClientWriteError, RaftError as OpenraftError};

use super::node::{RaftError, RaftNode};
use super::types::NodeInfo;

/// Before a change of the membership is tried again. Without it a leader without a quorum would do nothing else.
const CHANGE_PAUSE: Duration = Duration::from_millis(50);

/// A member's part in Raft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Counts for the quorum.
    Voter,
    /// Receives the log.
    Learner,
}

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Id.
    pub id: u64,
    /// Address and name.
    pub info: NodeInfo,
    /// Part in Raft.
    pub role: Role,
    /// On the leader: index of the last entry that this member is known to hold.
    pub matched: Option<u64>,
}

// === impl RaftNode ===

impl RaftNode {
    /// All members, by id.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let members = membership.nodes().map(|(id, info)| Member {
            id: *id,
            info: info.clone(),
            role: if voters.contains(id) { Role::Voter } else { Role::Learner },
            matched: metrics
                .replication
                .as_ref()
                .and_then(|replication| replication.get(id))
                .and_then(|log_id| log_id.as_ref().map(|log_id| log_id.index)),
        });
        members.collect()
    }

    /// Where a member is reached.
    #[must_use]
    pub fn member_address(&self, id: u64) -> Option<String> {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().get_node(&id).map(|info| info.address.clone())
    }

    /// Adds a member that receives the log but does not vote. Doing so again changes nothing.
    ///
    /// # Errors
    /// See [`RaftError`].
    pub async fn add_learner(&self, id: u64, info: NodeInfo) -> Result<(), RaftError> {
        if self.members().iter().any(|member| member.id == id && member.info == info) {
            return Ok(());
        }
        self.change(ChangeMembers::AddNodes(BTreeMap::from([(id, info)]))).await
    }

    /// Replaces what membership knows of a member, after its identity was proven by its certificate.
    ///
    /// # Errors
    /// See [`RaftError`].
    pub async fn set_info(&self, id: u64, info: NodeInfo) -> Result<(), RaftError> {
        self.change(ChangeMembers::SetNodes(BTreeMap::from([(id, info)]))).await
    }

    /// Makes learners voters, all in one change.
    ///
    /// # Errors
    /// See [`RaftError`].
    pub async fn promote(&self, ids: &[u64]) -> Result<(), RaftError> {
        self.change(ChangeMembers::AddVoterIds(ids.iter().copied().collect())).await
    }

    /// Makes voters learners, all in one change.
    ///
    /// # Errors
    /// See [`RaftError`].
    pub async fn demote(&self, ids: &[u64]) -> Result<(), RaftError> {
        self.change(ChangeMembers::RemoveVoters(ids.iter().copied().collect())).await
    }

    /// Puts one voter in the place of another, which becomes a learner.
    ///
    /// # Errors
    /// See [`RaftError`].
    pub async fn replace_voter(&self, old: u64, new: u64) -> Result<(), RaftError> {
        let _turn = self.changes().lock().await;
        let members = self.members();
        let voters = members.iter().filter(|member| member.role == Role::Voter).map(|member| member.id);
        let voters = voters.filter(|id| *id != old).chain([new]).collect();
        self.try_change(ChangeMembers::ReplaceAllVoters(voters)).await
    }

    /// Whether a change of the voters was begun and not ended: its leader was lost between the two steps.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().get_joint_config().len() > 1
    }

    /// Whether this node knows of a change of the members that is not done: two sets of voters decide together, or the newest set is not
    /// known to be committed.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        let newest = &metrics.membership_config;
        newest.membership().get_joint_config().len() > 1 || *newest.log_id() > metrics.last_applied
    }

    /// Ends a change of the voters that another leader has begun; who has lost the vote by it stays a learner.
    ///
    /// # Errors
    /// See [`RaftError`].
    pub async fn finish_change(&self) -> Result<(), RaftError> {
        self.change(ChangeMembers::AddVoterIds(BTreeSet::new())).await
    }

    /// Removes a learner from the membership.
    ///
    /// # Errors
    /// See [`RaftError`].
    pub async fn remove(&self, id: u64) -> Result<(), RaftError> {
        self.change(ChangeMembers::RemoveNodes(BTreeSet::from([id]))).await
    }

    /// One change after the other: openraft makes a change of the voters in two steps, and lets another change in between them.
    async fn change(&self, change: ChangeMembers<u64, NodeInfo>) -> Result<(), RaftError> {
        let _turn = self.changes().lock().await;
        self.try_change(change).await
    }

    /// While a change is under way that another leader has begun, this one waits. A whole set of voters does not: it was put together
    /// from what the membership was.
    async fn try_change(&self, change: ChangeMembers<u64, NodeInfo>) -> Result<(), RaftError> {
        let limit = self.pace().request_timeout() * 2;
        let waits = !matches!(change, ChangeMembers::ReplaceAllVoters(_));
        let work = async {
            let mut metrics = self.raft().metrics();
            loop {
                // What has changed until now may be what the next try waits for.
                drop(metrics.borrow_and_update());
                // Retaining, whatever the change is: where the last one was not ended, this one ends it, and would drop the nodes that
                // lost their vote by it.
                let changed = self.raft().change_membership(change.clone(), true).await;
                match changed {
                    Err(OpenraftError::APIError(ClientWriteError::ChangeMembershipError(
                        ChangeMembershipError::InProgress(_),
                    ))) if waits && metrics.changed().await.is_ok() => {
                        tokio::time::sleep(CHANGE_PAUSE).await;
                    }
                    // Another change came between two steps of this one.
                    Err(OpenraftError::APIError(ClientWriteError::PreconditionFailed(_))) if waits => {
                        tokio::time::sleep(CHANGE_PAUSE).await;
                    }
                    other => return other.map(|_| ()).map_err(|error| self.write_error(error)),
                }
            }
        };
        tokio::time::timeout(limit, work).await.unwrap_or(Err(RaftError::Unknown(limit)))
    }
}
