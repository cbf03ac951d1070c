//! The members of the cluster, and changes of their roles.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::error::{ChangeMembershipError, ClientWriteError, RaftError as OpenraftError};

use super::node::{RaftError, RaftNode};
use super::platform::Platform;
use super::types::NodeInfo;

/// Pause before a change of the membership is retried. Without it a leader without a quorum would do nothing else.
const CHANGE_PAUSE: Duration = Duration::from_millis(50);

/// A member's role in Raft.
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
    /// Role in Raft.
    pub role: Role,
    /// On the leader: index of the last entry that this member is known to have.
    pub matched: Option<u64>,
}

// === impl RaftNode ===

impl<P: Platform> RaftNode<P> {
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

    /// The address of a member.
    #[must_use]
    pub fn member_address(&self, id: u64) -> Option<String> {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().get_node(&id).map(|info| info.address.clone())
    }

    /// Adds a member that receives the log but does not vote. Repeating it changes nothing.
    ///
    /// # Errors
    /// See [`RaftError`].
    pub async fn add_learner(&self, id: u64, info: NodeInfo) -> Result<(), RaftError> {
        if self.members().iter().any(|member| member.id == id && member.info == info) {
            return Ok(());
        }
        self.change(ChangeMembers::AddNodes(BTreeMap::from([(id, info)]))).await
    }

    /// Replaces the membership's data of a member, after its certificate has proven its identity.
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

    /// Replaces a voter by another member; the old voter becomes a learner.
    ///
    /// # Errors
    /// See [`RaftError`].
    pub async fn replace_voter(&self, old: u64, new: u64) -> Result<(), RaftError> {
        self.in_turn(|| {
            // The members of an unfinished change are those of both sets: nodes that are to lose their vote would keep it.
            if self.is_joint() {
                return Err(RaftError::Membership("another change of the voters is unfinished".to_owned()));
            }
            let members = self.members();
            let voters = members.iter().filter(|member| member.role == Role::Voter).map(|member| member.id);
            let voters = voters.filter(|id| *id != old).chain([new]).collect();
            Ok(ChangeMembers::ReplaceAllVoters(voters))
        })
        .await
    }

    /// Whether a change of the voters is unfinished: its leader was lost between the two steps.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().get_joint_config().len() > 1
    }

    /// Whether this node knows of an unfinished change of the members: two sets of voters decide jointly, or the newest
    /// set is not known to be committed.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        let newest = &metrics.membership_config;
        newest.membership().get_joint_config().len() > 1 || *newest.log_id() > metrics.last_applied
    }

    /// Finishes a change of the voters that another leader began; a member that loses its vote by it stays a learner.
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

    async fn change(&self, change: ChangeMembers<u64, NodeInfo>) -> Result<(), RaftError> {
        self.in_turn(|| Ok(change)).await
    }

    /// Makes the change that the closure decides once no other one of this node is in progress: openraft changes the voters in two
    /// steps, and accepts another change between them.
    async fn in_turn(
        &self,
        decide: impl FnOnce() -> Result<ChangeMembers<u64, NodeInfo>, RaftError>,
    ) -> Result<(), RaftError> {
        let limit = self.pace().request_timeout() * 2;
        let work = async {
            let _turn = self.changes().lock().await;
            self.try_change(decide()?).await
        };
        tokio::time::timeout(limit, work).await.unwrap_or(Err(RaftError::Unknown(limit)))
    }

    /// Waits while a change that another leader has begun is in progress. A change to a complete set of voters does not: it was
    /// computed from the previous membership.
    async fn try_change(&self, change: ChangeMembers<u64, NodeInfo>) -> Result<(), RaftError> {
        let waits = !matches!(change, ChangeMembers::ReplaceAllVoters(_));
        let mut metrics = self.raft().metrics();
        loop {
            // The next attempt may depend on changes until now.
            drop(metrics.borrow_and_update());
            // Always retaining: this change also completes an unfinished one, and would drop the nodes that lose their vote by it.
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
    }
}
