//! A membership in memory, whose changes are effects of the leader.

use disco_consensus::members::Membership;

use super::fake::{Fake, Outcome, State};
use crate::raft::{Member, NodeInfo, RaftError, Role};

fn set_role(state: &mut State, ids: &[u64], role: Role) {
    for id in ids {
        state.members.get_mut(id).unwrap().role = role;
    }
}

/// The outcome of a change.
pub(super) fn changed(outcome: Outcome) -> Result<(), RaftError> {
    match outcome {
        Outcome::Done => Ok(()),
        Outcome::Fails(why) => Err(RaftError::Membership(why.to_owned())),
        Outcome::Deposed => Err(RaftError::NotLeader { leader: None }),
    }
}

impl Membership for Fake {
    fn members(&self) -> Vec<Member> {
        self.state().members.values().cloned().collect()
    }

    fn is_joint(&self) -> bool {
        false
    }

    async fn add_learner(&self, id: u64, info: NodeInfo) -> Result<(), RaftError> {
        let member = Member { id, info, role: Role::Learner, matched: Some(0) };
        changed(self.perform(format!("add {id}"), |state| drop(state.members.insert(id, member))))
    }

    async fn set_info(&self, id: u64, info: NodeInfo) -> Result<(), RaftError> {
        changed(self.perform(format!("set {id}"), |state| state.members.get_mut(&id).unwrap().info = info))
    }

    async fn promote(&self, ids: &[u64]) -> Result<(), RaftError> {
        changed(self.perform(format!("promote {ids:?}"), |state| set_role(state, ids, Role::Voter)))
    }

    async fn demote(&self, ids: &[u64]) -> Result<(), RaftError> {
        changed(self.perform(format!("demote {ids:?}"), |state| set_role(state, ids, Role::Learner)))
    }

    async fn replace_voter(&self, old: u64, new: u64) -> Result<(), RaftError> {
        changed(self.perform(format!("replace {old} by {new}"), |state| {
            set_role(state, &[old], Role::Learner);
            set_role(state, &[new], Role::Voter);
        }))
    }

    async fn finish_change(&self) -> Result<(), RaftError> {
        unreachable!("no change is unfinished")
    }

    async fn transfer_leadership(&self, to: Option<u64>) -> Result<u64, RaftError> {
        changed(self.perform(format!("transfer to {to:?}"), |_| ())).map(|()| to.unwrap_or_default())
    }
}
