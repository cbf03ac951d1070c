//! At most one leader: no node wins the same leadership twice.
//!
//! openraft (as the daemon configures it) lets several nodes lead in one term, one after the other: a leadership is a term and a
//! node, and of two in one term that of the higher id comes later and ends the other. So each leadership belongs to one node,
//! and the remaining part of election safety is that it was elected once: a node that has led remembers it after a restart,
//! and a node whose vote was counted restarts with that vote or a newer one. Otherwise two quorums without a common
//! correct member could each elect a leader.

use std::collections::BTreeMap;

use super::{Invariant, Violation, check};
use crate::events::Event;
use crate::types::Leader;

#[derive(Default)]
pub(super) struct OneLeader {
    /// The newest leadership of each node.
    led: BTreeMap<u64, Leader>,
    /// The newest leadership that each node gave its vote to, as far as others may know.
    voted: BTreeMap<u64, Leader>,
    /// The node of each leadership.
    leaders: BTreeMap<(u64, u64), u64>,
}

impl Invariant for OneLeader {
    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::Leads { node, leader } => {
                let owner = *self.leaders.entry((leader.term, leader.node)).or_insert(*node);
                check(owner == *node, "one-leader", || format!("nodes {owner} and {node} both lead as {leader:?}"))?;
                let newest = self.led.entry(*node).or_insert(*leader);
                check(*newest <= *leader, "one-leader", || {
                    format!("node {node} leads as {leader:?} after it led as {newest:?}")
                })?;
                *newest = *leader;
                Ok(())
            }
            Event::Voted { node, leader } => {
                let newest = self.voted.entry(*node).or_insert(*leader);
                *newest = (*newest).max(*leader);
                Ok(())
            }
            Event::Started { node, vote, .. } => {
                let voted = self.voted.get(node).copied();
                check(*vote >= voted, "one-leader", || {
                    format!("node {node} gave its vote to {voted:?} and came back with {vote:?}: it could vote twice")
                })?;
                let Some(led) = self.led.get(node) else { return Ok(()) };
                check(vote.is_some_and(|vote| vote >= *led), "one-leader", || {
                    format!(
                        "node {node} led as {led:?} and came back with the vote {vote:?}: it could be elected again"
                    )
                })
            }
            _ => Ok(()),
        }
    }
}
