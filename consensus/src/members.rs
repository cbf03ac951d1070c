//! The members controller: who is a member, and who votes.
//!
//! [`disco_planner`] decides; a pass collects its input, performs the first change that is due, and changes the membership in
//! Raft ([`Membership`]). What else a change requires (records, secrets, events) is that of the program: [`Leader`].
//!
//! # Invariants
//! - A pass makes at most one change, and an unfinished change of the voters is finished before another one begins.
//! - A node has a voter's secrets before it votes, since it may lead from then on.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use disco_planner::members::{self, Leader as Own, Node, Reason, Step};
use disco_planner::twins::Life;
use disco_planner::voters::{self, Change};
use disco_planner::{Member as Planned, Policy};

use super::membership::{Member, Role};
use super::node::{RaftError, RaftNode};
use super::platform::Platform;
use super::types::NodeInfo;

/// Entries that a learner may lack and still count as up to date: those that arrive during a round trip or two.
pub const LAG: u64 = 100;

/// Changes of the membership: those of [`RaftNode`].
///
/// # Errors
/// All methods: see [`RaftError`].
pub trait Membership: Sync {
    /// All members, by id.
    fn members(&self) -> Vec<Member>;
    /// Whether a change of the voters is unfinished.
    fn is_joint(&self) -> bool;
    /// Adds a member that does not vote.
    fn add_learner(&self, id: u64, info: NodeInfo) -> impl Future<Output = Result<(), RaftError>> + Send;
    /// Replaces the data of a member.
    fn set_info(&self, id: u64, info: NodeInfo) -> impl Future<Output = Result<(), RaftError>> + Send;
    /// Makes learners voters, all in one change.
    fn promote(&self, ids: &[u64]) -> impl Future<Output = Result<(), RaftError>> + Send;
    /// Makes voters learners, all in one change.
    fn demote(&self, ids: &[u64]) -> impl Future<Output = Result<(), RaftError>> + Send;
    /// Replaces a voter by another member.
    fn replace_voter(&self, old: u64, new: u64) -> impl Future<Output = Result<(), RaftError>> + Send;
    /// Finishes a change of the voters that another leader began.
    fn finish_change(&self) -> impl Future<Output = Result<(), RaftError>> + Send;
    /// Transfers leadership to a voter, or to the most up-to-date one.
    fn transfer_leadership(&self, to: Option<u64>) -> impl Future<Output = Result<u64, RaftError>> + Send;
}

/// The leader in one term: what it knows of the nodes, and what it does beside changing the membership.
///
/// # Errors
/// All methods: what was to be done was not done, or its outcome is unknown. The next pass starts anew.
pub trait Leader: Sync {
    /// Changes the membership.
    type Raft: Membership;
    /// Why a pass failed.
    type Error: Send;
    /// What a promotion excludes while it is held.
    type Held: Send;

    /// Changes the membership.
    fn raft(&self) -> &Self::Raft;
    /// The leader's own state.
    fn own(&self) -> Own;
    /// The members, and the nodes that report.
    fn nodes(&self, members: &[Member]) -> Vec<Node>;
    /// The members as the choice of voters sees them.
    fn planned(&self) -> Vec<Planned>;
    /// The limits of decisions.
    fn policy(&self) -> Policy;
    /// The recorded name of a node.
    fn name(&self, id: u64) -> Option<String>;
    /// The address that a node reports.
    fn address(&self, id: u64) -> Option<String>;
    /// The error for a change of the membership that failed.
    fn failed(&self, what: String, error: RaftError) -> Self::Error;

    /// Takes note that leadership will be handed over; afterwards this leader ends.
    fn hands_over(&self, to: u64, reason: Reason);
    /// Makes the missing record of a member.
    fn record(&self, member: &Member) -> impl Future<Output = Result<(), Self::Error>> + Send;
    /// Records the start of a node.
    fn remember(&self, id: u64, life: Life) -> impl Future<Output = Result<(), Self::Error>> + Send;
    /// A node became a member.
    fn admitted(&self, id: u64, info: &NodeInfo) -> impl Future<Output = Result<(), Self::Error>> + Send;
    /// A member has another address than before.
    fn moved(&self, before: &Member, address: &str) -> impl Future<Output = Result<(), Self::Error>> + Send;
    /// What comes before the choice of the voters. True if something was changed.
    fn before_voters(
        &self,
        own: &Own,
        nodes: &[Node],
        members: &[Member],
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;
    /// Excludes what must not happen during a promotion.
    fn hold(&self) -> impl Future<Output = Self::Held> + Send;
    /// Gives a node what a voter must have.
    fn prepare(&self, id: u64) -> impl Future<Output = Result<(), Self::Error>> + Send;
    /// A node votes now, maybe in place of another one.
    fn promoted(&self, id: u64, instead_of: Option<u64>) -> impl Future<Output = Result<(), Self::Error>> + Send;
    /// A node no longer votes.
    fn lost_vote(&self, id: u64) -> impl Future<Output = Result<(), Self::Error>> + Send;
    /// What comes once the voters are as planned. True if something was changed.
    fn after_voters(&self, members: &[Member]) -> impl Future<Output = Result<bool, Self::Error>> + Send;
}

impl<P: Platform> Membership for RaftNode<P>
where
    Self: Send + Sync,
{
    fn members(&self) -> Vec<Member> {
        self.members()
    }

    fn is_joint(&self) -> bool {
        self.is_joint()
    }

    async fn add_learner(&self, id: u64, info: NodeInfo) -> Result<(), RaftError> {
        self.add_learner(id, info).await
    }

    async fn set_info(&self, id: u64, info: NodeInfo) -> Result<(), RaftError> {
        self.set_info(id, info).await
    }

    async fn promote(&self, ids: &[u64]) -> Result<(), RaftError> {
        self.promote(ids).await
    }

    async fn demote(&self, ids: &[u64]) -> Result<(), RaftError> {
        self.demote(ids).await
    }

    async fn replace_voter(&self, old: u64, new: u64) -> Result<(), RaftError> {
        self.replace_voter(old, new).await
    }

    async fn finish_change(&self) -> Result<(), RaftError> {
        self.finish_change().await
    }

    async fn transfer_leadership(&self, to: Option<u64>) -> Result<u64, RaftError> {
        self.transfer_leadership(to).await
    }
}

/// Checks the membership and makes at most one change. True if something was changed.
///
/// # Errors
/// The change was not made, or its outcome is unknown.
pub async fn pass<L: Leader>(leader: &L) -> Result<bool, L::Error> {
    let present = leader.raft().members();
    let (own, nodes, policy) = (leader.own(), leader.nodes(&present), leader.policy());
    if let Some(step) = members::next(&own, &nodes, &policy) {
        perform(leader, &present, step).await?;
        return Ok(true);
    }
    if leader.before_voters(&own, &nodes, &present).await? {
        return Ok(true);
    }
    if leader.raft().is_joint() {
        finish_change(leader, &present).await?;
        return Ok(true);
    }
    if let Some(change) = voters::next_change(&leader.planned(), &policy) {
        change_voters(leader, &present, change).await?;
        return Ok(true);
    }
    leader.after_voters(&present).await
}

/// The members as decisions see them, without what they report. `last` is the index of the leader's last entry.
#[must_use]
pub fn nodes(members: &[Member], last: u64) -> BTreeMap<u64, Node> {
    let node = |member: &Member| Node {
        id: member.id,
        member_at: Some(member.info.address.clone()),
        voter: member.role == Role::Voter,
        up_to_date: member.matched.is_some_and(|matched| matched + LAG >= last),
        ..Node::default()
    };
    members.iter().map(|member| (member.id, node(member))).collect()
}

async fn perform<L: Leader>(leader: &L, members: &[Member], step: Step) -> Result<(), L::Error> {
    match step {
        Step::HandOver { to, reason } => hand_over(leader, to, reason).await,
        Step::Record(id) => match find(members, id) {
            Some(member) => leader.record(member).await,
            None => Ok(()),
        },
        Step::Remember(id, life) => leader.remember(id, life).await,
        Step::Admit(id) => admit(leader, id).await,
        Step::Move(id) => update_address(leader, members, id).await,
    }
}

async fn hand_over<L: Leader>(leader: &L, to: u64, reason: Reason) -> Result<(), L::Error> {
    // Before: the term, and this pass with it, ends with success.
    leader.hands_over(to, reason);
    let handed = leader.raft().transfer_leadership(Some(to)).await;
    let what = format!("handing leadership over to node {to}, because {reason}");
    handed.map(drop).map_err(|error| leader.failed(what, error))
}

async fn admit<L: Leader>(leader: &L, id: u64) -> Result<(), L::Error> {
    let Some((name, address)) = leader.name(id).zip(leader.address(id)) else { return Ok(()) };
    let info = NodeInfo { address, name };
    let added = leader.raft().add_learner(id, info.clone()).await;
    added.map_err(|error| leader.failed(format!("adding node {id}"), error))?;
    leader.admitted(id, &info).await
}

/// Updates the address of a node whose certificate proved its identity at another one.
async fn update_address<L: Leader>(leader: &L, members: &[Member], id: u64) -> Result<(), L::Error> {
    let Some((member, address)) = find(members, id).zip(leader.address(id)) else { return Ok(()) };
    let info = NodeInfo { address: address.clone(), name: member.info.name.clone() };
    let set = leader.raft().set_info(id, info).await;
    set.map_err(|error| leader.failed(format!("changing the address of node {id}"), error))?;
    leader.moved(member, &address).await
}

/// Completes a change of the voters that another leader has begun: openraft does not, and until then two quorums must agree.
async fn finish_change<L: Leader>(leader: &L, members: &[Member]) -> Result<(), L::Error> {
    let finished = leader.raft().finish_change().await;
    finished.map_err(|error| leader.failed("completing a change of the voters".to_owned(), error))?;
    let voters = |members: &[Member]| {
        let voters = members.iter().filter(|member| member.role == Role::Voter);
        voters.map(|member| member.id).collect::<BTreeSet<u64>>()
    };
    for id in voters(members).difference(&voters(&leader.raft().members())) {
        leader.lost_vote(*id).await?;
    }
    Ok(())
}

async fn change_voters<L: Leader>(leader: &L, members: &[Member], change: Change) -> Result<(), L::Error> {
    match change {
        Change::Promote(ids) => {
            let _held = leader.hold().await;
            for id in &ids {
                prepare(leader, members, *id).await?;
            }
            let promoted = leader.raft().promote(&ids).await;
            promoted.map_err(|error| leader.failed(format!("promoting {ids:?}"), error))?;
            for id in ids {
                leader.promoted(id, None).await?;
            }
        }
        Change::Demote(ids) => {
            let demoted = leader.raft().demote(&ids).await;
            demoted.map_err(|error| leader.failed(format!("demoting {ids:?}"), error))?;
            for id in ids {
                leader.lost_vote(id).await?;
            }
        }
        Change::Replace { old, new } => {
            let _held = leader.hold().await;
            prepare(leader, members, new).await?;
            let replaced = leader.raft().replace_voter(old, new).await;
            replaced.map_err(|error| leader.failed(format!("replacing voter {old} by {new}"), error))?;
            leader.promoted(new, Some(old)).await?;
            leader.lost_vote(old).await?;
        }
    }
    Ok(())
}

async fn prepare<L: Leader>(leader: &L, members: &[Member], id: u64) -> Result<(), L::Error> {
    if find(members, id).is_none() {
        let error = RaftError::Membership(format!("node {id} is not a member"));
        return Err(leader.failed(format!("preparing node {id} for its vote"), error));
    }
    leader.prepare(id).await
}

fn find(members: &[Member], id: u64) -> Option<&Member> {
    members.iter().find(|member| member.id == id)
}
